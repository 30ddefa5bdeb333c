"""Follows the trace of a real run by the rules of turns.pml.

    replay.py [--open] FILE...   a daemon's log, or lines of `ttylock status --watch --json`
    replay.py --self-test        wrong traces are rejected, each for its own reason

--open: the run need not be over at the end of the trace.

A trace must begin with the first request, and be whole. From a test: check(lines),
which raises Wrong."""
import json
import re
import sys

LINE = re.compile(r"(?P<terminal>/\S+): request (?P<id>\d+) (?P<what>[a-z ,-]+): pid ")
UNDER = re.compile(r", under request (\d+)(?:$|:)")
# As the log has them: told by their first words.
KINDS = (("queued", "queued"), ("granted", "granted"), ("released", "released"),
         ("cancelled", "cancelled"), ("died", "died"), ("served first", "moved"),
         ("has not come back after a restart, and waits no more", "died"), ("reclaimed", "reclaimed"))
IGNORED = ("back", "lost")


class Wrong(Exception):
    pass


def parse(line):
    """(kind, terminal, id, under or None), or None for a line about something else."""
    line = line.strip()
    if line.startswith("{"):
        event = json.loads(line)
        kind = event["event"]
        if kind == "missed":
            raise Wrong("the trace has a gap")
        if kind in IGNORED or "request" not in event:
            return None
        r = event["request"]
        return kind, event["terminal"], r["id"], r.get("under") or None
    m = LINE.search(line)
    if not m:
        if "lines suppressed" in line:
            raise Wrong("the trace has a gap")
        return None
    for words, kind in KINDS:
        if m["what"].startswith(words):
            under = UNDER.search(line, m.end())
            return kind, m["terminal"], int(m["id"]), int(under[1]) if under else None
    return None


class Terminal:
    """holders: the topmost last. waiters: in the order in which they would be served,
    each below the grant under which it is."""

    def __init__(self):
        self.holders = []
        self.under = {}  # of those that wait: the holder, or None
        self.queue = []
        self.free_by = None  # whose end has left it to the first of the queue

    def due(self):
        """Who must be granted it next; None: nobody."""
        top = self.holders[-1] if self.holders else None
        return next((r for r in self.queue if self.under[r] == top), None)

    def end_hold(self, request):
        at = self.holders.index(request)
        below = self.holders[at - 1] if at else None
        moved = [r for r in self.queue if self.under[r] == request]
        rest = [r for r in self.queue if self.under[r] != request]
        for r in moved:
            self.under[r] = below
        self.queue = moved + rest  # in front of those that waited there
        if at == len(self.holders) - 1:
            self.free_by = request
        del self.holders[at]


class Replay:
    def __init__(self):
        self.terminals = {}
        self.state = {}
        self.grants = 0

    def need(self, true, why):
        if not true:
            raise Wrong(why)

    def step(self, kind, terminal, request, under):
        t = self.terminals.setdefault(terminal, Terminal())
        state = self.state.get(request)
        self.need(state != "ended", f"request {request} is {kind} after its end")
        if t.free_by and kind not in ("died", "cancelled"):
            due = t.due()
            self.need(due is None or (kind, request) == ("granted", due),
                      f"request {due} is passed over: request {request} is {kind}")
            t.free_by = None
        getattr(self, kind)(t, request, state, under)

    def place(self, t, under):
        """The holder under which a new request stands; one that holds no more counts as none."""
        return under if under in t.holders else None

    def queued(self, t, request, state, under):
        self.need(state is None, f"request {request} is queued twice")
        self.need(t.holders, f"request {request} waits where nobody holds")
        t.under[request] = self.place(t, under)
        t.queue.append(request)
        self.state[request] = "waits"

    def granted(self, t, request, state, under):
        self.need(state != "holds", f"request {request} is granted twice")
        if state is None:
            t.under[request] = self.place(t, under)
            top = t.holders[-1] if t.holders else None
            self.need(t.under[request] == top,
                      f"request {request} is granted while request {top} holds")
            self.need(t.due() is None,
                      f"request {request} is granted before request {t.due()}, which waits")
        else:
            top = t.holders[-1] if t.holders else None
            self.need(t.under[request] == top,
                      f"request {request} is granted while request {top} holds")
            self.need(t.due() == request,
                      f"request {request} is granted before request {t.due()}, which came first")
            t.queue.remove(request)
        t.holders.append(request)
        self.state[request] = "holds"
        self.grants += 1

    def released(self, t, request, state, _under):
        self.need(state == "holds", f"request {request} is released, but does not hold")
        t.end_hold(request)
        self.state[request] = "ended"

    def cancelled(self, t, request, state, _under):
        self.need(state == "waits", f"request {request} is cancelled, but does not wait")
        t.queue.remove(request)
        self.state[request] = "ended"

    def died(self, t, request, state, under):
        self.need(state is not None, f"request {request} died, but was never there")
        (self.released if state == "holds" else self.cancelled)(t, request, state, under)

    def moved(self, t, request, state, _under):
        self.need(state == "waits", f"request {request} is moved, but does not wait")
        t.queue.remove(request)
        like = [i for i, r in enumerate(t.queue) if t.under[r] == t.under[request]]
        t.queue.insert(like[0] if like else len(t.queue), request)

    def reclaimed(self, _t, request, state, _under):
        self.need(state is not None, f"request {request} is reclaimed, but was never there")

    def finish(self, whole):
        for name, t in self.terminals.items():
            due = t.due() if t.free_by else None
            self.need(due is None, f"{name}: request {due} is not served")
            if whole:
                left = t.holders + t.queue
                self.need(not left, f"{name}: left at the end: {left}")


def check(lines, whole=True):
    """How many grants there were."""
    replay = Replay()
    for number, line in enumerate(lines, 1):
        try:
            event = parse(line)
            if event:
                replay.step(*event)
        except Wrong as e:
            raise Wrong(f"line {number}: {e}: {line.strip()}") from None
    replay.finish(whole)
    return replay.grants


# --- wrong traces --------------------------------------------------------------

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
    failures = 0
    for form in as_log, as_json:
        assert check(form(GOOD)) == 6
        for name, trace, why in WRONG:
            try:
                check(form(trace))
                found = "accepted"
            except Wrong as e:
                found = str(e)
            good = why in found
            failures += not good
            print(f"{'ok' if good else 'FAILED'}: {name} ({form.__name__}): {found}")
    count = 2 * len(WRONG)
    print(f"{count - failures} passed, {failures} failed, 0 skipped")
    return failures


def main(argv):
    if argv == ["--self-test"]:
        return 1 if self_test() else 0
    files = [a for a in argv if a != "--open"]
    for name in files:
        with open(name, errors="replace") as f:
            try:
                print(f"{name}: {check(f, whole='--open' not in argv)} grants, by the rules")
            except Wrong as e:
                print(f"{name}: {e}")
                return 1
    return 0 if files else 64


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
