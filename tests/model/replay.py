"""Follows the trace of a real run by the rules of turns.pml.

    replay.py [--open] FILE...   a daemon's log, or lines of `ttylock status --watch --json`
    replay.py --self-test        wrong traces are rejected, each for its own reason

--open: the run need not be over at the end of the trace. "-" is the standard input, so that a
log may be followed while it grows. Prints how much of what was in each trace, or the first line
that breaks a rule, and then ends with 1.

A trace must begin with the first request, and be whole. A log of level debug may go on
over deaths of the daemon: the next one says what it has found, and that may differ in one
thing from what was logged, what the last one was about when it died. From a test:
check(lines), which raises Wrong; or follow(lines), for a Replay with its counts."""
import collections
import contextlib
import json
import re
import sys

LINE = re.compile(r"(?P<terminal>/\S+): request (?P<id>\d+) (?P<what>[a-z ,-]+): pid ")
UNDER = re.compile(r", under request (\d+)(?:$|:)")
# As the log has them: told by their first words.
KINDS = (("queued", "queued"), ("granted", "granted"), ("released", "released"),
         ("cancelled", "cancelled"), ("died", "died"), ("served first", "moved"),
         ("has not come back after a restart, and waits no more", "died"), ("reclaimed", "reclaimed"),
         ("restored as", "restored"))
RESTART = "ttylockd: reads the last daemon's record"
RESTORED = re.compile(r"restored as (holder|waiter): .*, grant (\d+)$")
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
    if line == RESTART:
        return "restart", None, None, None
    m = LINE.search(line)
    if not m:
        if "lines suppressed" in line:
            raise Wrong("the trace has a gap")
        return None
    for words, kind in KINDS:
        if kind == "restored" and m["what"].startswith(words):
            return kind, m["terminal"], int(m["id"]), RESTORED.search(line).groups()
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


    def states(self):
        return [(r, "holds") for r in self.holders] + [(r, "waits") for r in self.queue]


def is_part(few, many):
    it = iter(many)
    return all(r in it for r in few)


def without(requests, one):
    return [r for r in requests if r != one]


def make_terminals(restored):
    """restored: (terminal, request, holder or waiter, its grant or the one that it is above)."""
    terminals, grants = {}, {}
    for name, request, what, grant in restored:
        t = terminals.setdefault(name, Terminal())
        if what == "holder":
            t.holders.append(request)
            grants[request] = int(grant)
        else:
            t.queue.append(request)
            t.under[request] = next((h for h in reversed(t.holders) if grants[h] <= int(grant)), None)
    for t in terminals.values():
        if t.due():
            t.free_by = "the last daemon"
    return terminals


class Replay:
    def __init__(self):
        self.terminals = {}
        self.state = {}
        self.counts = collections.Counter()
        self.absent = set()   # those that have not come back after a restart
        self.untold = set()   # of them, those that were granted it meanwhile
        self.restored = None  # while the next daemon says what it has found
        self.deaths = 0       # since one has said it

    def need(self, true, why):
        if not true:
            raise Wrong(why)

    def step(self, kind, terminal, request, under):
        if kind == "restored":
            self.need(self.restored is not None, "restored, but nobody has died")
            self.restored.append((terminal, request, *under))
            return
        self.counts[kind] += 1
        if kind == "restart":  # perhaps of one that died before it had said all
            self.restored = []
            self.deaths += 1
            return
        self.restart_ends()
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
        if request in self.absent:
            self.untold.add(request)
        self.counts["nested"] += t.under[request] is not None

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
        self.absent.discard(request)
        self.untold.discard(request)

    # --- a restart ---------------------------------------------------------------

    def restart_ends(self):
        """What the next daemon has found becomes the state, if it may be what there was."""
        if self.restored is None:
            return
        found, self.restored = make_terminals(self.restored), None
        gaps = self.gaps({r: s for t in found.values() for r, s in t.states()})
        for name, t in found.items():
            gaps += self.moves(self.terminals.get(name, Terminal()), t)
        self.need(len(gaps) <= self.deaths, f"more than one thing was not logged: {', '.join(gaps)}")
        self.deaths = 0
        self.terminals = found
        self.absent = {r for t in found.values() for r in t.holders + t.queue}
        self.untold.clear()

    def gaps(self, found):
        """What is known now and was not logged."""
        gaps = []
        for r in self.alive() - found.keys():
            gaps.append(f"the end of request {r}")
            self.state[r] = "ended"
        for r, state in found.items():
            was = self.state.get(r)
            self.need(was != "ended", f"request {r} is restored after its end")
            self.need((was, state) != ("waits", "holds"), f"request {r} came to hold by a restart")
            if was is None:
                self.need(state == "waits", f"request {r}, which nobody knew, holds after a restart")
                gaps.append(f"that request {r} was queued")
            elif was != state and r not in self.untold:
                gaps.append(f"that the grant of request {r} was not kept")
            self.state[r] = state
        return gaps

    def moves(self, was, found):
        """Those that wait now and did then: each under the same one, in the same order but for one."""
        for r in [h for h in was.holders if h not in found.holders]:
            if r in found.queue:
                was.holders.remove(r)
            else:
                was.end_hold(r)
        self.need(is_part(found.holders, was.holders), "holders are restored in another order")
        alike = [r for r in was.queue if r in found.queue]
        gaps = []
        for r in alike:
            self.need(was.under[r] == found.under[r], f"request {r} is restored under {found.under[r]}")
        for level in {was.under[r] for r in alike}:
            then = [r for r in alike if was.under[r] == level]
            now = [r for r in found.queue if r in then]
            if then == now:
                continue
            self.need(without(then, now[0]) == now[1:], f"waiters are restored in another order: {then} became {now}")
            gaps.append(f"that request {now[0]} was served first")
        return gaps

    def alive(self):
        return {r for r, state in self.state.items() if state != "ended"}

    def finish(self, whole):
        self.restart_ends()
        for name, t in self.terminals.items():
            due = t.due() if t.free_by else None
            self.need(due is None, f"{name}: request {due} is not served")
            if whole:
                left = t.holders + t.queue
                self.need(not left, f"{name}: left at the end: {left}")


def follow(lines, whole=True):
    """The Replay at the end of the lines, which may be any iterable, however long."""
    replay = Replay()
    for number, line in enumerate(lines, 1):
        try:
            event = parse(line)
            if event:
                replay.step(*event)
        except Wrong as e:
            raise Wrong(f"line {number}: {e}: {line.strip()}") from None
    replay.finish(whole)
    return replay


def check(lines, whole=True):
    """How many grants there were."""
    return follow(lines, whole).counts["granted"]


def main(argv):
    if argv == ["--self-test"]:
        from replay_cases import self_test
        return 1 if self_test() else 0
    files = [a for a in argv if a != "--open"]
    if not files or any(a.startswith("--") for a in files):
        print(__doc__)
        return 0 if files == ["--help"] else 64
    for name in files:
        with contextlib.nullcontext(sys.stdin) if name == "-" else open(name, errors="replace") as f:
            try:
                counts = follow(f, whole="--open" not in argv).counts
            except Wrong as e:
                print(f"{name}: {e}")
                return 1
        print(f"{name}: by the rules: " + ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()) if n))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
