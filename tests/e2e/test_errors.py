"""Bad input: one clear line, the documented exit status, and nobody else's
lock is touched."""
import contextlib
import os
import re
import shutil
import socket
import subprocess
import threading
import time

from harness import BUILD, PARTS, Skip, TIMEOUT, TTYLOCK, is_alive, main, test, until

OURS, THEIRS = 1000, 65534  # two users that are not root

ERROR_VERSION = b"\x04\x72\x02\x08\x01"  # Error { code: ERROR_VERSION }
WELCOME_2 = b"\x04\x12\x02\x08\x02"      # Welcome { version: 2 }
WELCOME_1 = b"\x04\x12\x02\x08\x01"


def need_root():
    if os.geteuid() != 0:
        raise Skip("only root can be two other users")


def one_line(shown, pattern):
    """shown is one line of ours, and the pattern is in it."""
    assert re.fullmatch(r"ttylock: [^\r\n]+\r?\n", shown), shown
    assert re.search(pattern, shown), (pattern, shown)


def fails(stage, args, status, pattern, env=None, **kwargs):
    """`ttylock args` on a terminal of its own."""
    t = stage.spawn(kwargs.pop("program", TTYLOCK), *args, env=env, **kwargs)
    assert t.finish() == status, (args, t.exitstatus, t.signalstatus, t.shown)
    one_line(t.shown, pattern)
    return t


@contextlib.contextmanager
def holding(stage):
    """Somebody holds a terminal, and the same one still does in the end."""
    t = stage.spawn(TTYLOCK, "exec", "--why", "do not touch", "--", "cat")
    before, _ = stage.until_waiting(0)
    yield before
    holder, waiters = stage.requests()
    assert holder["id"] == before["id"] and waiters == [], (holder, waiters)
    t.sendline("alive?")
    t.expect(r"alive\?\r\nalive\?\r\n")
    t.sendeof()
    assert t.finish() == 0


@contextlib.contextmanager
def listener(path, answer, close=True):
    """A false daemon: gives each connection the answer to its first bytes
    (None: never one)."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen(64)
    kept = []

    def serve():
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            kept.append(peer)
            if answer is None:
                continue
            peer.settimeout(TIMEOUT)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                peer.recv(1024)
                peer.sendall(answer)
            if close:
                peer.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(TIMEOUT)
        for peer in kept:
            peer.close()


@test
def the_command_line(stage):
    table = [
        (["frob"], "no command 'frob'"),
        (["--frob"], "no command '--frob'"),
        (["run"], "run: which command"),
        (["run", "--"], "run: which command"),
        (["run", "--frob", "true"], "run: no option '--frob'"),
        (["run", "-xy", "true"], "run: no option '-x'"),
        (["exec"], "exec: which command"),
        (["exec", "--frob", "true"], "exec: no option '--frob'"),
        (["exec", "-nx", "true"], "exec: no option '-x'"),
        (["exec", "-w"], "exec: '-w' wants a value"),
        (["exec", "--why"], "exec: '--why' wants a value"),
        (["exec", "-w", "soon", "true"], "number of seconds, not 'soon'"),
        (["exec", "-w", "-1", "true"], "number of seconds, not '-1'"),
        (["exec", "-w", "nan", "true"], "number of seconds, not 'nan'"),
        (["exec", "-w", "1e30", "true"], "number of seconds, not '1e30'"),
        (["exec", "-w", "", "true"], "number of seconds, not ''"),
        (["exec", "-E", "256", "true"], "exit status 0 to 255, not '256'"),
        (["exec", "-E", "nine", "true"], "exit status 0 to 255, not 'nine'"),
        (["debug"], "debug: which process"),
        (["debug", "1", "2"], "debug: one process at a time"),
        (["debug", "abc"], "not a pid: 'abc'"),
        (["debug", "12x"], "not a pid: '12x'"),
        (["debug", "0"], "not a pid: '0'"),
        (["debug", "--", "-1"], "not a pid: '-1'"),
        (["debug", ""], "not a pid: ''"),
        (["debug", "99999999999999999999"], "not a pid: '9+'"),
        (["status", "--frob"], "status: no option '--frob'"),
        (["status", "all"], "status: it takes no argument 'all'"),
    ]
    with holding(stage):
        for args, pattern in table:
            fails(stage, args, 64, pattern)
    nothing = stage.ttylock()  # on a terminal that is the shell
    assert nothing.returncode == 64 and "which command" in nothing.stderr, nothing


@test
def help_and_version(stage):
    for args in (["--help"], ["-h"], ["--version"], ["run", "--help"], ["exec", "--help"],
                 ["debug", "--help"], ["status", "--help"]):
        out = stage.ttylock(*args)
        assert out.returncode == 0 and out.stdout and not out.stderr, (args, out)
    assert stage.daemon_pid() is None, "help needs no daemon"


@test
def a_command_that_cannot_be_executed(stage):
    plain = stage.write("plain", "text", mode=0o644)
    table = [
        ("no-such-command", 127, "No such file"),
        ("/no/such/command", 127, "No such file"),
        (plain, 126, "Permission denied"),
        (stage.dir, 126, "Permission denied"),
    ]
    for name, status, pattern in table:
        fails(stage, ["run", "--", name], status, re.escape(name) + ": " + pattern)
        fails(stage, ["exec", "--", name], status, re.escape(name) + ": " + pattern)
    assert stage.requests() == (None, [])


@test
def a_process_that_cannot_be_debugged(stage):
    gone = subprocess.Popen(["true"])
    gone.wait(TIMEOUT)
    traced = stage.spawn("gdb", "-q", "-ex", "run", "--args", "sleep", "1000")
    sleeper = until(lambda: stage.named("sleep"), "sleep runs")[0]
    with holding(stage):
        fails(stage, ["debug", gone.pid], 125, "no such process")
        fails(stage, ["debug", sleeper], 125, rf"traced by gdb \(pid \d+\) already")
    assert traced.isalive()


@test
def a_process_of_another_user(stage):
    need_root()
    os.chmod(stage.dir, 0o755)
    other = subprocess.Popen(["sleep", "1000"], user=THEIRS, group=THEIRS, extra_groups=[])
    stage.pids.add(other.pid)
    try:
        t = user_fails(stage, ["debug", other.pid], 125, "belongs to another user")
        assert "no debugger for sleep" in t.shown
        assert is_alive(other.pid)
    finally:
        other.kill()
        other.wait(TIMEOUT)


def user_files(stage):
    """A place where OURS may run what was built: its ttylock, its runtime
    directory."""
    place, runtime = stage.path("bin"), stage.path("ours")
    if not os.path.exists(place):
        os.chmod(stage.dir, 0o755)
        os.mkdir(place)
        for name in ("ttylock", "ttylockd", *PARTS):
            shutil.copy(os.path.join(BUILD, name), place)
        os.mkdir(runtime, 0o700)
        os.chown(runtime, OURS, OURS)
    return os.path.join(place, "ttylock"), runtime


def become_ours():
    os.setgroups([])
    os.setgid(OURS)
    os.setuid(OURS)


def user_fails(stage, args, status, pattern, env=None):
    """As fails(), as another user than root."""
    program, runtime = user_files(stage)
    # The stage knows its processes by their XDG_RUNTIME_DIR.
    env = {"TTYLOCK_SOCKET": os.path.join(runtime, "s"), **(env or {})}
    return fails(stage, args, status, pattern, env=env, program=program, preexec_fn=become_ours)


@test
def a_socket_that_may_not_be_used(stage):
    need_root()
    _, runtime = user_files(stage)
    path = os.path.join(runtime, "closed")
    with listener(path, WELCOME_1):
        os.chmod(path, 0)
        for args in (["status"], ["exec", "--", "true"], ["debug", "1"]):
            user_fails(stage, args, 125, "permission denied|another user",
                       env={"TTYLOCK_SOCKET": path})


@test
def a_listener_of_another_user(stage):
    need_root()
    _, runtime = user_files(stage)
    place = stage.path("theirs")
    os.mkdir(place)
    os.chown(place, THEIRS, THEIRS)
    script = ("import socket, time; s = socket.socket(socket.AF_UNIX); s.bind('s'); s.listen(); "
              "import os; os.chmod('s', 0o777); print('ready', flush=True); "
              "p = s.accept(); time.sleep(1000)")
    with subprocess.Popen(["/usr/bin/python3", "-c", script], cwd=place, user=THEIRS, group=THEIRS,
                          extra_groups=[], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout.readline() == b"ready\n"
            env = {"TTYLOCK_SOCKET": os.path.join(place, "s")}
            user_fails(stage, ["status"], 125, "listener belongs to another user", env=env)
            user_fails(stage, ["exec", "--", "true"], 125, "belongs to another user", env=env)
            t = user_fails(stage, ["run", "--", "true"], 0, "belongs to another user", env=env)
            assert "running without crash handling" in t.shown
        finally:
            other.kill()


@test
def false_daemons(stage):
    table = [
        ("version-error", ERROR_VERSION, "another protocol version"),
        ("version-2", WELCOME_2, "another protocol version"),
        ("http", b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" + b"x" * 2000,
         "is no ttylockd"),
        ("zeros", b"\0" * 16, "is no ttylockd"),
        ("long", b"\xff\xff\xff\xff\x0f", "is no ttylockd"),
        ("status", b"\x04\x2a\x02\x08\x01", "is no ttylockd"),
        # A hang-up could be a daemon that ends: these are tried for a while.
        ("half", b"\x20\x12", "is no ttylockd|does not answer"),
        ("nothing", b"", "is no ttylockd|does not answer"),
    ]
    with holding(stage):
        for name, answer, pattern in table:
            path = stage.path(name)
            with listener(path, answer):
                env = {"TTYLOCK_SOCKET": path}
                fails(stage, ["status"], 125, pattern, env=env)
                if "answer" in pattern:
                    continue
                fails(stage, ["exec", "--", "true"], 125, pattern, env=env)
                fails(stage, ["debug", str(os.getpid())], 125, pattern, env=env)
                t = fails(stage, ["run", "--", "sh", "-c", "exit 7"], 7, pattern, env=env)
                assert "running without crash handling" in t.shown


@test
def a_daemon_that_never_answers(stage):
    path = stage.path("mute")
    with holding(stage), listener(path, None):
        for args, status in ((["status"], 125), (["run", "--", "sh", "-c", "exit 7"], 7)):
            began = time.monotonic()
            fails(stage, args, status, "does not answer", env={"TTYLOCK_SOCKET": path})
            took = time.monotonic() - began
            assert 4.9 < took < 15, took


@test
def addresses_that_cannot_be(stage):
    long_path = stage.path("x" * 120)
    # A socket whose listener has gone, a file, a directory that is missing.
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(stage.path("dead"))
    dead.close()
    with holding(stage):
        fails(stage, ["exec", "--", "true"], 125, "too long", env={"TTYLOCK_SOCKET": long_path})
        fails(stage, ["status"], 125, "too long", env={"TTYLOCK_SOCKET": long_path})
        fails(stage, ["run", "--", "sh", "-c", "exit 7"], 7, "too long",
              env={"TTYLOCK_SOCKET": long_path})
        fails(stage, ["run", "--", "sh", "-c", "exit 7"], 7, "running without crash handling",
              env={"TTYLOCK_SOCKET": stage.path("no/such/directory/s")})
        fails(stage, ["exec", "--", "true"], 125, "", env={"TTYLOCK_SOCKET": "/dev/null"})
        # The next daemon takes a dead one's place.
        t = stage.spawn(TTYLOCK, "exec", "--", "true", env={"TTYLOCK_SOCKET": stage.path("dead")})
        assert t.finish() == 0, t.shown
    link = stage.path("runtime")
    os.mkdir(link)
    os.symlink("/tmp", os.path.join(link, "ttylock"))
    t = stage.spawn(TTYLOCK, "exec", "--", "true", env={"TTYLOCK_SOCKET": link + "/ttylock/s"})
    assert t.finish() == 125
    one_line(t.shown, "permission denied")


@test
def no_terminal(stage):
    for name in ("/dev/null", "/no/such/tty", stage.write("file", ""), "pts"):
        out = stage.ttylock("exec", "--", "true", env={"TTYLOCK_TTY": name})
        assert out.returncode == 125 and out.stdout == "", out
        one_line(out.stderr, "no terminal")
        out = stage.ttylock("debug", os.getpid(), env={"TTYLOCK_TTY": name})
        assert out.returncode == 125
        one_line(out.stderr, "no terminal")
        out = stage.ttylock("run", "--", "sh", "-c", "exit 7", env={"TTYLOCK_TTY": name})
        assert out.returncode == 7
        one_line(out.stderr, "running without crash handling: no terminal")
    assert stage.daemon_pid() is None


@test
def garbage_at_the_real_daemon(stage):
    hello = b"\x04\x0a\x02\x08\x01"
    query = b"\x04\x4a\x02\x08\x05"
    table = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50,
        b"\0",
        b"\xff" * 2000,
        b"\x81\x08" + b"a" * 1025,             # one byte more than a frame may have
        b"\x04\x0a\x02\x08\x02",               # Hello of version 2
        query,                                 # before Hello
        hello + hello,
        hello + b"\x03\xa2\x06\x00",           # an unknown message, field 100
        hello + WELCOME_1,                     # what only the daemon may say
        hello + b"\x04\x1a\x02\x08\x00",       # TerminalOpen without a descriptor
        hello + b"\x03\x22\xff\xff",           # a length that overruns its frame
        hello + b"\x00",
    ]
    with holding(stage):
        where = stage.status()["daemon"]["socket"]
        for sent in table:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(TIMEOUT)
                s.connect(where)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    s.sendall(sent)
                    while s.recv(4096):
                        pass
        # Cut off in the middle, and unanswered: it goes when its end goes.
        half = socket.socket(socket.AF_UNIX)
        half.connect(where)
        half.sendall(hello + b"\x30\x22")
        assert half.recv(1024)
        half.close()
        # A connection beside all that still works.
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(TIMEOUT)
            s.connect(where)
            s.sendall(hello + query)
            got = b""
            while b"\x52\x04\x08\x05\x18\x01" not in got:  # StatusReport { query: 5, last }
                more = s.recv(4096)
                assert more
                got += more


@test
def fifty_clients_start_one_daemon(stage):
    terminal = stage.spawn("sleep", "1000")  # keeps a terminal for all of them
    # The first keeps the daemon until all have come: one without users ends.
    os.mkfifo(stage.path("go"))
    go = os.open(stage.path("go"), os.O_RDWR | os.O_CLOEXEC)
    script = "mkdir first 2>/dev/null && read go <go; echo $$ >>served; sleep 0.01"
    env = {**stage.env, "TTYLOCK_TTY": os.readlink(f"/proc/{terminal.pid}/fd/0")}
    clients = [subprocess.Popen([TTYLOCK, "exec", "--", "sh", "-c", script], env=env, cwd=stage.dir,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, start_new_session=True)
               for _ in range(50)]
    stage.until_waiting(49)
    os.write(go, b"go\n")
    said = [c.communicate(timeout=60)[0] for c in clients]
    os.close(go)
    assert [c.returncode for c in clients] == [0] * 50, set(said)
    assert set(said) == {""}, set(said)
    with open(stage.path("served")) as f:
        assert len(set(f.read().split())) == 50
    with open(stage.path("ttylock/ttylockd.log")) as f:
        log = f.read()
    assert len(re.findall(r"serves /", log)) == 1, log
    assert len(re.findall(r" granted: ", log)) == 50, log
    # It ends by itself, and leaves nothing to trip over.
    until(lambda: not stage.named("ttylockd"), "the daemon's end")
    assert not os.path.exists(stage.path("ttylock/ttylock.sock"))
    assert stage.daemon_pid() is None


@test
def status_never_starts_a_daemon(stage):
    assert stage.status() == {"version": 1, "daemon": None, "terminals": []}
    out = stage.ttylock("status")
    assert out.returncode == 0 and out.stdout == "no terminal is held (no daemon runs)\n", out
    assert not os.path.exists(stage.path("ttylock"))


@test
def the_daemon_ends_after_its_last_user(stage):
    t = stage.run("cat")
    daemon = until(stage.daemon_pid, "a daemon")
    t.sendline("word")
    t.expect(r"word\r\nword\r\n")
    second = stage.spawn(TTYLOCK, "exec", "--", "cat")
    stage.until_waiting(0)
    t.sendeof()
    assert t.finish() == 0
    second.sendline("word")
    second.expect(r"word\r\nword\r\n")
    assert stage.daemon_pid() == daemon, "it ended although it was needed"
    second.sendeof()
    assert second.finish() == 0
    until(lambda: not is_alive(daemon), "the daemon's end")
    assert stage.status()["daemon"] is None


@test
def the_daemons_own_command_line(stage):
    daemon = os.path.join(BUILD, "ttylockd")
    for args, status in ((["--frob"], 64), (["--socket"], 64), (["--socket", ""], 64),
                         (["--ready-fd", "77"], 64), (["--log-level", "loud"], 64), (["x"], 64),
                         (["--socket", "/no/such/directory/s"], 1),
                         (["--socket", stage.path("x" * 120)], 1)):
        out = subprocess.run([daemon, *args], env=stage.env, stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=TIMEOUT)
        assert out.returncode == status, (args, out)
        assert out.stdout == "" and re.fullmatch(r"ttylockd: [^\n]+\n", out.stderr), (args, out)


@test
def nobody_waits_to_hear_that_it_is_ready(stage):
    """Who started it has died: that ends no daemon, neither the one that serves nor the next."""
    keeper = stage.run("cat")
    until(stage.daemon_pid, "a daemon")
    reads, writes = os.pipe()
    os.close(reads)
    second = subprocess.run([os.path.join(BUILD, "ttylockd"), "--ready-fd", str(writes), "--socket",
                             stage.path("ttylock/ttylock.sock")], env=stage.env, stdin=subprocess.DEVNULL,
                            capture_output=True, text=True, timeout=TIMEOUT, pass_fds=[writes])
    os.close(writes)
    assert second.returncode == 0 and "another daemon serves it" in second.stderr, second
    keeper.sendeof()
    assert keeper.finish() == 0


main(limit=180)
