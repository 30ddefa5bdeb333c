"""What replay.py follows: the lines of a daemon's log, or of `ttylock status --watch --json`, as
events. Knows no rules."""
import json
import re

LINE = re.compile(r"(?P<terminal>/\S+): (?:request (?P<id>\d+) )?(?P<what>[a-z ,-]+(?:: it would wait for "
                  r"ever)?): pid (?P<pid>\d+) ")
UNDER = re.compile(r", under request (\d+)(?:$|:)")
# As the log has them.
KINDS = {"queued": "queued", "granted": "granted", "released": "released",
         "released by force": "forced", "cancelled": "cancelled",
         "died while it held the terminal": "holder_died",
         "died while it waited": "waiter_died", "served first": "moved",
         "has not come back after a restart, and waits no more": "overdue",
         "has not come back after a restart and lives": "awaited",
         "may not be reclaimed": "denied", "may not be steered": "denied",
         "reclaimed": "reclaimed", "refused: it would wait for ever": "circular",
         "restored as holder": "restored", "restored as waiter": "restored"}
REFUSALS = {"busy": "busy", "this task has asked already": "double"}
DIRTY = "the last holder did not release"
RESTART = "ttylockd: reads the last daemon's record"
RESTORED = re.compile(r"restored as (holder|waiter): .*, grant (\d+)$")
GAP = "the trace has a gap"


class Wrong(Exception):
    pass


class Event:
    """kind: the name of the Replay's method. request: None of what was refused. dirty: whether
    it was told so, None: this trace does not say. task: None likewise."""

    def __init__(self, kind, terminal=None, request=None, under=None, pid=None, dirty=None,
                 task=None, restored=None):
        self.kind, self.terminal, self.request, self.under = kind, terminal, request, under
        self.pid, self.dirty, self.task, self.restored = pid, dirty, task, restored


def parse_json(event):
    kind = event["event"]
    if kind == "missed":
        raise Wrong(GAP)
    if kind == "lost":
        return Event("lost")
    r = event.get("request", {})
    if "id" not in r:
        if r:
            raise Wrong("a request is hidden from who wrote this")
        return None
    task = r.get("task") and (r["task"]["name"], r["task"]["id"])
    return Event(kind, event["terminal"], r["id"], r.get("under") or None, r.get("pid"), None, task)


def parse(line):
    """None for a line about something else."""
    line = line.strip()
    if line.startswith("{"):
        return parse_json(json.loads(line))
    if line == RESTART:
        return Event("restart")
    m = LINE.search(line)
    if not m:
        if "lines suppressed" in line:
            raise Wrong(GAP)
        return None
    kind, pid = KINDS.get(m["what"]), int(m["pid"])
    if m["what"] == "refused":
        kind = REFUSALS.get(line.rsplit(", ", 1)[1])
    if kind is None or (m["id"] is None) != (kind in ("busy", "double", "circular")):
        return None
    if kind == "restored":
        return Event(kind, m["terminal"], int(m["id"]), pid=pid, restored=RESTORED.search(line).groups())
    under = UNDER.search(line, m.end())
    return Event(kind, m["terminal"], m["id"] and int(m["id"]), int(under[1]) if under else None, pid,
                 line.endswith(DIRTY))
