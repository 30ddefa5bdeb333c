"""The goals, and how far a result is from each."""


def ratio(result, name, n=0, pinned=None):
    for row in result["rows"]:
        if row["row"] == name and row["n"] == n and (pinned is None or row["pinned"] == pinned):
            return row["ratio"]["median"]
    return None


def quotient(a, b):
    return None if a is None or b is None else a / b


def of_waiters(result, name):
    return quotient(ratio(result, name, 10000, True), ratio(result, name, 10, True))


def difference_ms(result, name):
    for row in result["rows"]:
        if row["row"] == name:
            return row["us"] * (1 - 1 / row["ratio"]["median"]) / 1000
    return None


def memory_kib(result):
    figure = result["figures"].get("memory_per_waiter_bytes") or {}
    return max(((int(n), v / 1024) for n, v in figure.items()), default=(0, None))[1]


def calls(result):
    figure = result["figures"].get("system_calls")
    return figure and figure["daemon"]["total"]


# What it is, how it is found in a result, its limit, and whether more is better.
GOALS = [
    ("acquire to granted / bare round trip",
     lambda r: ratio(r, "acquire", 10, True), 1.3, False),
    ("full cycle / bare round trip", lambda r: ratio(r, "cycle", 10, True), 1.5, False),
    ("Redis lock's cycle / full cycle",
     lambda r: quotient(ratio(r, "redis-cycle", 0, True), ratio(r, "cycle", 10, True)), 1.5, True),
    ("etcd lock's cycle / full cycle",
     # It needs both processors.
     lambda r: quotient(ratio(r, "etcd-cycle", 0, False), ratio(r, "cycle", 10, False)), 50, True),
    ("hand-over / bare relay", lambda r: ratio(r, "hand-over", 10, True), 1.5, False),
    ("acquire, 10,000 waiters / 10", lambda r: of_waiters(r, "acquire"), 1.1, False),
    ("full cycle, 10,000 waiters / 10", lambda r: of_waiters(r, "cycle"), 1.1, False),
    ("hand-over, 10,000 waiters / 10", lambda r: of_waiters(r, "hand-over"), 1.1, False),
    ("system calls of the daemon per cycle", calls, 4, False),
    ("daemon's memory per waiter, KiB", memory_kib, 1.5, False),
    ("exec -- true / flock FILE true", lambda r: ratio(r, "exec -- true"), 1.5, False),
    ("preload per exec, ms over an empty one",
     lambda r: difference_ms(r, "preload per exec"), 0.3, False),
    ("restart with 1,000 clients, s until all are back",
     lambda r: r["figures"].get("restart_s", {}).get("1000"), 1, False),
]


def judge(result):
    judged = []
    for goal, find, limit, more in GOALS:
        value = find(result)
        met = None if value is None else value >= limit if more else value <= limit
        judged.append({"goal": goal, "limit": f"{'>=' if more else '<='} {limit:g}",
                       "reached": None if value is None else round(value, 2), "met": met})
    return judged
