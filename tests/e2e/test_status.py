"""`ttylock status`: every column, filter and exit status, hostile names, the tree,
the live screen, and its JSON against docs/status.schema.json."""
import contextlib
import copy
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import termios
import time

from harness import CRASH, Skip, TIMEOUT, TTYLOCK, main, test, until
from rawclient import HOSTILE_COMM, HOSTILE_ENTRY, client, false_daemon, lock_request
from schema import SCHEMA, check_event, check_status, complaints

COLUMNS = ["TERMINAL", "ID", "PLACE", "AGE", "PID", "REASON", "COMMAND", "TEXT", "UID", "USER",
           "ASKER", "ASKERCMD", "TASK", "UNDER", "TREE"]


def terminal_of(t):
    return os.readlink(f"/proc/{t.pid}/fd/0")


def hold(stage, *args):
    t = stage.spawn(TTYLOCK, "exec", *args, "--", "cat")
    t.sendline("mine")
    t.expect(r"mine\r\nmine\r\n")
    return t


def release(t):
    t.sendeof()
    assert t.finish() == 0


def beside(stage, t, *args):
    return subprocess.Popen([TTYLOCK, *args], env={**stage.env, "TTYLOCK_TTY": terminal_of(t)},
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, start_new_session=True)


def rows(stage, *args, status=0):
    out = stage.ttylock("status", *args)
    assert out.returncode == status and out.stderr == "", out
    return out.stdout.splitlines()


# --- the table ---------------------------------------------------------------------

@test
def every_column(stage):
    t = hold(stage, "--why", "a good reason")
    waiter = beside(stage, t, "exec", "--", "true")
    (holder, (w,)) = stage.until_waiting(1)
    want = {"TERMINAL": terminal_of(t), "ID": str(holder["id"]), "PLACE": "holds", "AGE": r"\d+s",
            "PID": str(t.pid), "REASON": "command", "COMMAND": "ttylock", "TEXT": "a good reason",
            "UID": str(os.getuid()), "USER": r"\w+", "ASKER": str(t.pid), "ASKERCMD": "ttylock",
            "TASK": "exec:1", "UNDER": "", "TREE": ""}
    assert list(want) == COLUMNS
    for name in COLUMNS:
        for spelled in (name, name.lower()):
            head, first, second = rows(stage, "-o", spelled)
            assert head.strip() == name, head
            assert re.fullmatch(want[name], first.strip()), (name, first)
        assert rows(stage, "-n", "-o", name)[0].strip() == first.strip()
        assert name in stage.ttylock("status", "--help").stdout
    assert rows(stage, "-no", "PLACE,PID")[1].split() == ["1", str(waiter.pid)]
    assert rows(stage, "--output", "pid,id")[0].split() == ["PID", "ID"]
    assert rows(stage, "-o", "+UID,TASK")[0].split() == COLUMNS[:8] + ["UID", "TASK"]
    assert second and w["pid"] == waiter.pid
    release(t)
    waiter.wait(TIMEOUT)


@test
def columns_that_tell_of_trees(stage):
    t = stage.run(TTYLOCK, "exec", "--", "cat")
    holder, _ = stage.until_waiting(0)
    under, tree = rows(stage, "-rno", "UNDER,TREE")[0].split()
    assert under == "-" and re.fullmatch(r"[0-9a-f]+", tree), (under, tree)
    release(t)
    nested = stage.spawn(TTYLOCK, "exec", "--", TTYLOCK, "exec", "--", "cat")
    until(lambda: len(rows(stage, "-n")) == 2, "a nested holder")
    top, below = (row.split() for row in rows(stage, "-rno", "ID,PLACE,UNDER"))
    assert top[1:] == ["holds", below[0]] and below[1:] == ["below", "-"], (top, below)
    tree = stage.ttylock("status", "--tree").stdout
    assert re.search(rf"  {top[0]} HOLDS: ", tree), tree
    assert re.search(rf"  {below[0]} HOLDS below: ", tree), tree
    assert len(check_status(stage.ttylock("status", "-J").stdout)["terminals"][0]["below"]) == 1
    release(nested)
    assert holder


@test
def raw_rows_can_be_split(stage):
    t = hold(stage, "--why", "two words \\ and a ü")
    row, = rows(stage, "-rn")
    assert row.split(" ")[7] == r"two\x20words\x20\x5c\x20and\x20a\x20ü", row
    head, _ = rows(stage, "--raw", "--output=ID,TEXT")
    assert head == "ID TEXT"
    release(t)


@test
def a_locale_without_such_characters(stage):
    t = hold(stage, "--why", "ü")
    out = stage.ttylock("status", "-no", "TEXT", env={"LANG": "C", "LC_ALL": "C"})
    assert out.stdout == "\\xc3\\xbc\n", out
    release(t)


# --- filters -----------------------------------------------------------------------

@test
def filters_and_their_status(stage):
    a, b = hold(stage, "--why", "at a"), hold(stage, "--why", "at b")
    waiter = beside(stage, a, "exec", "--why", "for a", "--", "true")
    until(lambda: len(rows(stage, "-n")) == 3, "three requests")
    tty = terminal_of(a)
    for name in (tty, tty.removeprefix("/dev/")):
        assert [r.split("  ")[-1].split()[-2:] for r in rows(stage, "-n", "--tty", name)] == [
            ["at", "a"], ["for", "a"]]
    assert len(rows(stage, "-n", "--pid", waiter.pid)) == 1
    assert len(rows(stage, "-n", "--pid", a.pid, "--tty", tty)) == 1
    for args in (["--tty", "/dev/null"], ["--pid", os.getpid()],
                 ["--pid", b.pid, "--tty", tty]):
        assert rows(stage, *args, status=1) == []
        out = stage.ttylock("status", "--json", *args)
        assert out.returncode == 1 and check_status(out.stdout)["terminals"] == []
    out = stage.ttylock("status", "--json", "--tty", tty)
    terminal, = check_status(out.stdout)["terminals"]
    assert out.returncode == 0 and terminal["terminal"] == tty and len(terminal["waiters"]) == 1
    terminal, = check_status(stage.ttylock("status", "-J", "--pid", waiter.pid).stdout)["terminals"]
    assert terminal["holder"] is None and terminal["waiters"][0]["pid"] == waiter.pid
    for name in ("/dev/no/such", "/etc/passwd", "", "\x1b[31m"):
        out = stage.ttylock("status", "--tty", name)
        assert out.returncode == 125 and re.fullmatch(r"ttylock: [^\n]+\n", out.stderr), out
    here = stage.spawn(TTYLOCK, "status", "--tty", "/dev/tty")
    assert here.finish() == 1 and here.shown == ""
    release(b)
    a.sendeof()
    waiter.wait(TIMEOUT)


# --- hostile names -------------------------------------------------------------------

@test
def hostile_names_are_harmless(stage):
    t = hold(stage)
    bad = [b"\x1b]0;owned\x07\x1b[2J", b"two\nlines\r\tand", b"\xc2\x9b31m", b"\x7f\x08",
           "right\u202eto left".encode(), b"\xff\xfe broken", b") 1 (", b"x" * 255,
           "\u4e2d\u00e4 fine".encode()]
    names = [b") 1 (", b"\x1b[31m", b"a\nb", b"\xff" * 15]
    with client(stage, terminal_of(t)) as s:
        for n, text in enumerate(bad, 1):
            s.sendall(lock_request(n, text, text[:63]))
        stage.until_waiting(len(bad))
        for args in ([], ["-r"], ["-o", ",".join(COLUMNS)], ["--json"], ["--tree"]):
            out = subprocess.run([TTYLOCK, "status", *args], env=stage.env, capture_output=True,
                                 stdin=subprocess.DEVNULL, timeout=TIMEOUT, check=True)
            shown = out.stdout.decode()  # it is UTF-8
            assert all(c.isprintable() for c in shown.replace("\n", "")), (args, shown)
            assert "\u4e2d" in shown
            if args == ["--json"]:
                check_status(shown)
            elif args != ["--tree"]:
                assert shown.count("\n") == len(bad) + 2, shown
    stage.until_waiting(0)
    release(t)
    for name in names:
        script = ("import sys, os; open('/proc/self/comm', 'wb').write(bytes.fromhex(sys.argv[1]));"
                  "os.kill(os.getpid(), 11)")
        t = stage.run("/usr/bin/python3", "-c", script, name.hex())
        t.banner()
        for args in (["-no", "COMMAND"], ["-rno", "COMMAND"], ["--tree"], ["--json"]):
            shown = stage.ttylock("status", *args).stdout
            assert all(c.isprintable() for c in shown.replace("\n", "")), (args, shown)
            if name == b") 1 (":
                assert (r")\x201\x20(" if "-rno" in args else ") 1 (") in shown, (args, shown)
            if args[0] == "-no":
                assert shown.count("\n") == 1, shown
        t.quit()
        assert t.finish() == 139


@test
def not_even_a_daemon_steers_the_readers_terminal(stage):
    """Whatever it says: the real one cleans all texts before."""
    with false_daemon(stage.path("s"), HOSTILE_ENTRY):
        for args in ([], ["-r"], ["-o", ",".join(COLUMNS)], ["--tree"]):
            out = stage.ttylock("status", *args, env={"TTYLOCK_SOCKET": stage.path("s")})
            assert out.returncode == 0 and "owned" in out.stdout, out
            assert all(c.isprintable() for c in out.stdout.replace("\n", "")), (args, out.stdout)
            assert out.stdout.count("\n") == 2, out.stdout
        screen = stage.spawn(TTYLOCK, "status", "--watch",
                             env={"TTYLOCK_SOCKET": stage.path("s"), "TERM": "xterm", "NO_COLOR": "1"})
        screen.expect("owned.*owned")
        screen.send("q")
        assert screen.finish() == 0
        plain = re.sub(r"\x1b\[(\?\d+[hl]|H|J|K)", "", screen.shown)
        assert all(c.isprintable() for c in re.sub(r"[\r\n]", "", plain)), plain
        lines = Lines(stage, env={"TTYLOCK_SOCKET": stage.path("s")})
        told = lines.process.stdout.readline() + lines.process.stdout.readline()
        assert "owned" in told and all(c.isprintable() for c in told.replace("\n", "")), told
        lines.close()
        out = stage.ttylock("status", "--json", env={"TTYLOCK_SOCKET": stage.path("s")})
        assert all(c.isprintable() for c in out.stdout.replace("\n", "")), out.stdout
        holder = json.loads(out.stdout)["terminals"][0]["holder"]
        assert holder["subject_comm"] == HOSTILE_COMM.decode(), "it is all there"


@test
def a_daemon_that_refuses_to_tell(stage):
    with false_daemon(stage.path("s"), None):
        for args in (["status"], ["status", "--json"], ["status", "--watch", "--json"],
                     ["trace", "-o", "/dev/null"], ["cancel", "1"], ["wait"]):
            out = stage.ttylock(*args, env={"TTYLOCK_SOCKET": stage.path("s")})
            assert out.returncode == 125 and out.stdout == "", (args, out)
            assert re.fullmatch(r"ttylock: [^\n]*too many [^\n]*\n", out.stderr, re.I), (args, out)


@test
def four_kib_of_text(stage):
    t = hold(stage, "--why", "ä" * 2048)
    row, = rows(stage, "-no", "TEXT")
    assert 200 < len(row.encode()) <= 255 and set(row) == {"ä"}
    with client(stage, terminal_of(t)) as s:
        # A frame may not be so long: that one goes, and nobody else.
        s.sendall(lock_request(1, b"x" * 4096))
        with contextlib.suppress(ConnectionResetError):
            assert s.recv(4096) == b""
    assert stage.requests()[0]["pid"] == t.pid
    release(t)


# --- on a terminal ---------------------------------------------------------------------

def on_screen(stage, *args, width=60, env=None):
    """What it shows on a terminal of that width, which it has before it begins."""
    t = stage.spawn("sh", "-c", "read go; exec \"$@\"", "sh", TTYLOCK, "status", *args,
                    env={"TERM": "xterm", **(env or {})})
    t.setwinsize(12, width)
    t.sendline("go")
    assert t.finish() == 0, t.shown
    return t.shown.partition("go\r\n")[2]


@test
def colours_and_width(stage):
    t = hold(stage, "--why", "w" * 200)
    for width in (20, 50, 60, 80):
        shown = on_screen(stage, width=width)
        plain = re.sub(r"\x1b\[\d*m", "", shown)
        assert "\x1b[32m" in shown and all(len(r) <= width for r in plain.split("\r\n")), shown
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in on_screen(stage, env=env)
    assert "\x1b[32m" in on_screen(stage, env={"NO_COLOR": ""})
    assert "\x1b" not in stage.ttylock("status", env={"TERM": "xterm"}).stdout
    assert "w" * 200 in stage.ttylock("status").stdout
    release(t)
    t = hold(stage, "--why", "\u4e2d" * 80)
    shown = on_screen(stage, width=61, env={"NO_COLOR": "1"})
    last = shown.split("\r\n")[1]
    assert len(last) + last.count("\u4e2d") <= 61 and "\u4e2d" in last, shown
    release(t)


@test
def the_tree(stage):
    t = stage.sh(f"{CRASH} abort & {CRASH} abort; wait")
    pid = t.banner()["pid"]
    _, waiters = stage.until_waiting(1)
    out = stage.ttylock("status", "--tree")
    assert out.returncode == 0 and out.stderr == "", out
    tree = out.stdout.splitlines()
    assert tree[0] == terminal_of(t), tree
    assert re.fullmatch(r"sh \(\d+\)", tree[1]), tree
    marked = [r for r in tree if "HOLDS" in r or "waits" in r]
    assert len(marked) == 2, tree
    assert any(re.fullmatch(rf"[|`]-- crash \({pid}\)  \d+ HOLDS: crash: SIGABRT.*", r)
               for r in marked), tree
    assert any(re.fullmatch(rf"[|`]-- crash \({waiters[0]['subject_pid']}\)  \d+ waits \(1\): .*",
                            r) for r in marked), tree
    assert "ttylock" not in "".join(tree[1:]), "our own helpers are not drawn"
    asker = stage.requests()[0]["pid"]
    assert asker != pid and len(rows(stage, "-n", "--pid", asker)) == 1, "who asks counts as well"
    only = stage.ttylock("status", "--tree", "--pid", pid)
    assert only.returncode == 0 and only.stdout.startswith(f"crash ({pid})  "), only
    assert stage.ttylock("status", "--tree", "--tty", "/dev/null").returncode == 1
    t.quit()
    t.banner()
    t.quit()
    t.finish()
    t = hold(stage)
    cat = stage.named("cat")[0]
    assert f"cat ({cat})  " in stage.ttylock("status", "--tree").stdout, "exec's command is marked"
    out = stage.ttylock("status", "--tree", "--pid", 2**31 - 1)
    assert out.returncode == 125 and "no such process" in out.stderr, out
    release(t)


ELSEWHERE = """
import fcntl, os, sys, termios
path = ''
while path != sys.argv[1]:
    master, slave = os.openpty()
    path = os.ttyname(slave)
os.setsid()
fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
print('ready', flush=True)
sys.stdin.read()
"""


@test
def a_containers_terminal_of_the_same_number(stage):
    if os.geteuid() != 0:
        raise Skip("only root can mount a devpts")
    t = hold(stage)
    script = ("mount -t devpts -o newinstance,ptmxmode=666 devpts /dev/pts && "
              "{ [ -L /dev/ptmx ] || mount --bind /dev/pts/ptmx /dev/ptmx; } && exec \"$@\"")
    other = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh",
                              "/usr/bin/python3", "-c", ELSEWHERE, terminal_of(t)], env=stage.env,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True)
    try:
        if other.stdout.readline() != "ready\n":
            raise Skip(f"no devpts of our own: {other.stderr.read().strip()}")
        with open(f"/proc/{other.pid}/stat", encoding="ascii") as f:
            theirs = f.read().rpartition(")")[2].split()[4]
        with open(f"/proc/{t.pid}/stat", encoding="ascii") as f:
            assert f.read().rpartition(")")[2].split()[4] == theirs, "the same number"
        tree = stage.ttylock("status", "--tree").stdout
        assert "cat (" in tree and f"({other.pid})" not in tree, tree
    finally:
        other.kill()
        other.communicate()
    release(t)


@test
def the_live_screen(stage):
    screen = stage.spawn(TTYLOCK, "status", "--watch", env={"TERM": "xterm", "NO_COLOR": "1"})
    screen.expect("no daemon runs")
    t = hold(stage, "--why", "first one")
    screen.expect(r"1 holds, 0 wait.*first one")
    w = beside(stage, t, "exec", "--why", "second one", "--", "true")
    screen.expect(r"1 holds, 1 waits.*first one.*second one")
    fcntl.ioctl(screen.child_fd, termios.TIOCSWINSZ, struct.pack("HHHH", 6, 30, 0, 0))
    screen.expect(r"\.\.\. and 1 more")
    os.kill(stage.daemon_pid(), signal.SIGKILL)
    screen.expect("no daemon runs")
    screen.sendintr()
    assert screen.finish() == 130
    assert screen.shown.endswith("\x1b[?25h\x1b[?1049l"), screen.shown[-100:]
    assert screen.is_sane()
    w.kill()
    w.wait(TIMEOUT)
    release(t)


@test
def leaving_the_live_screen(stage):
    """By q, with the terminal as it was; Ctrl-Z leaves it for a while."""
    t = stage.spawn("/bin/bash", "--norc", "-i", env={"PS1": "shell> ", "TERM": "xterm"})
    t.expect("shell> ")
    begin, end = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
    t.sendline(f"{TTYLOCK} status --watch")
    t.expect_exact(begin)
    t.expect("no daemon runs.*q leaves")
    assert "echo" not in t.modes() and "icanon" not in t.modes()
    t.send("x")  # no key of ours: it is not shown and does nothing
    t.send("\x1a")
    t.expect_exact(end)
    assert "x" not in t.before.rpartition("q leaves")[2]
    t.expect("Stopped.*shell> ")
    t.sendline("stty -a; fg")
    t.expect(r" icanon .* echo ")
    t.expect_exact(begin)
    until(lambda: "-echo" in t.modes() and "-icanon" in t.modes(), "it reads keys again")
    t.send("q")
    t.expect_exact(end)
    t.expect("shell> ")
    t.sendline("echo status $?; stty -a")
    t.expect(r"status 0\r\n.* icanon .* echo ")
    t.sendline("exit")
    assert t.finish() == 0


@test
def the_screen_leaves_the_modes_as_they_were(stage):
    for keys, status in (("q", 0), ("\x03", 130)):
        t = stage.spawn("/bin/sh", "-c", f"trap : INT; {TTYLOCK} status --watch; echo left $?; read x",
                        env={"TERM": "xterm"})
        t.expect("no daemon runs")
        until(lambda shown=t: "-echo" in shown.modes(), "it reads keys")
        t.send(keys)
        t.expect(f"left {status}\r\n")
        assert t.is_sane(), t.modes()
        t.sendline("")
        t.finish()


@test
def keys_are_not_needed(stage):
    screen = stage.spawn("/bin/sh", "-c", f"exec {TTYLOCK} status --watch </dev/null",
                         env={"TERM": "xterm"})
    screen.expect("no daemon runs")
    t = hold(stage)
    screen.expect("1 holds, 0 wait")
    os.kill(screen.pid, signal.SIGTERM)
    assert screen.finish() == 143
    assert screen.shown.endswith("\x1b[?25h\x1b[?1049l")
    release(t)


# --- events ----------------------------------------------------------------------------

class Lines:
    def __init__(self, stage, *args, env=None):
        self.process = subprocess.Popen([TTYLOCK, "status", "--watch", "--json", *map(str, args)],
                                        env={**stage.env, **(env or {})}, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True)

    def next(self):
        return check_event(self.process.stdout.readline())

    def until(self, name):
        while True:
            event = self.next()
            if event["event"] == name:
                return event

    def close(self):
        self.process.kill()
        self.process.wait(TIMEOUT)
        self.process.stdout.close()


@test
def every_event(stage):
    lines = Lines(stage)
    assert lines.next()["event"] == "lost", "none runs"
    t = hold(stage, "--why", "first")
    assert lines.next()["event"] == "back"
    a = beside(stage, t, "exec", "--why", "a", "--", "true")
    queued = lines.until("queued")
    assert queued["request"]["pid"] == a.pid and queued["request"]["position"] == 1
    assert queued["terminal"] == terminal_of(t)
    b = beside(stage, t, "exec", "--why", "b", "--", "true")
    assert lines.next()["request"]["position"] == 2
    assert stage.ttylock("next", "--pid", b.pid).returncode == 0
    moved = lines.next()
    assert moved["event"] == "moved" and moved["request"]["position"] == 1
    assert moved["request"]["pid"] == b.pid
    b.kill()
    b.wait(TIMEOUT)
    died = lines.next()
    assert died["event"] == "died" and died["request"]["pid"] == b.pid
    assert stage.ttylock("cancel", "--pid", a.pid).returncode == 0
    cancelled = lines.next()
    assert cancelled["event"] == "cancelled"
    assert re.fullmatch(r"ttylock \(pid \d+\), uid \d+", cancelled["by"])
    a.wait(TIMEOUT)
    release(t)
    released = lines.next()
    assert released["event"] == "released" and "by" not in released
    t = hold(stage)
    assert lines.next()["event"] == "granted"
    os.kill(stage.daemon_pid(), signal.SIGKILL)
    assert lines.next()["event"] == "lost"
    release(t)
    t = hold(stage)
    assert lines.until("back")
    release(t)
    lines.close()


@test
def events_of_one_terminal(stage):
    t, other = hold(stage), hold(stage)
    lines = Lines(stage, "--tty", terminal_of(t))
    assert lines.next()["event"] == "back"
    release(other)
    release(t)
    event = lines.next()
    assert event["event"] == "released" and event["request"]["pid"] == t.pid
    lines.close()


# --- JSON --------------------------------------------------------------------------------

@test
def the_schema_holds_and_bites(stage):
    check_status(stage.ttylock("status", "--json").stdout)
    t = hold(stage)
    w = beside(stage, t, "exec", "--", "true")
    stage.until_waiting(1)
    good = check_status(stage.ttylock("status", "--json").stdout)
    release(t)
    w.wait(TIMEOUT)
    for spoil in (lambda v: v.update(version=2), lambda v: v.pop("daemon"),
                  lambda v: v["terminals"][0].update(more=1),
                  lambda v: v["terminals"][0]["waiters"][0].update(position="1"),
                  lambda v: v["terminals"][0]["holder"].update(reason="fun"),
                  lambda v: v["terminals"][0]["holder"].update(id=0)):
        bad = copy.deepcopy(good)
        spoil(bad)
        assert list(complaints(bad, SCHEMA))


# --- many ----------------------------------------------------------------------------------

@test
def ten_thousand_waiters_in_one_piece(stage):
    count = 10000
    t = hold(stage)
    with client(stage, terminal_of(t)) as s:
        s.setblocking(False)
        left = b"".join(lock_request(n, b"waiter %d" % n) for n in range(1, count + 1))
        deadline = time.monotonic() + TIMEOUT
        while left:  # and its answers must be read meanwhile
            assert time.monotonic() < deadline
            with contextlib.suppress(BlockingIOError):
                left = left[s.send(left[:65536]):]
            with contextlib.suppress(BlockingIOError):
                s.recv(1 << 20)

        def drained():
            with contextlib.suppress(BlockingIOError):
                s.recv(1 << 20)
            return len(rows(stage, "-no", "ID")) == count + 1

        until(drained, "all of them")
        got = rows(stage, "-no", "PLACE,TEXT")
        assert [r.split() for r in got[1:]] == [[str(n), "waiter", str(n)]
                                                for n in range(1, count + 1)]
        status = check_status(stage.ttylock("status", "--json").stdout)
        assert len(status["terminals"][0]["waiters"]) == count
    release(t)


main()
