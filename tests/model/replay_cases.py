"""Traces for replay.py --self-test: some are good, and in each other one a rule is broken."""
import json
import re

from replay import check
from replay_trace import DIRTY, RESTART, Wrong

GOOD = """1 granted, 2 queued, 3 queued, 4 granted under 1, 5 queued under 1, 6 queued,
    3 moved, 6 waiter-died, 4 released, 5 granted, 1 released, 5 released, 3 granted, 3 holder-died,
    2 granted dirty, 7 queued, 8 queued, 7 cancelled, 2 released, 8 granted, 8 forced"""
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
    ("a dead one is granted", "1 granted, 2 queued, 2 waiter-died, 1 released, 2 granted", "after its end"),
    ("the queue before the nest", "1 granted, 2 queued, 3 granted under 1, 4 queued under 1, "
     "3 released, 2 granted", "passed over"),
    ("the queue while a nested one holds", "1 granted, 2 queued, 3 granted under 1, 1 released, "
     "2 granted", "while request 3 holds"),
    ("under one that is not topmost", "1 granted, 2 granted under 1, 3 granted under 1",
     "while request 2 holds"),
    ("lost at the end", "1 granted, 2 queued, 2 cancelled", "left at the end"),
    ("granted twice", "1 granted, 1 granted", "granted twice"),
    ("events were dropped", "1 granted, missed", "a gap"),
    ("moved after its grant", "1 granted, 2 queued, 1 released, 2 granted, 2 moved", "does not wait"),
    ("forced as it waits", "1 granted, 2 queued, 2 forced, 1 released", "does not hold"),
)
# Only the log says it.
GOOD_LOGS = (
    # Nested: what a dead one left is for the next on its level, and gone with a clean end below.
    "1 granted, 2 granted under 1, 2 holder-died, 3 granted dirty under 1, 3 released, 4 granted under 1, "
    "4 forced, 1 released, 5 granted, 5 released",
    # A death below another: told to the next on its level, whatever the one on top did.
    "1 granted, 2 granted under 1, 3 queued, 1 holder-died, 2 released, 3 granted dirty, 3 released",
    # One that gave up before it began leaves it as it was, one that did begin has mended it.
    "1 granted, 2 queued, 3 queued, 1 holder-died, 2 granted dirty, 2 released, 3 granted dirty, 3 released",
    "1 granted, 2 queued, 3 queued, 1 holder-died, 2 granted dirty, 2 released, 3 granted, 3 released",
    # With nobody there it may be forgotten.
    "1 granted, 1 holder-died, 2 granted, 2 forced, 3 granted dirty, 3 released",
    "1 granted, busy by 9, double by 1, 1 may not be steered, 1 released",
    "1 granted, 2 granted at 2, 3 queued at 2 by 1, circular by 2, 2 released at 2, 3 granted at 2, "
    "3 released at 2, 1 released",
)
WRONG_LOGS = (
    ("what a dead one left is not told", "1 granted, 2 queued, 1 holder-died, 2 granted", "clean, which"),
    ("told of what nobody left", "1 granted, 2 queued, 1 released, 2 granted dirty", "dirty, which"),
    ("forgotten over a forced end", "1 granted, 2 queued, 1 forced, 2 granted", "clean, which"),
    ("told to another level", "1 granted, 2 granted under 1, 1 holder-died, 3 granted dirty under 2",
     "dirty, which"),
    ("a death below is mended by the one on top", "1 granted, 2 granted under 1, 3 queued, 1 holder-died, "
     "2 released, 3 granted", "clean, which"),
    ("dies in a hold that it has not", "1 granted, 2 queued, 2 holder-died", "does not hold"),
    ("dies waiting as it holds", "1 granted, 1 waiter-died", "does not wait"),
    ("busy where nobody is", "1 granted, 1 released, busy by 9", "as busy"),
    ("a double lock of a stranger", "1 granted, double by 9", "as a double lock"),
    ("a circle of one who has nothing", "1 granted, 2 granted at 2, circular by 9", "would close none"),
    ("a circle of two holders that wait for nothing", "1 granted, 2 granted at 2, circular by 2",
     "would close none"),
    ("overdue without a restart", "1 granted, 2 queued, 2 overdue", "has come back"),
    ("steered after its end", "1 granted, 1 released, 1 may not be steered", "after its end"),
)
# Only the lines say it: each request is a task of its process's, of that number.
GOOD_TASKS = ("1 granted by 1, 2 granted at 2 by 2, 3 queued by 2, 4 queued at 2 by 4, 2 released at 2, "
              "4 granted at 2, 4 released at 2, 1 released, 3 granted, 3 released",)
WRONG_TASKS = (
    ("a double lock is let in", "1 granted by 1, 2 queued by 1", "a double lock"),
    ("a circle is let in", "1 granted by 1, 2 granted at 2 by 2, 3 queued by 2, 4 queued at 2 by 1",
     "closes a circle"),
    ("a circle through a waiter", "1 granted by 1, 2 granted at 2 by 2, 3 queued by 3, 4 queued at 2 by 3, "
     "5 queued by 2", "closes a circle"),
    ("moved into a circle", "1 granted by 1, 2 granted at 2 by 3, 3 queued by 3, 4 queued by 2, "
     "5 queued at 2 by 2, 4 moved", "closes a circle"),
    ("a daemon died among them", "1 granted by 1, lost", "a gap"),
)
# Over deaths of the daemon. 1 has the grant 1, and so on.
GOOD_RESTARTS = (
    # Each but the first with one thing that was not logged.
    "1 granted, 2 queued, 3 queued, restart, 1 holds, 2 waits, 3 waits, 1 reclaimed, 1 released, 2 granted, "
    "3 reclaimed, restart, 2 waits, 3 waits, 2 granted, 2 reclaimed, 2 released, 3 granted, 3 released",
    "1 granted, 2 queued, 3 granted under 1, 4 queued under 3, restart, 1 holds, 4 waits under 1, 2 waits, "
    "4 granted, 4 holder-died, 1 holder-died, 2 granted dirty, 2 holder-died",
    "1 granted, 2 queued, 3 queued, restart, 1 holds, 3 waits, 2 waits, 1 released, 3 granted, 3 holder-died, "
    "2 granted, 2 holder-died",  # it was never told that it holds
    "1 granted, 2 queued, restart, 1 holds, restart, 1 holds, 2 waits, 1 holder-died, 2 granted dirty, 2 holder-died",
    "1 granted, restart, 1 holds, 2 waits, 1 released, 2 granted, 2 released",
    # By time alone: who waits, and who was granted it and never told.
    "1 granted, 2 queued, 3 queued, 1 released, restart, 2 waits, 3 waits, 2 granted, 3 overdue, 2 overdue, "
    "4 granted, 4 released",
    "1 granted, 2 queued, restart, 1 holds, 2 waits, 2 overdue, 1 awaited, 1 may not be reclaimed, "
    "1 reclaimed, 1 released",
    # The grant was not kept, what is left was.
    "1 granted, 2 queued, 1 holder-died, 2 granted dirty, restart, 2 waits, 2 granted dirty, 2 released",
)
WRONG_RESTARTS = (
    ("two are lost", "1 granted, 2 queued, 3 queued, restart, 1 holds", "more than one thing"),
    ("back from the dead", "1 granted, 2 queued, 2 waiter-died, restart, 1 holds, 2 waits", "after its end"),
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
    ("what a dead one left is forgotten", "1 granted, 2 queued, 1 holder-died, restart, 2 waits, 2 granted",
     "clean, which"),
    ("a recorded holder is dropped by the time-out", "1 granted, 2 queued, restart, 1 holds, 2 waits, 1 overdue",
     "dropped by time"),
    ("overdue after it has come back", "1 granted, 2 queued, restart, 1 holds, 2 waits, 2 reclaimed, 2 overdue",
     "has come back"),
    ("waited for after it has come back", "1 granted, restart, 1 holds, 1 reclaimed, 1 awaited", "need not be"),
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


WORDS = {"moved": "served first", "forced": "released by force", "overdue":
         "has not come back after a restart, and waits no more", "awaited":
         "has not come back after a restart and lives", "holder-died": "died while it held the terminal",
         "waiter-died": "died while it waited"}
REFUSED = {"busy": ("refused", ", busy"), "double": ("refused", ", this task has asked already"),
           "circular": ("refused: it would wait for ever", "")}
EVENT = re.compile(r"(?:(?P<id>\d+) )?(?P<what>[a-z -]+?)(?P<dirty> dirty)?(?: under (?P<under>\d+))?"
                   r"(?: at (?P<at>\d+))?(?: by (?P<by>\d+))?")


def events(trace):
    """by: whose; else each has a process of its own, of its number."""
    for event in re.split(r",\s*", trace):
        m = EVENT.fullmatch(event)
        yield m, f"/dev/pts/{m['at'] or 1}", m["by"] or m["id"]


def as_log(trace):
    for m, terminal, pid in events(trace):
        if m["what"] == "missed":
            yield "ttylockd: 3 lines suppressed"
            continue
        words, note = REFUSED.get(m["what"], (WORDS.get(m["what"], m["what"]), ""))
        notes = [n for n in (m["under"] and f"under request {m['under']}", m["dirty"] and DIRTY) if n]
        yield (f"ttylockd: {terminal}: " + (f"request {m['id']} " if m["id"] else "")
               + f"{words}: pid {pid} (x), uid 0{note}" + (f", {': '.join(notes)}" if notes else ""))


def as_json(trace):
    for m, terminal, pid in events(trace):
        what = {"forced": "released", "holder-died": "died", "waiter-died": "died"}.get(m["what"], m["what"])
        if what in ("missed", "lost"):
            yield json.dumps({"event": what, "time": 1})
            continue
        yield json.dumps({"event": what, "time": 1, "terminal": terminal, "request": {
            "id": int(m["id"]), "pid": int(pid), "task": {"name": "t", "id": 1},
            **({"under": int(m["under"])} if m["under"] else {})}})


def self_test():
    failures = count = 0
    for form, good, wrong in ((as_log, (GOOD, *GOOD_LOGS), WRONG + WRONG_LOGS),
                              (as_json, (GOOD, *GOOD_TASKS), WRONG + WRONG_TASKS), (as_restart_log, GOOD_RESTARTS,
                               WRONG_RESTARTS)):
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
