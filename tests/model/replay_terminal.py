"""One terminal as replay.py has it: who holds it and waits, and what dead holders have left.
Changes as the lock table would; who may change it is for replay.py to say."""

# What dead holders have left on a level (daemon/left.c), as far as a trace tells: all pairs (dirty,
# untold) that are possible.
CLEAN = frozenset({(False, False)})
ANY = frozenset({(False, False), (True, False), (True, True)})


def left_dirty(level, _above, topmost):
    return {(True, untold or not topmost) for _, untold in level}


def left_untouched(level, above, _topmost):
    return {mine if mine[0] or not top[0] else top for mine in level for top in above}


def left_clean(level, above, topmost):
    mended = {mine if mine[1] else (False, False) for mine in level}
    return {top if not topmost and not mine[0] else mine for mine in mended for top in above}


class Terminal:
    """holders: the topmost last. waiters: in the order in which they would be served,
    each below the grant under which it is."""

    def __init__(self, left=CLEAN):
        self.holders = []
        self.under = {}  # of those that wait: the holder, or None
        self.queue = []
        self.free_by = None  # whose end has left it to the first of the queue
        self.left = {None: left}  # on top of each holder, and on the terminal

    def due(self):
        """Who must be granted it next; None: nobody."""
        top = self.holders[-1] if self.holders else None
        return next((r for r in self.queue if self.under[r] == top), None)

    def line(self):
        """All in the order in which they would be served, each holder behind those below it."""
        for holder in [*reversed(self.holders), None]:
            yield from (r for r in self.queue if self.under[r] == holder)
            if holder is not None:
                yield holder

    def told(self, request, dirty):
        """Whether what it is told of its level may be true."""
        level = self.holders[-1] if self.holders else None
        may_be = {d for d, _ in self.left[level] if dirty is None or d == dirty}
        self.left[level] = frozenset((d, False) for d in may_be)
        self.left[request] = CLEAN
        return bool(may_be)

    def end_hold(self, request, ends):
        """ends: by which of left_…() it may have ended."""
        at = self.holders.index(request)
        below = self.holders[at - 1] if at else None
        topmost = at == len(self.holders) - 1
        above = self.left.pop(request)
        self.left[below] = frozenset(s for end in ends for s in end(self.left[below], above, topmost))
        moved = [r for r in self.queue if self.under[r] == request]
        rest = [r for r in self.queue if self.under[r] != request]
        for r in moved:
            self.under[r] = below
        self.queue = moved + rest  # in front of those that waited there
        if topmost:
            self.free_by = request
        del self.holders[at]

    def rest(self):
        """With nobody there a dirty one may be forgotten."""
        if not self.holders and not self.queue:
            self.left[None] |= CLEAN

    def states(self):
        return [(r, "holds") for r in self.holders] + [(r, "waits") for r in self.queue]
