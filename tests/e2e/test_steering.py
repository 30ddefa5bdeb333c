"""The person at the second terminal steers: cancel, next, release --force, skip,
wait. And each subcommand's --help, wrong arguments and absent daemon."""
import os
import re
import shutil
import signal
import socket
import subprocess

from harness import BUILD, CRASH, PARTS, Skip, TIMEOUT, TTYLOCK, is_alive, main, test, until
from rawclient import HOSTILE_ENTRY, client, false_daemon, lock_request
from users import OURS, THEIRS, as_user, open_daemon, somebody


def terminal_of(t):
    return os.readlink(f"/proc/{t.pid}/fd/0")


def hold(stage, *args):
    t = stage.spawn(TTYLOCK, "exec", *args, "--", "cat")
    t.sendline("mine")
    t.expect(r"mine\r\nmine\r\n")
    return t


def queue_up(stage, t, *args):
    """`ttylock args` for the terminal of t, from elsewhere, once it waits: the
    process and its request's id."""
    before = len(stage.status()["terminals"][0]["waiters"])
    p = subprocess.Popen([TTYLOCK, *args], env={**stage.env, "TTYLOCK_TTY": terminal_of(t)},
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True, start_new_session=True)
    _, waiters = stage.until_waiting(before + 1)
    return p, waiters[-1]["id"]


def waiting(stage):
    return [w["id"] for w in stage.requests()[1]]


def ended(p, status, out="", err=""):
    said = p.communicate(timeout=TIMEOUT)
    assert p.returncode == status and said[0] == out and re.search(err, said[1]), (
        p.returncode, said)


def line(out, status, pattern=None):
    """One line of ours on standard error, or with no pattern nothing at all."""
    assert out.returncode == status, out
    if pattern is None:
        assert out.stderr == "", out
        return
    assert out.stdout == "" and re.fullmatch(r"ttylock: [^\n]+\n", out.stderr), out
    assert re.search(pattern, out.stderr), (pattern, out.stderr)


# --- the command lines ---------------------------------------------------------

USAGE = [
    (["status", "-o"], "'-o' wants a value"),
    (["status", "-o", "FROB"], "no column 'FROB'"),
    (["status", "-o", "ID,,PID"], "no column ''"),
    (["status", "-o", ""], "no column ''"),
    (["status", "--output=" + "ID," * 40 + "ID"], "too many columns"),
    (["status", "-J", "-n"], "not for --json"),
    (["status", "-J", "-o", "ID"], "not for --json"),
    (["status", "--tree", "--json"], "--tree goes with"),
    (["status", "--tree", "--watch"], "--tree goes with"),
    (["status", "--watch"], "needs a terminal, or --json"),
    (["status", "--pid"], "'--pid' wants a value"),
    (["status", "--pid", "0"], "not a pid: '0'"),
    (["status", "--pid", "x"], "not a pid: 'x'"),
    (["status", "--tty"], "'--tty' wants a value"),
    (["status", "-x"], "no option '-x'"),
    (["status", "1"], "no argument '1'"),
    (["release"], "or by --force"),
    (["release", "1"], "or by --force"),
    (["release", "--force"], "--yes is needed"),
    (["release", "--force", "--yes", "x"], "not an ID: 'x'"),
    (["release", "--force", "--yes", "1", "2"], "one request at a time"),
    (["release", "--frob"], "no option '--frob'"),
    (["skip", "x"], "not an ID: 'x'"),
    (["skip", "1", "2"], "one request at a time"),
    (["skip", "--frob"], "no option '--frob'"),
    (["wait", "1"], "no argument '1'"),
    (["wait", "-w"], "'-w' wants a value"),
    (["wait", "--timeout", "soon"], "number of seconds, not 'soon'"),
    (["wait", "--all", "--tty", "/dev/pts/0"], "one of --all and --tty"),
    (["wait", "-n"], "no option '-n'"),
    (["trace"], "-o FILE"),
    (["trace", "--", "true"], "-o FILE"),
    (["trace", "-o"], "'-o' wants a value"),
    (["trace", "-w", "soon", "-o", "x"], "number of seconds, not 'soon'"),
    (["trace", "-w", "1", "-o", "x", "--", "true"], "-w goes with no COMMAND"),
    (["trace", "--frob"], "no option '--frob'"),
    (["dump", "1", "2"], ""),
    (["dump", "x"], "not a pid: 'x'"),
    (["dump", "--frob"], "no option '--frob'"),
    (["shell", "1"], "no argument '1'"),
    (["shell", "-c"], "'-c' wants a value"),
    (["shell", "--frob"], "no option '--frob'"),
] + [([name, *args], pattern) for name in ("cancel", "next") for args, pattern in (
    ([], "which request"),
    (["1", "2"], "one request at a time"),
    (["x"], "neither an ID nor a PID: 'x'"),
    (["0"], "neither an ID nor a PID: '0'"),
    (["--", "-1"], "neither an ID nor a PID: '-1'"),
    (["99999999999999999999"], "neither an ID nor a PID"),
    (["--id", "--pid", "1"], "one of --id and --pid"),
    (["--frob"], "no option '--frob'"),
)]

COMMANDS = ["run", "exec", "debug", "status", "cancel", "next", "release", "skip", "wait", "trace",
            "dump", "shell"]

ABSENT = [  # what each says and returns where no daemon runs
    (["status"], 0, None),
    (["status", "--json"], 0, None),
    (["status", "--pid", "1"], 1, None),
    (["cancel", "1"], 1, "no daemon runs.*'ttylock run'"),
    (["next", "1"], 1, "no daemon runs.*'ttylock run'"),
    (["release", "--force", "--yes"], 1, "no daemon runs.*'ttylock run'"),
    (["skip"], 1, "no daemon runs.*'ttylock run'"),
    (["wait"], 0, None),
    (["wait", "--all", "--timeout", "0"], 0, None),
    (["trace", "-o", "/dev/null"], 1, "no daemon runs.*'ttylock trace -o FILE -- COMMAND'"),
]


@test
def wrong_arguments(stage):
    t = hold(stage)
    for args, pattern in USAGE:
        line(stage.ttylock(*args), 64, f"^ttylock: {args[0]}: .*{pattern}.*see 'ttylock {args[0]} --help'")
    assert waiting(stage) == []
    t.sendeof()
    assert t.finish() == 0


@test
def help_for_each(stage):
    for name in COMMANDS:
        for option in ("--help", "-h"):
            out = stage.ttylock(name, option)
            assert out.returncode == 0 and out.stderr == "", out
            assert out.stdout.startswith(f"Usage: ttylock {name} ") and "Exit status: " in out.stdout
            assert all(len(row) <= 95 for row in out.stdout.splitlines()), out.stdout
    listed = stage.ttylock("--help").stdout
    assert re.findall(r"^  ([a-z]+) +[A-Z]", listed, re.M) == COMMANDS, listed


@test
def no_daemon(stage):
    for args, status, pattern in ABSENT:
        line(stage.ttylock(*args), status, pattern)
    assert not os.path.exists(stage.path("ttylock")), "and none was started"


@test
def no_daemon_to_start(stage):
    """Those that would start one, where there is none: what to do, in one line."""
    os.mkdir(stage.path("alone"))
    program = shutil.copy(TTYLOCK, stage.path("alone"))
    for name in PARTS:
        shutil.copy(os.path.join(BUILD, name), stage.path("alone"))
    if shutil.which("ttylockd", path="/usr/local/sbin:/usr/sbin:/usr/local/lib/ttylock"):
        raise Skip("a ttylockd is installed")
    what = r"no ttylockd was found to start: install it beside ttylock, or set TTYLOCK_SOCKET\r\n"
    for args, status in ((["exec", "--", "true"], 125), (["debug", os.getpid()], 125),
                         (["run", "--", "sh", "-c", "exit 7"], 7),
                         (["trace", "-o", "/dev/null", "--", "sh", "-c", "exit 7"], 7)):
        t = stage.spawn(program, *args)
        assert t.finish() == status, (args, t.shown)
        assert re.search(what, t.shown), (args, t.shown)
        assert t.shown.count("no ttylockd was found") == t.shown.count("\n") == 1, (args, t.shown)


@test
def what_listens_is_no_daemon(stage):
    path = stage.path("s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)  # and never listens
        for args, status, _ in ABSENT:
            out = stage.ttylock(*args, env={"TTYLOCK_SOCKET": path})
            assert out.returncode == status, out
    os.unlink(path)
    os.mkfifo(path)
    for args, _, _ in ABSENT:
        out = stage.ttylock(*args, env={"TTYLOCK_SOCKET": path})
        assert out.returncode in (0, 1, 125) and out.stderr.count("\n") <= 1, out


# --- cancel ----------------------------------------------------------------------

@test
def cancel_by_id(stage):
    t = hold(stage)
    a, id_a = queue_up(stage, t, "exec", "--", "echo", "a")
    b, id_b = queue_up(stage, t, "exec", "--", "echo", "b")
    line(stage.ttylock("cancel", "--id", id_a), 0)
    ended(a, 125, "", r"^ttylock: the request was cancelled by ttylock \(pid \d+\), uid \d+\n$")
    assert waiting(stage) == [id_b]
    line(stage.ttylock("cancel", "--id", id_a), 1, f"no request {id_a}")
    holder = stage.requests()[0]["id"]
    line(stage.ttylock("cancel", "--id", holder), 1, "holds the terminal: 'ttylock release --force'")
    line(stage.ttylock("cancel", 10**9), 1, "no request")
    t.sendeof()
    assert t.finish() == 0
    ended(b, 0, "b\n")


@test
def cancel_by_pid(stage):
    t = hold(stage)
    a, _ = queue_up(stage, t, "exec", "--", "echo", "a")
    b, id_b = queue_up(stage, t, "exec", "--", "echo", "b")
    line(stage.ttylock("cancel", "--pid", a.pid), 0)
    ended(a, 125, "", "cancelled by")
    assert waiting(stage) == [id_b]
    line(stage.ttylock("cancel", "--pid", t.pid), 1, "holds the terminal")
    line(stage.ttylock("cancel", "--pid", a.pid), 1, "has no request here")
    line(stage.ttylock("cancel", b.pid), 0)
    ended(b, 125, "", "cancelled by")
    t.sendeof()
    assert t.finish() == 0


@test
def one_process_with_many_requests(stage):
    """By its pid: what waits, in the order in which it was asked, and nothing that holds."""
    t, other = hold(stage), stage.spawn("sleep", "1000")
    a, id_a = queue_up(stage, t, "exec", "--", "true")
    with client(stage, terminal_of(other), terminal_of(t)) as s:
        s.sendall(b"".join(lock_request(n, terminal=n > 1) for n in range(1, 5)))
        until(lambda: len(stage.status()["terminals"]) == 2, "it holds one")

        def queue():
            waiters, = (x["waiters"] for x in stage.status()["terminals"]
                        if x["terminal"] == terminal_of(t))
            return [w["task"]["id"] if w["pid"] == os.getpid() else w["id"] for w in waiters]

        until(lambda: len(queue()) == 4, "it waits for the other")
        line(stage.ttylock("next", "--pid", os.getpid()), 0)
        assert queue() == [2, 3, 4, id_a]
        line(stage.ttylock("cancel", "--pid", os.getpid()), 0)
        assert queue() == [id_a] and len(stage.status()["terminals"]) == 2
    t.sendeof()
    assert t.finish() == 0
    ended(a, 0)


@test
def a_cancelled_crash_ends_as_without_us(stage):
    stage.expect_plain(["sh", "-c", f"{CRASH} abort"], 134)
    t = stage.sh(f"{CRASH} segv & {CRASH} abort; echo \"status $?\"; wait $!; echo \"status $?\"")
    t.banner()
    _, waiters = stage.until_waiting(1)
    line(stage.ttylock("cancel", "--pid", waiters[0]["subject_pid"]), 0)
    assert waiting(stage) == []
    until(lambda: not is_alive(waiters[0]["subject_pid"]), "the end of the process")
    t.quit()
    assert t.finish() == 0
    assert "cancelled" not in t.shown, "over a debugger's screen, what its own user did elsewhere"
    assert sorted(re.findall(r"status (\d+)", t.shown)) == ["134", "139"], t.shown


# --- next --------------------------------------------------------------------------

@test
def next_is_served_first(stage):
    t = hold(stage)
    all_ = [queue_up(stage, t, "exec", "--", "sh", "-c", f"echo {n} >>{stage.path('order')}")
            for n in range(4)]
    ids = [i for _, i in all_]
    line(stage.ttylock("next", "--id", ids[2]), 0)
    assert waiting(stage) == [ids[2], ids[0], ids[1], ids[3]]
    line(stage.ttylock("next", "--pid", all_[3][0].pid), 0)
    assert waiting(stage) == [ids[3], ids[2], ids[0], ids[1]]
    line(stage.ttylock("next", "--id", ids[3]), 0)
    assert waiting(stage) == [ids[3], ids[2], ids[0], ids[1]]
    assert [w["position"] for w in stage.requests()[1]] == [1, 2, 3, 4]
    holder = stage.requests()[0]["id"]
    line(stage.ttylock("next", "--id", holder), 1, "holds the terminal")
    line(stage.ttylock("next", "--id", 10**9), 1, "no request")
    t.sendeof()
    assert t.finish() == 0
    for p, _ in all_:
        ended(p, 0)
    with open(stage.path("order"), encoding="ascii") as f:
        assert f.read().split() == ["3", "2", "0", "1"]
    assert stage.replay() == 5


# --- release -----------------------------------------------------------------------

@test
def release_by_force(stage):
    t = hold(stage)
    cat = until(lambda: stage.named("cat"), "cat runs")[0]
    a, _ = queue_up(stage, t, "exec", "--", "echo", "a")
    held = stage.requests()[0]["id"]
    line(stage.ttylock("release", "--force", "--yes", held), 0)
    t.expect(r"ttylock: the terminal was taken from pid (\d+) by force: by ttylock \(pid \d+\), "
             r"uid \d+\r\n")
    assert t.finish() == 137
    assert not is_alive(cat)
    ended(a, 0, "a\n")
    line(stage.ttylock("release", "--force", "--yes", held), 1, "no request|no daemon")


@test
def release_of_one_that_waits_and_of_none(stage):
    t = hold(stage)
    a, id_a = queue_up(stage, t, "exec", "--", "echo", "a")
    line(stage.ttylock("release", "--force", "--yes", id_a), 1, "waits: 'ttylock cancel'")
    line(stage.ttylock("release", "--force", "--yes", 10**9), 1, "no request")
    t.sendeof()
    assert t.finish() == 0
    ended(a, 0, "a\n")
    keeper = stage.run("cat")  # a daemon runs, and nobody holds anything
    until(lambda: stage.named("cat"), "its tree, for which one stays that may be about to end")
    line(stage.ttylock("release", "-fy"), 1, "no terminal is held")
    line(stage.ttylock("skip"), 1, "no terminal is held")
    keeper.sendeof()
    keeper.finish()


@test
def release_asks_on_a_terminal(stage):
    t = hold(stage, "--why", "stuck")
    for answer, freed in (("n", False), ("", False), ("maybe", False), ("y", True)):
        second = stage.spawn(TTYLOCK, "release", "--force")
        second.expect(r"Take (/dev/pts/\d+) from ttylock \(pid (\d+)\): stuck\? \[y/N\] ")
        assert second.match[1] == terminal_of(t) and int(second.match[2]) == t.pid
        second.sendline(answer)
        assert second.finish() == (0 if freed else 1), second.shown
    t.expect("taken from pid")
    assert t.finish() == 137


@test
def several_terminals_are_held(stage):
    t, other = hold(stage), hold(stage)
    line(stage.ttylock("release", "--force", "--yes"), 1, "several terminals are held")
    line(stage.ttylock("skip"), 1, "several terminals are held")
    # The one that we are on comes first.
    line(stage.ttylock("release", "--force", "--yes", env={"TTYLOCK_TTY": terminal_of(t)}), 0)
    t.expect("taken from pid")
    t.finish()
    other.sendeof()
    assert other.finish() == 0


@test
def a_released_crash_ends_as_without_us(stage):
    t = stage.run(CRASH, "segv")
    pid = t.banner()["pid"]
    holder, _ = stage.until_waiting(0)
    line(stage.ttylock("release", "--force", "--yes", holder["id"]), 0)
    t.expect(r"ttylock: the terminal was taken from pid \d+ by force: by ttylock \(pid \d+\), ")
    assert t.finish() == 139
    assert not is_alive(pid) and not stage.named("gdb")
    assert t.shown.count("taken from pid") == 1


@test
def release_asks_harmlessly(stage):
    with false_daemon(stage.path("s"), HOSTILE_ENTRY):
        second = stage.spawn(TTYLOCK, "release", "--force", env={"TTYLOCK_SOCKET": stage.path("s")})
        second.expect(r"Take .* from \) 1 \(.* \(pid 1\): .*owned.*\? \[y/N\] ")
        assert all(c.isprintable() for c in second.after), second.after
        second.sendline("n")
        assert second.finish() == 1


# --- skip ----------------------------------------------------------------------------

@test
def skip_is_for_one_reason(stage):
    t = hold(stage, "--why", "here")
    with client(stage, terminal_of(t)) as s:
        for n, reason in ((1, 3), (2, 1), (3, 2), (4, 3)):
            s.sendall(lock_request(n, b"here", reason=reason))
        _, waiters = stage.until_waiting(4)
        assert [w["reason"] for w in waiters] == ["command", "breakpoint", "crash", "command"]
        out = stage.ttylock("skip")
        assert out.returncode == 0 and out.stdout == "2 cancelled\n", out
        assert [w["reason"] for w in stage.requests()[1]] == ["breakpoint", "crash"]
    t.sendeof()
    assert t.finish() == 0


@test
def skip_those_alike(stage):
    t = hold(stage, "--why", "parse.c:7")
    alike = [queue_up(stage, t, "exec", "--why", "parse.c:7", "--", "echo", "x") for _ in range(3)]
    other, id_other = queue_up(stage, t, "exec", "--why", "parse.c:70", "--", "echo", "other")
    # On another terminal: that is somebody else's.
    far = hold(stage, "--why", "parse.c:7")
    spared = subprocess.Popen([TTYLOCK, "exec", "--why", "parse.c:7", "--", "true"],
                              env={**stage.env, "TTYLOCK_TTY": terminal_of(far)},
                              stdin=subprocess.DEVNULL, start_new_session=True)
    until(lambda: sum(len(x["waiters"]) for x in stage.status()["terminals"]) == 5, "five waiters")
    held, = (x["holder"]["id"] for x in stage.status()["terminals"]
             if x["terminal"] == terminal_of(t))
    out = stage.ttylock("skip", held)
    line(out, 0)
    assert out.stdout == "3 cancelled\n", out
    for p, _ in alike:
        ended(p, 125, "", "cancelled by")
    assert spared.poll() is None
    far.sendeof()
    assert spared.wait(TIMEOUT) == 0
    assert far.finish() == 0
    assert waiting(stage) == [id_other]
    line(stage.ttylock("skip"), 1, "nobody waits for that reason")
    out = stage.ttylock("skip", id_other)
    assert out.returncode == 0 and out.stdout == "1 cancelled\n", out
    ended(other, 125, "", "cancelled by")
    line(stage.ttylock("skip", 10**9), 1, "no request")
    t.sendeof()
    assert t.finish() == 0


# --- wait -------------------------------------------------------------------------------

@test
def wait_until_idle(stage):
    t = hold(stage)
    a, _ = queue_up(stage, t, "exec", "--", "sh", "-c", "read x <" + stage.path("go"))
    os.mkfifo(stage.path("go"))
    line(stage.ttylock("wait", "--timeout", "0.1"), 124)
    line(stage.ttylock("wait", "-a", "-w", "0"), 124)
    line(stage.ttylock("wait", "--tty", terminal_of(t), "-w", "0"), 124)
    line(stage.ttylock("wait", "--tty", terminal_of(t).removeprefix("/dev/"), "-w", "0"), 124)
    line(stage.ttylock("wait", "--tty", "/dev/null", "-w", "0"), 0)
    line(stage.ttylock("wait", "--tty", "/dev/no/such"), 125, "no such terminal")
    line(stage.ttylock("wait", "-w", "0", env={"TTYLOCK_TTY": terminal_of(t)}), 124)
    w = subprocess.Popen([TTYLOCK, "wait"], env=stage.env, stdin=subprocess.DEVNULL,
                         start_new_session=True)
    t.sendeof()
    # Not its terminal's end: the next one has that open.
    until(lambda: not t.isalive() and waiting(stage) == [], "the waiter is served")
    assert w.poll() is None, "a terminal that is handed over is not idle"
    with open(stage.path("go"), "w", encoding="ascii") as f:
        f.write("go\n")
    ended(a, 0)
    assert w.wait(TIMEOUT) == 0


@test
def wait_goes_on_with_the_next_daemon(stage):
    t = hold(stage)
    daemon = stage.daemon_pid()
    w = subprocess.Popen([TTYLOCK, "wait"], env=stage.env, stdin=subprocess.DEVNULL,
                         start_new_session=True)

    def has_asked():
        os.kill(daemon, signal.SIGUSR1)  # it lists its peers
        with open(stage.path("ttylock/ttylockd.log"), encoding="utf-8") as f:
            return re.search(rf"dump: peer \d+: pid {w.pid} .*, watches", f.read())

    until(has_asked, "it has asked")
    os.kill(daemon, signal.SIGKILL)
    until(lambda: stage.daemon_pid() not in (None, daemon), "the next daemon")
    stage.until_waiting(0)
    assert w.poll() is None
    t.sendeof()
    assert t.finish() == 0
    assert w.wait(TIMEOUT) == 0


# --- a second user ------------------------------------------------------------------------

@test
def a_second_user_sees_it_and_can_do_nothing(stage):
    program = somebody(stage)
    with open_daemon(stage):
        t = hold(stage, "--why", "secret")
        a, id_a = queue_up(stage, t, "exec", "--why", "secret", "--", "echo", "a")
        held = stage.requests()[0]["id"]
        for uid in (OURS, THEIRS):
            out = as_user(stage, uid, program, "status")
            assert out.returncode == 0, out
            assert "secret" not in out.stdout and str(t.pid) not in out.stdout.split(), out
            rows = [row.split() for row in out.stdout.splitlines()[1:]]
            assert [r[:3] for r in rows] == [[terminal_of(t), "-", "holds"],
                                             [terminal_of(t), "-", "1"]], rows
            assert as_user(stage, uid, program, "status", "--tty", terminal_of(t)).returncode == 0
            assert as_user(stage, uid, program, "status", "--pid", t.pid).returncode == 1
            tree = as_user(stage, uid, program, "status", "--tree").stdout
            assert "secret" not in tree and "another user's  HOLDS" in tree, tree
            denied = r"is another user's|has no request here"
            for args in (["cancel", id_a], ["cancel", "--pid", a.pid], ["next", id_a],
                         ["release", "-fy", held], ["release", "-fy"], ["skip", id_a], ["skip"],
                         ["skip", held]):
                out = as_user(stage, uid, program, *args)
                assert out.returncode in (1, 125), (args, out)
                assert re.fullmatch(r"ttylock: [^\n]+\n", out.stderr), (args, out)
                assert re.search(denied, out.stderr), (args, out)
            assert as_user(stage, uid, program, "wait", "-w", "0").returncode == 124
        assert stage.requests()[0]["id"] == held and waiting(stage) == [id_a]
        t.sendeof()
        assert t.finish() == 0
        ended(a, 0, "a\n")


@test
def root_can_do_all_of_it(stage):
    program = somebody(stage)
    with open_daemon(stage):
        os.chmod(stage.dir, 0o777)

        def become():
            os.setgroups([])
            os.setgid(OURS)
            os.setuid(OURS)

        t = stage.spawn(program, "exec", "--", "cat", preexec_fn=become)
        t.sendline("mine")
        t.expect(r"mine\r\nmine\r\n")
        held, _ = stage.until_waiting(0)
        assert held["uid"] == OURS
        a, id_a = queue_up(stage, t, "exec", "--", "echo", "a")
        line(stage.ttylock("next", "--id", id_a), 0)
        line(stage.ttylock("cancel", "--id", id_a), 0)
        ended(a, 125, "", "cancelled by")
        line(stage.ttylock("release", "-fy", held["id"]), 0)
        t.expect(r"by force: by ttylock \(pid \d+\), uid 0\r\n")
        assert t.finish() == 137


main()
