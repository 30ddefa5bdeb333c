"""make bench: what ttylock costs, as ratios to references measured in the same run.

    bench.py BUILD_DIRECTORY [RESULT]

Prints a table and writes RESULT (BUILD_DIRECTORY/bench.json), which report.py makes
docs/performance.md of. A ratio is the median over rounds, with the quartiles; within a
round each row is measured right after its reference, both as medians of single
operations. BENCH_QUICK=1: a few seconds, to see that everything here still works. A
reference whose program is not installed is left out, and the table says so.
"""
import json
import os
import shutil
import statistics
import sys
import tempfile
import time

import goals
import machine
import whole
from processes import Servers

QUICK = bool(os.environ.get("BENCH_QUICK"))
WAITERS = [1, 10] if QUICK else [1, 10, 100, 1000, 10000]
ROUNDS = 3 if QUICK else 40
BATCH = 20 if QUICK else 100


def spread(values):
    q1, _, q3 = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    median = statistics.median(values)
    return {"median": round(median, 4), "q1": round(q1, 4), "q3": round(q3, 4),
            "mad": round(statistics.median(abs(v - median) for v in values), 4),
            "rounds": len(values)}


def row_of(name, reference, n, pinned, pairs):
    """pairs: of each round what it took and what the reference took, in nanoseconds."""
    return {"row": name, "n": n, "pinned": pinned, "reference": reference,
            "ratio": spread([ns / ref for ns, ref in pairs]),
            "us": round(statistics.median(ns for ns, _ in pairs) / 1000, 2),
            "reference_us": round(statistics.median(ref for _, ref in pairs) / 1000, 2)}


REFERENCES = {"hand-over": "bare relay", "flock-hand-over": "bare relay",
              "mutex-hand-over": "bare relay", "status": "bare stream"}


def locks(servers, pinned):
    """The rows of locks.c, and the daemon's bytes for each waiter by their number."""
    samples, memory = {}, {}
    argv = ["-r", ROUNDS if pinned else max(3, ROUNDS // 2), "-b", BATCH]
    if servers.redis:
        argv += ["-R", servers.redis]
    if servers.etcd:
        argv += ["-E", servers.etcd]
    argv += [f"{n}:{servers.daemon(f'{n}')}" for n in WAITERS]
    for line in servers.run("locks", *argv).splitlines():
        name, n, _, ns, ref = line.split()
        if name == "memory":
            memory[int(n)] = float(ns)
        else:
            samples.setdefault((name, int(n)), []).append((float(ns), float(ref)))
    return [row_of(name, REFERENCES.get(name, "bare round trip"), n, pinned, pairs)
            for (name, n), pairs in samples.items()], memory


def measure(build):
    rows, figures = [], {}
    directory = tempfile.mkdtemp(prefix="ttylock-bench-")
    try:
        for pinned in (True, False):
            with Servers(build, os.path.join(directory, f"pinned-{pinned}"), pinned,
                         rivals=not QUICK) as servers:
                found, memory = locks(servers, pinned)
                rows += found
                if pinned and memory:
                    figures["memory_per_waiter_bytes"] = memory
                if pinned:
                    figures["system_calls"] = whole.system_calls(servers, 200 if QUICK else 2000)
        with Servers(build, os.path.join(directory, "whole"), False, rivals=False) as servers:
            for name, reference, n, pairs in whole.rows(servers, QUICK):
                rows.append(row_of(name, reference, n, False, pairs))
        figures["restart_s"] = whole.restart(build, (10,) if QUICK else (10, 100, 1000),
                                             2 if QUICK else 40)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return {"version": 1, "machine": machine.describe(), "quick": QUICK,
            "rows": rows, "figures": figures}


def show(result):
    print(", ".join(f"{v}" for v in result["machine"].values()))
    print(f"{'':22}{'waiters':>8}  {'ratio':>7} {'quartiles':>15}  {'us':>10}  reference")
    for row in result["rows"]:
        r = row["ratio"]
        print(f"{row['row']:22}{row['n'] or '':>8}  {r['median']:7.2f} "
              f"{r['q1']:7.2f}-{r['q3']:.2f}".ljust(56) +
              f"{row['us']:10.1f}  {row['reference']}{'' if row['pinned'] else ', not pinned'}")
    for name, value in result["figures"].items():
        print(f"{name}: {json.dumps(value)}")
    for goal in result["goals"]:
        reached = "not measured" if goal["reached"] is None else f"{goal['reached']:g}"
        verdict = {True: "reached", False: "MISSED", None: ""}[goal["met"]]
        print(f"{goal['goal']:58} {goal['limit']:>7}  {reached:>12}  {verdict}")


def main():
    build = os.path.abspath(sys.argv[1])
    began = time.monotonic()
    result = measure(build)
    result["goals"] = goals.judge(result)
    result["seconds"] = round(time.monotonic() - began)
    path = sys.argv[2] if len(sys.argv) > 2 else os.path.join(build, "bench.json")
    with open(path, "w") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    show(result)
    print(f"in {result['seconds']} s; written to {os.path.relpath(path)}")


main()
