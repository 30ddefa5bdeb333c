"""Traces for replay.py --self-test: some are good, and in each other one a rule is broken."""
import json
import re

from replay import RESTART, Wrong, check

GOOD = """1 granted, 2 queued, 3 queued, 4 granted under 1, 5 queued under 1, 6 queued,
    3 moved, 6 died, 4 released, 5 granted, 1 released, 5 released, 3 granted, 3 died,
    2 granted, 7 queued, 8 queued, 7 cancelled, 2 released, 8 granted, 8 released"""
WRONG = (
    ("two holders", "1 granted, 2 granted", "granted while request 1 holds"),
    ("granted before the last one's end", "1 granted, 2 queued, 2 granted", "while request 1 holds"),
    ("the later first", "1 granted, 2 queued, 3 queued, 1 released, 3 granted", "passed over"),
    ("a newcomer first", "1 granted, 2 queued, 1 released, 3 granted", "passed over"),
    ("served first is not", "1 granted, 2 queued, 3 queued, 3 moved, 1 released, 2 granted", "passed over"),
    ("a waiter is forgotten", "1 granted, 2 queued, 1 released", "not served"),
    ("waits where nobody holds", "1 queued, 1 granted, 1 released", "where nobody holds"),
    ("released twice", "1 granted, 1 released, 1 released", "after its end"),
    ("released while it waits", "1 granted, 2 queued, 2 released", "does not hold"),
    ("a dead one is granted", "1 granted, 2 queued, 2 died, 1 released, 2 granted", "after its end"),
    ("the queue before the nest", "1 granted, 2 queued, 3 granted under 1, 4 queued under 1, "
     "3 released, 2 granted", "passed over"),
    ("the queue while a nested one holds", "1 granted, 2 queued, 3 granted under 1, 1 released, "
     "2 granted", "while request 3 holds"),
    ("under one that is not topmost", "1 granted, 2 granted under 1, 3 granted under 1",
     "while request 2 holds"),
    ("lost at the end", "1 granted, 2 queued, 2 cancelled", "left at the end"),
    ("granted twice", "1 granted, 1 granted", "granted twice"),
    ("events were dropped", "1 granted, missed", "a gap"),
)
# Over deaths of the daemon. 1 has the grant 1, and so on.
GOOD_RESTARTS = (
    # Each but the first with one thing that was not logged.
    "1 granted, 2 queued, 3 queued, restart, 1 holds, 2 waits, 3 waits, 1 reclaimed, 1 released, 2 granted, "
    "3 reclaimed, restart, 2 waits, 3 waits, 2 granted, 2 reclaimed, 2 released, 3 granted, 3 released",
    "1 granted, 2 queued, 3 granted under 1, 4 queued under 3, restart, 1 holds, 4 waits under 1, 2 waits, "
    "4 granted, 4 died, 1 died, 2 granted, 2 died",
    "1 granted, 2 queued, 3 queued, restart, 1 holds, 3 waits, 2 waits, 1 released, 3 granted, 3 died, "
    "2 granted, 2 died",
    "1 granted, 2 queued, restart, 1 holds, restart, 1 holds, 2 waits, 1 died, 2 granted, 2 died",
    "1 granted, restart, 1 holds, 2 waits, 1 released, 2 granted, 2 released",
)
WRONG_RESTARTS = (
    ("two are lost", "1 granted, 2 queued, 3 queued, restart, 1 holds", "more than one thing"),
    ("back from the dead", "1 granted, 2 queued, 2 died, restart, 1 holds, 2 waits", "after its end"),
    ("granted by a restart", "1 granted, 2 queued, restart, 1 holds, 2 holds", "came to hold by a restart"),
    ("another order", "1 granted, 2 queued, 3 queued, 4 queued, restart, 1 holds, 4 waits, 3 waits, 2 waits",
     "another order"),
    ("the order is forgotten", "1 granted, 2 queued, 3 queued, 4 queued, 4 moved, restart, 1 holds, 2 waits, "
     "3 waits, 4 waits", "another order"),
    ("a grant and an end", "1 granted, 2 queued, 1 released, 2 granted, 3 queued, restart, 2 waits",
     "more than one thing"),
    ("a holder that nobody knew", "1 granted, restart, 1 holds, 2 holds", "which nobody knew"),
    ("nobody is served", "1 granted, 2 queued, 1 released, restart, 2 waits", "not served"),
    ("a stranger is served", "1 granted, 2 queued, 3 queued, 1 released, restart, 2 waits, 3 waits, 3 granted",
     "passed over"),
    ("told, and granted again", "1 granted, 2 queued, 1 released, 2 granted, restart, 2 waits, 2 granted, "
     "2 reclaimed, 3 queued, 4 queued, restart, 2 waits", "more than one thing"),
    ("under another", "1 granted, 2 queued, 3 queued under 1, restart, 1 holds, 2 waits under 1, 3 waits",
     "restored under"),
)


def as_restart_log(trace):
    for event in re.split(r",\s*", trace):
        if event == "restart":
            yield RESTART
            continue
        request, what, *under = event.split()
        if what not in ("holds", "waits"):
            yield from as_log(event)
            continue
        grant = request if what == "holds" else under[1] if under else 0
        yield (f"ttylockd: /dev/pts/1: request {request} restored as "
               f"{'holder' if what == 'holds' else 'waiter'}: pid 7 (x), grant {grant}")


def as_log(trace):
    for event in re.split(r",\s*", trace):
        if event == "missed":
            yield "ttylockd: 3 lines suppressed"
            continue
        request, what, *under = event.split()
        what = {"moved": "served first"}.get(what, what)
        yield (f"ttylockd: /dev/pts/1: request {request} {what}: pid 7 (x), uid 0"
               + (f", under request {under[1]}" if under else ""))


def as_json(trace):
    for event in re.split(r",\s*", trace):
        if event == "missed":
            yield json.dumps({"event": "missed", "time": 1})
            continue
        request, what, *under = event.split()
        yield json.dumps({"event": what, "time": 1, "terminal": "/dev/pts/1", "request": {
            "id": int(request), **({"under": int(under[1])} if under else {})}})


def self_test():
    failures = count = 0
    for form, good, wrong in ((as_log, (GOOD,), WRONG), (as_json, (GOOD,), WRONG),
                              (as_restart_log, GOOD_RESTARTS, WRONG_RESTARTS)):
        for trace in good:
            assert check(form(trace)) > 0
        for name, trace, why in wrong:
            try:
                check(form(trace))
                found = "accepted"
            except Wrong as e:
                found = str(e)
            bad = why not in found
            failures += bad
            count += 1
            print(f"{'FAILED' if bad else 'ok'}: {name} ({form.__name__}): {found}")
    print(f"{count - failures} passed, {failures} failed, 0 skipped")
    return failures
