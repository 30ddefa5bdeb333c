"""Makes docs/performance.md's figures and docs/performance.svg of a result.

    report.py RESULT [--check]

In the page, what stands between the marks is replaced; the rest is written by hand. The
result itself is kept in docs/performance.json. --check: changes nothing, and says whether
page and plot are what RESULT gives.
"""
import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BEGIN, END = "<!-- figures -->\n", "<!-- /figures -->\n"
LINES = [("acquire", "#2563eb"), ("cycle", "#dc2626"), ("try", "#7c3aed"),
         ("hand-over", "#059669")]
WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 320, 50, 20, 110, 45


def figures(result):
    out = [f"{', '.join(result['machine'].values())}.\n\n",
           "| goal | limit | reached | |\n| --- | --- | --- | --- |\n"]
    for goal in result["goals"]:
        reached = "not measured" if goal["reached"] is None else f"{goal['reached']:g}"
        verdict = {True: "yes", False: "**missed**", None: ""}[goal["met"]]
        limit = goal["limit"].replace(">=", "≥").replace("<=", "≤")
        out.append(f"| {goal['goal']} | {limit} | {reached} | {verdict} |\n")
    out.append("\n| what | waiters | processor | ratio (quartiles) | µs | reference |\n"
               "| --- | --- | --- | --- | --- | --- |\n")
    for row in result["rows"]:
        r = row["ratio"]
        out.append(f"| {row['row']} | {row['n'] or ''} | {'one' if row['pinned'] else 'any'} | "
                   f"{r['median']:.2f} ({r['q1']:.2f} to {r['q3']:.2f}) | {row['us']:,.1f} | "
                   f"{row['reference']} |\n")
    calls = result["figures"].get("system_calls")
    if calls:
        out.append("\nSystem calls in one uncontended cycle, counted by strace(1), which keeps "
                   "a release and the next request apart:\n\n")
        for name, found in calls.items():
            each = ", ".join(f"{call} {n:g}" for call, n in found.items() if call != "total")
            out.append(f"- {name}: {each}; {found['total']:g} in all\n")
    restart = result["figures"].get("restart_s", {})
    if restart:
        out.append("\nSeconds from the daemon's kill until all who wait are back, the slowest of "
                   "40 deaths: " + ", ".join(f"{s:g} of {n}" for n, s in restart.items()) + ".\n")
    return "".join(out)


def plot(result):
    series = {name: [(row["n"], row["ratio"]) for row in result["rows"]
                     if row["row"] == name and row["pinned"]] for name, _ in LINES}
    top = max(r["q3"] for points in series.values() for _, r in points) * 1.1
    waiters = sorted({n for points in series.values() for n, _ in points})

    def x(n):
        return LEFT + waiters.index(n) * (WIDTH - LEFT - RIGHT) / max(1, len(waiters) - 1)

    def y(ratio):
        return HEIGHT - BOTTOM - ratio / top * (HEIGHT - TOP - BOTTOM)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
           'font-family="sans-serif" font-size="12">\n'
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n']
    for tick in range(int(top * 2) + 1):
        at = y(tick / 2)
        out.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
                   f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick / 2:g}</text>\n')
    for n in waiters:
        out.append(f'<text x="{x(n):.1f}" y="{HEIGHT - BOTTOM + 16}" '
                   f'text-anchor="middle">{n:,}</text>\n')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
               'waiters (one processor; 1 is a bare round trip, for hand-over a bare relay)'
               '</text>\n')
    for name, colour in LINES:
        points = series[name]
        line = " ".join(f"{x(n):.1f},{y(r['median']):.1f}" for n, r in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>\n')
        for n, r in points:
            out.append(f'<path d="M{x(n):.1f} {y(r["q1"]):.1f}V{y(r["q3"]):.1f}" '
                       f'stroke="{colour}"/>\n')
        n, r = points[-1]
        out.append(f'<text x="{x(n) + 8:.1f}" y="{y(r["median"]) + 4:.1f}" fill="{colour}">'
                   f'{name}</text>\n')
    return "".join(out) + "</svg>\n"


def main():
    with open(sys.argv[1]) as f:
        result = json.load(f)
    page_path = os.path.join(ROOT, "docs/performance.md")
    with open(page_path) as f:
        page = f.read()
    before, rest = page.split(BEGIN)
    made = {page_path: before + BEGIN + figures(result) + END + rest.split(END)[1],
            os.path.join(ROOT, "docs/performance.svg"): plot(result),
            os.path.join(ROOT, "docs/performance.json"): json.dumps(result, indent=1) + "\n"}
    for path, text in made.items():
        if "--check" not in sys.argv:
            with open(path, "w") as f:
                f.write(text)
            continue
        with open(path) as f:
            if f.read() != text:
                sys.exit(f"{os.path.relpath(path, ROOT)} is not what the result gives")


main()
