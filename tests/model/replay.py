"""Follows the trace of a real run by the rules of turns.pml, mend.pml and circle.pml.

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
import sys

from replay_terminal import ANY, CLEAN, Terminal, left_clean, left_dirty, left_untouched
from replay_trace import GAP, Wrong, parse

def reach(edges, start):
    """All for whom it waits, if only by way of others."""
    seen, todo = set(), [start]
    while todo:
        for there in edges.get(todo.pop(), ()):
            if there not in seen:
                seen.add(there)
                todo.append(there)
    return seen


def is_part(few, many):
    it = iter(many)
    return all(r in it for r in few)


def without(requests, one):
    return [r for r in requests if r != one]


def make_terminals(restored):
    """restored: events, each of a holder and its grant, or a waiter and the one that it is above."""
    terminals, grants = {}, {}
    for e in restored:
        t = terminals.setdefault(e.terminal, Terminal(ANY))
        what, grant = e.restored
        if what == "holder":
            t.holders.append(e.request)
            t.left[e.request] = ANY
            grants[e.request] = int(grant)
        else:
            t.queue.append(e.request)
            t.under[e.request] = next((h for h in reversed(t.holders) if grants[h] <= int(grant)), None)
    for t in terminals.values():
        if t.due():
            t.free_by = "the last daemon"
    return terminals


class Replay:
    def __init__(self):
        self.terminals = {}
        self.state = {}
        self.counts = collections.Counter()
        self.pid, self.task = {}, {}
        self.absent = set()   # those that have not come back after a restart
        self.untold = set()   # of them, those that were granted it meanwhile
        self.restored = None  # while the next daemon says what it has found
        self.deaths = 0       # since one has said it
        self.restarted = False

    def need(self, true, why):
        if not true:
            raise Wrong(why)

    def step(self, e):
        if e.kind == "restored":
            self.need(self.restored is not None, "restored, but nobody has died")
            self.restored.append(e)
            self.pid[e.request] = e.pid
            return
        self.counts[e.kind] += 1
        if e.kind == "restart":  # perhaps of one that died before it had said all
            self.restored = []
            self.deaths += 1
            self.restarted = True
            return
        if e.kind == "lost":  # whatever happened until the next daemon was met
            self.need(not self.alive(), GAP)
            return
        self.restart_ends()
        t = self.terminals.get(e.terminal)
        if not t:
            t = self.terminals[e.terminal] = Terminal(ANY if self.restarted else CLEAN)
        state = self.state.get(e.request)
        self.need(state != "ended", f"request {e.request} is {e.kind} after its end")
        if t.free_by and e.kind not in ("died", "waiter_died", "holder_died", "cancelled"):
            due = t.due()
            self.need(due is None or (e.kind, e.request) == ("granted", due),
                      f"request {due} is passed over: request {e.request} is {e.kind}")
            t.free_by = None
        getattr(self, e.kind)(t, e, e.request, state)
        t.rest()

    def place(self, t, under):
        """The holder under which a new request stands; one that holds no more counts as none."""
        return under if under in t.holders else None

    def comes(self, t, e):
        t.under[e.request] = self.place(t, e.under)
        self.pid[e.request] = e.pid
        if e.task is not None:
            self.task[e.request] = e.pid, e.task
            mine = [r for r in t.holders + t.queue if self.task.get(r) == (e.pid, e.task)]
            self.need(not mine, f"request {e.request} is a double lock: so has request {mine and mine[0]}")

    def queued(self, t, e, request, state):
        self.need(state is None, f"request {request} is queued twice")
        self.need(t.holders, f"request {request} waits where nobody holds")
        self.comes(t, e)
        t.queue.append(request)
        self.state[request] = "waits"
        self.check_circle(request)

    def granted(self, t, e, request, state):
        self.need(state != "holds", f"request {request} is granted twice")
        if state is None:
            self.comes(t, e)
        top = t.holders[-1] if t.holders else None
        self.need(t.under[request] == top, f"request {request} is granted while request {top} holds")
        if state is None:
            self.need(t.due() is None,
                      f"request {request} is granted before request {t.due()}, which waits")
        else:
            self.need(t.due() == request,
                      f"request {request} is granted before request {t.due()}, which came first")
            t.queue.remove(request)
        self.need(t.told(request, e.dirty), f"request {request} is told that the terminal is "
                  + ("dirty, which nobody left so" if e.dirty else "clean, which a dead one left dirty"))
        t.holders.append(request)
        self.state[request] = "holds"
        if request in self.absent:
            self.untold.add(request)
        self.counts["nested"] += t.under[request] is not None
        self.counts["dirty"] += bool(e.dirty)
        if state is None:
            self.check_circle(request)

    def end_hold(self, t, request, state, what, *ends):
        self.need(state == "holds", f"request {request} {what}, but does not hold")
        t.end_hold(request, [left_untouched] if request in self.untold else ends)
        self.state[request] = "ended"

    def end_wait(self, t, request, state, what):
        self.need(state == "waits", f"request {request} {what}, but does not wait")
        t.queue.remove(request)
        self.state[request] = "ended"

    def released(self, t, _e, request, state):
        # It does not say whether its owner had begun.
        self.end_hold(t, request, state, "is released", left_clean, left_untouched)

    def forced(self, t, _e, request, state):
        self.end_hold(t, request, state, "is released by force", left_dirty)

    def cancelled(self, t, _e, request, state):
        self.end_wait(t, request, state, "is cancelled")

    def holder_died(self, t, _e, request, state):
        self.end_hold(t, request, state, "died in its hold", left_dirty)

    def waiter_died(self, t, _e, request, state):
        self.end_wait(t, request, state, "died as it waited")

    def died(self, t, e, request, state):
        self.need(state is not None, f"request {request} died, but was never there")
        (self.holder_died if state == "holds" else self.waiter_died)(t, e, request, state)

    def overdue(self, t, _e, request, state):
        """By time alone: never what was told that it holds."""
        self.need(request in self.absent, f"request {request} has come back, and is overdue")
        if state == "holds":
            self.need(request in self.untold, f"request {request} is a recorded holder, and is dropped by time")
            self.end_hold(t, request, state, "is overdue", left_untouched)
        else:
            self.end_wait(t, request, state, "is overdue")

    def awaited(self, _t, _e, request, state):
        self.need(state == "holds" and request in self.absent - self.untold,
                  f"request {request} is waited for, and need not be")

    def denied(self, _t, _e, request, state):
        self.need(state is not None, f"request {request} is denied, but was never there")

    def moved(self, t, _e, request, state):
        self.need(state == "waits", f"request {request} is moved, but does not wait")
        t.queue.remove(request)
        like = [i for i, r in enumerate(t.queue) if t.under[r] == t.under[request]]
        t.queue.insert(like[0] if like else len(t.queue), request)
        self.check_circle(request)

    def reclaimed(self, _t, _e, request, state):
        self.need(state is not None, f"request {request} is reclaimed, but was never there")
        self.absent.discard(request)
        self.untold.discard(request)

    # --- what is refused ---------------------------------------------------------

    def busy(self, t, _e, _request, _state):
        self.need(t.holders or t.queue, "refused as busy where nobody holds or waits")

    def double(self, t, e, _request, _state):
        self.need(any(self.pid[r] == e.pid for r in t.holders + t.queue),
                  f"refused as a double lock, but pid {e.pid} has asked for nothing there")

    def circular(self, t, e, _request, _state):
        """The log names processes, not tasks: a circle of tasks is one of their processes, too. Whoever
        asks for a terminal waits for others there, or under a grant keeps them waiting."""
        there = {self.pid[r] for r in t.holders + t.queue}
        edges = self.waits(self.pid)
        self.need(any(e.pid in reach(edges, pid) or pid in reach(edges, e.pid) for pid in there)
                  or e.pid in there, f"refused as a circle of waits, but pid {e.pid} would close none")

    def waits(self, who):
        """Who waits for whom."""
        edges = collections.defaultdict(set)
        for t in self.terminals.values():
            before = []
            for r in t.line():
                if self.state[r] == "waits":
                    edges[who[r]].update(who[b] for b in before)
                before.append(r)
        return edges

    def check_circle(self, request):
        """Where the trace names the tasks."""
        if request in self.task and self.task.keys() >= self.alive():
            mine = self.task[request]
            self.need(mine not in reach(self.waits(self.task), mine),
                      f"request {request} closes a circle of waits")

    # --- a restart ---------------------------------------------------------------

    def restart_ends(self):
        """What the next daemon has found becomes the state, if it may be what there was."""
        if self.restored is None:
            return
        found, self.restored = make_terminals(self.restored), None
        held = {r for r, state in self.state.items() if state == "holds"}
        gaps = self.gaps({r: s for t in found.values() for r, s in t.states()})
        whole = all(self.state[r] != "ended" for r in held)
        for name, t in found.items():
            was = self.terminals.get(name, Terminal(ANY))
            self.keep_left(was, t, whole)
            gaps += self.moves(was, t)
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
                was.end_hold(r, [left_untouched])
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

    def keep_left(self, was, found, whole):
        """What is left on top of all holders is on record before an end is logged, and nothing but
        an end that was not could have changed it since."""
        top = found.holders[-1] if found.holders else None
        if whole and top in was.left:
            found.left[top] = frozenset((d, u) for d, _ in was.left[top] for u in (False, d))

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
                replay.step(event)
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
