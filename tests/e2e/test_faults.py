"""Faults from outside, as docs/faults.md lists them: each harms nobody but who causes it."""
import contextlib
import ctypes
import errno
import fcntl
import glob
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import termios
import time
import traceback

from harness import (BUILD, PARTS, ROOT, Skip, TIMEOUT, TTYLOCK, is_alive, main, proc_stat, test, until)
from puppet import Puppet
from wire import (CLONE_NEWNS, CLONE_NEWPID, DENIED, ERROR, FORCE_RELEASE, GRANTED, LOCK_STATUS,
                  QUEUED, STATUS_QUERY, STATUS_REPORT, TERMINAL, Daemon, Wire, call, in_child, libc,
                  parse)

OURS, THEIRS = 4711, 4712
GRACE = 5  # s that who says no Hello may stay, however many there are (POLICY_GREET_GRACE_S)
SWAPS = 100000 if os.path.basename(BUILD) == "build" else 10000


def need_root():
    if os.geteuid() != 0:
        raise Skip("needs root: other users, namespaces")


# --- the page itself ----------------------------------------------------------------------

@test
def every_test_that_the_page_names_exists(stage):
    with open(os.path.join(ROOT, "docs/faults.md")) as f:
        rows = re.findall(r"^\| *(\d+) *\|([^|]*)\|([^|]*)\|$", f.read(), re.M)
    numbers = [int(n) for n, _, _ in rows]
    assert numbers == sorted(set(numbers)), numbers
    assert set(numbers) >= set(range(1, 26)) | {30} | set(range(35, 42)), numbers
    for number, what, tests in rows:
        assert what.strip(), number
        names = re.findall(r"`(test_[a-z_]+)\.(c|py):([a-z_0-9]+)`", tests)
        assert names or "Not tested:" in tests, (number, tests)
        assert len(re.findall("`[^`]*`", tests)) == len(names) or "Not tested:" in tests, tests
        for file, kind, name in names:
            path, = glob.glob(os.path.join(ROOT, f"tests/*/{file}.{kind}")) or [None]
            assert path, (number, file)
            with open(path) as f:
                source = f.read()
            pattern = rf"^@test[^\n]*\ndef {name}\(" if kind == "py" else \
                rf"^static void {name}\(void \*\*state\)"
            assert re.search(pattern, source, re.M), (number, file, name)
            assert kind == "py" or source.count(name) >= 2, f"{file}.c: {name} is not run"


# --- frames -------------------------------------------------------------------------------

@contextlib.contextmanager
def holding(stage, d):
    """Somebody holds a terminal, and still does in the end."""
    master, tty = os.openpty()
    w = Wire(d.path, tty)
    assert w.lock()[3] == GRANTED
    yield w, tty
    w.release()
    assert w.lock(2)[3] == GRANTED
    w.close()
    os.close(master)
    os.close(tty)


@test
def a_huge_length_takes_no_room(stage):
    with Daemon(stage) as d, holding(stage, d):
        for warm in (True, False):
            before = d.rss()
            for _ in range(50 if warm else 1000):
                w = Wire(d.path)
                with contextlib.suppress(OSError):
                    w.socket.sendall(b"\xff\xff\xff\xff\x0f" + b"x" * 60000)
                assert w.receive() is None
                w.close()
        # A sanitizer keeps what was freed for a while.
        most = 32768 if "ASAN_OPTIONS" in os.environ else 4096
        assert d.rss() - before < most, (before, d.rss())


@test
def a_write_of_nothing_is_no_end(stage):
    with Daemon(stage) as d, holding(stage, d) as (w, tty):
        for _ in range(10):
            assert w.socket.send(b"") == 0
            w.socket.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                      tty.to_bytes(4, "little"))])
        assert len(w.status()) == 1
        empty = Wire(d.path)
        empty.socket.sendall(b"\0")  # a frame of nothing is a bad one
        assert empty.receive() is None
        empty.close()


@test
def five_hundred_that_dribble(stage):
    """Each says a byte and no more. Soon eight are left, and meanwhile they are nobody's harm."""
    with Daemon(stage) as d, holding(stage, d):
        uid = OURS if os.geteuid() == 0 else None

        def dribble():
            resource.setrlimit(resource.RLIMIT_NOFILE, (600, 600))
            first = time.monotonic()
            slow = [Wire(d.path, hello=False) for _ in range(500)]
            for w in slow:
                w.socket.send(b"\x04")
            began = time.monotonic()
            assert Wire(d.path).status() != []
            prompt = time.monotonic() - began

            def left():
                return sum(not w.is_closed() for w in slow)

            assert left() == 500 or time.monotonic() - first >= GRACE
            until(lambda: left() <= (8 if uid else 64), "the end of those that say no Hello")
            return prompt, left()

        prompt, left = in_child(dribble, uid)
        assert prompt < GRACE and left == (8 if uid else 64), (prompt, left)
        # Later bytes of theirs were nobody's Hello.
        until(lambda: d.descriptors() < 30, "the end of their connections")


# --- terminals ----------------------------------------------------------------------------

def with_own_terminal(slave):
    """For a child: it becomes the terminal's session; its /dev/tty."""
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    return os.open("/dev/tty", os.O_RDWR)


@test
def two_terminals_that_are_both_dev_tty(stage):
    with Daemon(stage) as d:
        (m1, s1), (m2, s2) = os.openpty(), os.openpty()

        def both():
            """In one child after another: each holds its own while the other does."""
            first = Wire(d.path, with_own_terminal(s1))
            assert first.lock()[3] == GRANTED

            def other():
                w = Wire(d.path, with_own_terminal(s2))
                assert w.lock()[3] == GRANTED
                again = Wire(d.path, s1)
                assert again.lock()[3] == QUEUED
                return sorted(e[13].decode() for e in w.status())

            return in_child(other)

        names = sorted([os.ttyname(s1), os.ttyname(s2)])
        assert in_child(both) == sorted([os.ttyname(s1)] + names)
        for fd in (m1, s1, m2, s2):
            os.close(fd)


@test
def the_daemon_keeps_no_terminal_in_use(stage):
    """A terminal that was shown and is held: its master sees the hangup all the same."""
    with Daemon(stage) as d:
        master, tty = os.openpty()
        w = Wire(d.path, tty)
        assert w.lock()[3] == GRANTED
        os.close(tty)
        poll = select.poll()
        poll.register(master, select.POLLIN)
        assert poll.poll(TIMEOUT * 1000) == [(master, select.POLLHUP)]
        os.close(master)
        w.close()


@test
def a_terminal_of_the_same_name_is_another(stage):
    """/dev/pts/N comes round: who holds the old one does not hold the new one."""
    with Daemon(stage) as d:
        master, tty = os.openpty()
        name = os.ttyname(tty)
        old = Wire(d.path, tty)
        assert old.lock()[3] == GRANTED
        os.close(tty)
        os.close(master)
        kept = []
        for _ in range(200):  # others may take it first; they give it back
            master, tty = os.openpty()
            if os.ttyname(tty) == name:
                break
            kept.append((master, tty))
        else:
            raise Skip(f"{name} was not used again")
        new = Wire(d.path, tty)
        assert new.lock()[3] == GRANTED
        assert [e[13].decode() for e in new.status()] == [name, name]
        for fd in [fd for pair in kept for fd in pair] + [master, tty]:
            os.close(fd)


@test
def the_same_number_in_another_devpts(stage):
    need_root()
    with Daemon(stage) as d, holding(stage, d) as (w, tty):
        def elsewhere():
            wanted = os.ttyname(tty)
            call(libc.unshare, CLONE_NEWNS)
            subprocess.run(["mount", "--make-rprivate", "/"], check=True)
            subprocess.run(["mount", "-t", "devpts", "-o", "newinstance,ptmxmode=0666", "none",
                            "/dev/pts"], check=True)
            while True:
                master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY)
                fcntl.ioctl(master, 0x40045431, b"\0\0\0\0")  # TIOCSPTLCK
                number = int.from_bytes(fcntl.ioctl(master, 0x80045430, b"    "), "little")
                slave = os.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY)
                if f"/dev/pts/{number}" == wanted:
                    break
            assert os.fstat(slave).st_rdev == os.fstat(tty).st_rdev
            mine = Wire(d.path, slave)
            assert mine.lock()[3] == GRANTED  # it is another terminal
            assert len(mine.status()) == 2
            # Its /dev/tty tells of no file system, so it could be either: refused.
            alias = Wire(d.path, with_own_terminal(slave))
            assert alias.expect(ERROR)[1] == TERMINAL
            return True

        assert in_child(elsewhere)


# --- who is who ---------------------------------------------------------------------------

@test
def a_client_in_a_pid_namespace(stage):
    """The daemon sees it as what it is out here."""
    need_root()
    with Daemon(stage) as d:
        stage.env["TTYLOCK_SOCKET"] = d.path
        t = stage.spawn("unshare", "-p", "-f", "--mount-proc", "--kill-child",
                        TTYLOCK, "exec", "--", "cat")
        holder, _ = stage.until_waiting(0)
        assert os.readlink(f"/proc/{holder['pid']}/exe") == os.path.realpath(TTYLOCK)
        t.sendeof()
        assert t.finish() == 0
        assert stage.requests() == (None, [])


@test
def a_daemon_in_a_pid_namespace(stage):
    """Whoever is outside has no pid there: nobody, so nothing is his."""
    need_root()
    with Daemon(stage, "unshare", "-p", "-f", "--mount-proc", "--kill-child") as d:
        w = Wire(d.path, hello=False)
        assert w.expect(ERROR)[1] == DENIED
        assert w.receive() is None
        until(lambda: "without an identity" in d.log(), "its log")


@test
def a_daemon_in_a_user_namespace(stage):
    """Whoever is not mapped there shares uid 65534 with all others: nobody's."""
    need_root()
    with Daemon(stage, "unshare", "-U", "-r") as d:
        def outside():
            w = Wire(d.path, hello=False)
            assert w.expect(ERROR)[1] == DENIED
            return w.receive() is None

        assert in_child(outside, OURS)
        until(lambda: "uid 65534" in d.log(), "its log")
        w = Wire(d.path)  # root is mapped
        assert w.status() == []
        w.close()


def in_pid_namespace(function):
    """function() as the first process of a new one, with its own /proc."""
    def enter():
        call(libc.unshare, CLONE_NEWPID | CLONE_NEWNS)

        def first():
            subprocess.run(["mount", "--make-rprivate", "/"], check=True)
            subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
            return function()

        return in_child(first)

    return in_child(enter)


def fork_as(pid, function):
    """A child with that very pid."""
    for _ in range(100):
        with open("/proc/sys/kernel/ns_last_pid", "w") as f:
            f.write(str(pid - 1))
        child = os.fork()
        if child == 0:
            if os.getpid() != pid:
                os._exit(9)
            try:
                function()
            except BaseException:  # noqa: B902 - the status says it
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        if child == pid:
            return
        os.waitpid(child, 0)
    raise AssertionError(f"pid {pid} is not to be had")


@test
def a_pid_that_comes_round(stage):
    """Its successor in number has neither its lock nor its place."""
    need_root()
    if not os.path.exists("/proc/sys/kernel/ns_last_pid"):
        raise Skip("no ns_last_pid")

    def inside():
        with Daemon(stage) as d:
            master, tty = os.openpty()
            read_end, write_end = os.pipe()

            def hold():
                w = Wire(d.path, tty)
                assert w.lock()[3] == GRANTED
                if os.fork() == 0:  # keeps the socket, and so no EOF tells of the end
                    signal.pause()
                os.write(write_end, b"x")
                signal.pause()

            pid = os.fork()
            if pid == 0:
                hold()
            assert os.read(read_end, 1) == b"x"
            waiter = Wire(d.path, tty)
            assert waiter.lock()[3] == QUEUED
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            assert waiter.expect(LOCK_STATUS)[3] == GRANTED
            waiter.release()

            def again():
                w = Wire(d.path, tty)
                assert w.lock()[3] == GRANTED  # no double lock with its namesake's
                assert [e[2] for e in w.status()] == [pid]

            fork_as(pid, again)
            assert os.waitpid(pid, 0)[1] == 0
            os.close(master)
            return True

    assert in_pid_namespace(inside)


@test
def the_user_is_the_one_who_connected(stage):
    need_root()
    with Daemon(stage) as d, holding(stage, d) as (holder, tty):
        held, = (e[1] for e in holder.status())

        def weak_then_root():
            os.seteuid(OURS)
            w = Wire(d.path)
            os.seteuid(0)
            w.send(FORCE_RELEASE, {1: held})
            return w.expect(ERROR)[1]

        def root_then_weak():
            w = Wire(d.path, tty)
            os.setresuid(OURS, OURS, OURS)
            entry, = w.status()
            assert w.lock()[3] == QUEUED
            return entry.get(14), w.status()[1].get(3, 0)

        assert in_child(weak_then_root) == DENIED
        assert in_child(root_then_weak) == (None, 0)


@test
def a_name_that_looks_like_a_stat_line(stage):
    with Daemon(stage) as d:
        master, tty = os.openpty()

        def evil():
            name = ctypes.create_string_buffer(b") S 1 (")
            call(libc.prctl, 15, name, 0, 0, 0)  # PR_SET_NAME
            parent = os.getpid()

            def below():
                w = Wire(d.path, tty)
                assert w.lock()[3] == GRANTED
                w.send(STATUS_QUERY, {1: 7, 2: parent})
                report = w.expect(STATUS_REPORT)
                assert 2 in report, "its parent is not among those above it"
                return parse(report[2])[4]

            return in_child(below)

        assert in_child(evil) == b") S 1 ("
        os.close(master)
        os.close(tty)


# --- its place ----------------------------------------------------------------------------

@test
def no_name_that_anybody_could_take(stage):
    """The socket is a path in a directory that is the user's; none is abstract."""
    t = stage.spawn(TTYLOCK, "exec", "--", "cat")
    stage.until_waiting(0)
    with open("/proc/net/unix") as f:
        names = [line.split()[-1] for line in f if "ttylock" in line]
    assert any(stage.dir in n for n in names) and not any(n.startswith("@") for n in names), names
    place = os.stat(stage.path("ttylock"))
    assert place.st_mode & 0o777 == 0o700 and place.st_uid == os.geteuid()
    t.sendeof()
    t.finish()


@test
def links_swapped_under_its_feet(stage):
    """Somebody else has our directory's name in /tmp, now a link to one of ours, now his own."""
    need_root()
    victim = 1000000 + os.getpid()  # whose name no other run of this test has
    name = f"/tmp/ttylock-{victim}"
    ours, theirs = stage.path("ours"), name + ".theirs"
    place = stage.path("bin")
    os.chmod(stage.dir, 0o755)
    os.mkdir(place)
    for file in ("ttylock", "ttylockd"):
        shutil.copy(os.path.join(BUILD, file), place)
    os.mkdir(ours, 0o700)
    os.chown(ours, victim, victim)
    shutil.rmtree(name, ignore_errors=True)
    os.symlink(ours, name)
    os.lchown(name, THEIRS, THEIRS)
    os.mkdir(theirs)
    os.chmod(theirs, 0o777)
    os.chown(theirs, THEIRS, THEIRS)
    read_end, write_end = os.pipe()
    swapper = os.fork()
    if swapper == 0:
        try:
            os.setresuid(THEIRS, THEIRS, THEIRS)
            while True:
                for _ in range(SWAPS):
                    call(libc.renameat2, -100, name.encode(), -100, theirs.encode(), 2)
                os.write(write_end, b"x")
        finally:
            os._exit(1)
    os.close(write_end)
    try:
        env = {k: v for k, v in stage.env.items() if k != "XDG_RUNTIME_DIR"}
        done = 0
        # The swapper is at it as long as we are.
        while done == 0 or not select.select([read_end], [], [], 0)[0]:
            master, tty = os.openpty()
            os.fchown(tty, victim, victim)
            out = subprocess.run([place + "/ttylock", "exec", "--", "true"], capture_output=True,
                                 text=True, timeout=TIMEOUT, start_new_session=True, user=victim,
                                 group=victim, extra_groups=[], stdin=subprocess.DEVNULL,
                                 env={**env, "TTYLOCK_TTY": os.ttyname(tty)})
            os.close(master)
            os.close(tty)
            assert out.returncode == 125 and out.stderr.count("\n") == 1, out
            done += 1
        assert os.read(read_end, 1) == b"x", "it has failed"
        for path in (ours, name, theirs):
            assert os.listdir(path) == [], path
    finally:
        os.kill(swapper, signal.SIGKILL)
        os.waitpid(swapper, 0)
        os.close(read_end)
        for path in (name, theirs):
            with contextlib.suppress(OSError):
                os.rmdir(path) if not os.path.islink(path) else os.unlink(path)


@test
def a_set_user_id_program_ignores_the_environment(stage):
    need_root()
    if os.statvfs(stage.dir).f_flag & os.ST_NOSUID:
        raise Skip("the directory for temporary files is nosuid")
    os.chmod(stage.dir, 0o755)
    program = stage.path("ttylock-suid")
    shutil.copy(TTYLOCK, program)
    for name in PARTS:
        shutil.copy(os.path.join(BUILD, name), stage.dir)
    os.chown(program, THEIRS, THEIRS)
    os.chmod(program, 0o4755)
    with Daemon(stage) as d:
        env = {**stage.env, "TTYLOCK_SOCKET": d.path}
        for path, found in ((TTYLOCK, True), (program, False)):
            if found and subprocess.run(["setpriv", f"--reuid={OURS}", "--clear-groups", "test",
                                         "-x", path], check=False).returncode:
                continue  # another user cannot reach the build's directory
            out = subprocess.run([path, "status"], env=env, user=OURS, group=OURS, extra_groups=[],
                                 stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                 timeout=TIMEOUT, start_new_session=True)
            # A sanitizer cannot look for leaks there, and says so.
            assert out.returncode == 0 or "LeakSanitizer does not work" in out.stderr, out
            assert ("no daemon" in out.stdout) != found, out
    # Nor does it load what another user may have put beside it.
    os.chown(stage.path("libttylock-run.so"), OURS, OURS)
    out = subprocess.run([program, "status"], env=stage.env, user=OURS, group=OURS, extra_groups=[],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)
    assert "libttylock-run.so" in out.stderr, out
    assert out.returncode == 125 or "LeakSanitizer does not work" in out.stderr, out


# --- a holder that stands still -------------------------------------------------------------

@test
def a_stopped_holder_keeps_it_and_is_shown(stage):
    t = stage.spawn(TTYLOCK, "exec", "--", "cat")
    holder, _ = stage.until_waiting(0)
    tty = os.readlink(f"/proc/{t.pid}/fd/0")

    def shown():
        return stage.ttylock("status", "-rno", "PLACE").stdout.split()

    assert shown() == ["holds"] and "stopped" not in holder
    os.kill(holder["pid"], signal.SIGSTOP)
    until(lambda: shown() == ["stopped"], "the word")
    assert stage.requests()[0]["stopped"] is True
    assert "HOLDS, stopped" in stage.ttylock("status", "--tree").stdout
    out = stage.ttylock("exec", "-w", "0.2", "--", "true", env={"TTYLOCK_TTY": tty})
    assert out.returncode == 124, out
    assert stage.requests()[0]["id"] == holder["id"]
    os.kill(holder["pid"], signal.SIGCONT)
    until(lambda: shown() == ["holds"], "the word")
    os.kill(holder["pid"], signal.SIGSTOP)
    until(lambda: shown() == ["stopped"], "the word")
    assert stage.ttylock("release", "-fy", holder["id"]).returncode == 0  # only a person's word
    assert stage.requests() == (None, [])
    os.kill(holder["pid"], signal.SIGCONT)
    assert t.finish() == 137


# --- a daemon that hangs, or is not there ---------------------------------------------------

@contextlib.contextmanager
def full_backlog(path):
    """A listener that nobody can connect to: a blocking connect(2) would wait for ever."""
    with socket.socket(socket.AF_UNIX) as s, contextlib.ExitStack() as kept:
        s.bind(path)
        s.listen(0)
        error = 0
        while error != errno.EAGAIN:
            c = kept.enter_context(socket.socket(socket.AF_UNIX))
            c.setblocking(False)
            error = c.connect_ex(path)
        yield


@test
def a_daemon_that_hangs_hangs_nobody(stage):
    """Each subcommand says so in one line after its deadline."""
    with Daemon(stage) as d, full_backlog(stage.path("full")):
        stage.env["TTYLOCK_SOCKET"] = d.path
        os.kill(d.pid, signal.SIGSTOP)
        until(lambda: proc_stat(d.pid)[0] == "T", "its stop")
        began = time.monotonic()
        quiet = [["status"], ["status", "--json"], ["status", "--tree"], ["cancel", "1"],
                 ["next", "1"], ["skip", "1"], ["release", "-fy", "1"], ["release", "-fy"],
                 ["wait", "-w", "3"], ["shell"],
                 ["trace", "-o", stage.path("trace")]]
        dump = subprocess.Popen([TTYLOCK, "dump", str(d.pid)], env=stage.env, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                start_new_session=True)
        full = {**stage.env, "TTYLOCK_SOCKET": stage.path("full")}
        started = [(args, subprocess.Popen(
            [TTYLOCK, *args], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True))
            for env in (stage.env, full) for args in quiet]
        loud = [(args, stage.spawn(TTYLOCK, *args)) for args in
                (["exec", "--", "true"], ["exec", "-n", "--", "true"],
                 ["exec", "-w", "1", "--", "true"], ["debug", str(os.getpid())], ["run", "--", "sh", "-c", "exit 7"])]
        for args, p in started:
            p.stdin.write("status\n" if args == ["shell"] else "")
            p.stdin.flush()
        for args, p in started:
            out, err = p.communicate(timeout=TIMEOUT)
            assert re.fullmatch(r"ttylock: [^\n]*(does not answer|timed out)[^\n]*\n", err), \
                (args, out, err)
            assert p.returncode not in (0, -signal.SIGKILL), (args, p.returncode)
        assert "#0" in dump.communicate(timeout=TIMEOUT)[0]  # without who waits for whom
        for args, t in loud:
            assert t.finish() == (7 if args[0] == "run" else 125), (args, t.shown)
            assert re.fullmatch(r"ttylock: [^\r\n]*does not answer[^\r\n]*\r\n", t.shown), \
                (args, t.shown)
        assert time.monotonic() - began < TIMEOUT
        os.kill(d.pid, signal.SIGCONT)
        assert stage.status()["terminals"] == []


@test
def a_crowd_at_a_full_backlog_is_served_in_turn(stage):
    """Who comes while many wait to connect is among those served, not overtaken for ever."""
    with Daemon(stage) as d, holding(stage, d):
        stage.env["TTYLOCK_SOCKET"] = d.path
        os.kill(d.pid, signal.SIGSTOP)
        until(lambda: proc_stat(d.pid)[0] == "T", "its stop")

        def crowd():
            """Always one more than there is room for."""
            resource.setrlimit(resource.RLIMIT_NOFILE, (6000, 6000))
            kept, full = [], 0
            while not full:
                s = socket.socket(socket.AF_UNIX)
                s.setblocking(False)
                full = s.connect_ex(d.path)
                kept.append(s)
            os.write(write_end, b"x")
            while True:
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(d.path)

        read_end, write_end = os.pipe()
        pids = []
        try:
            for _ in range(4):
                pids.append(os.fork())
                if pids[-1] == 0:
                    try:
                        crowd()
                    finally:
                        os._exit(1)
            assert os.read(read_end, 1) == b"x"
            asked = [subprocess.Popen([TTYLOCK, "status"], env=stage.env, text=True,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, start_new_session=True)
                     for _ in range(5)]
            until(lambda: all(waits_to_connect(p.pid) for p in asked), "that they wait in line")
            os.kill(d.pid, signal.SIGCONT)
            for p in asked:
                out, err = p.communicate(timeout=TIMEOUT)
                assert p.returncode == 0, (out, err)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            os.close(read_end)
            os.close(write_end)


def waits_to_connect(pid):
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/wchan") as f:
            return "unix_wait" in f.read()
    return False


@test
def no_daemon_is_told_at_once(stage):
    """None runs and none can be started: the command runs, one line and no delay."""
    if any(os.path.exists(p + "/sbin/ttylockd") for p in ("/usr", "/usr/local")):
        raise Skip("a ttylockd is installed")
    place = stage.path("bin")
    os.mkdir(place)
    for name in ("ttylock", *PARTS):
        shutil.copy(os.path.join(BUILD, name), place)

    def times(said):
        for _ in range(10):
            began = time.monotonic()
            t = stage.spawn(place + "/ttylock", "run", "--", "true")
            assert t.finish() == 0
            yield time.monotonic() - began
            assert re.fullmatch(said, t.shown), t.shown

    without = [*times(r"ttylock: running without crash handling: no daemon[^\r\n]*\r\n")]
    stage.serve()
    served = [*times("")]
    more = min(without) - min(served)
    print(f"a daemon that is not there costs {more * 1e3:.1f} ms more than one that serves")
    assert more < 0.05, (without, served)


@test
def a_tree_whose_root_is_killed_leaves_no_daemon(stage):
    t = stage.run("sleep", "1000")
    daemon = until(stage.daemon_pid, "a daemon")
    sleeper = until(lambda: stage.named("sleep"), "the command")[0]
    os.kill(t.pid, signal.SIGKILL)
    until(lambda: not is_alive(daemon), "the daemon's end")
    assert not os.path.exists(stage.path("ttylock/ttylock.sock"))
    if is_alive(sleeper):
        os.kill(sleeper, signal.SIGKILL)
    t.finish()


# --- clocks, signals ------------------------------------------------------------------------

@test
def another_clock(stage):
    """The daemon's monotonic clock is years ahead of its clients': nothing depends on it."""
    need_root()
    if not os.path.exists("/proc/self/ns/time"):
        raise Skip("no time namespaces")
    ahead = ["unshare", "-T", "--monotonic", "100000000", "--fork", "--kill-child"]
    with Daemon(stage, *ahead) as d, holding(stage, d) as (w, tty):
        stage.env["TTYLOCK_SOCKET"] = d.path
        daemon = stage.status()["daemon"]
        assert 0 <= daemon["uptime_s"] < 600, daemon
        entry, = w.status()
        assert entry[11] < 600000 if 11 in entry else True
        env = {"TTYLOCK_TTY": os.ttyname(tty)}
        out = stage.ttylock("exec", "-w", "0.2", "--", "true", env=env)
        assert out.returncode == 124, out
        out = subprocess.run(["unshare", "-T", "--monotonic", "5000000", "--fork", TTYLOCK, "exec",
                              "-w", "0.2", "--", "true"], env={**stage.env, **env},
                             stdin=subprocess.DEVNULL, capture_output=True, start_new_session=True,
                             timeout=TIMEOUT)
        assert out.returncode == 124, out


def open_in_a_storm(puppet):
    """In ms, how often it can have a signal and still come to the end of a call."""
    every_ms = 0.1
    while puppet.ask("alarm", every_ms) and all(puppet.ask("open", 0, -1) != "0" for _ in range(200)):
        every_ms *= 2
    return every_ms


@test
def a_storm_of_signals(stage):
    """10,000 a second: each call ends, in what it says or in EINTR with nothing held."""
    holder = Puppet(stage)
    assert holder.ask("open", 0, -1) == "0"
    held = holder.acquire()
    assert int(held) > 0
    tty = os.readlink(f"/proc/{holder.pid}/fd/0")
    p = Puppet(stage, env={"TTYLOCK_TTY": tty})
    open_in_a_storm(p)
    free = Puppet(stage)
    every_ms = open_in_a_storm(free)
    got = {"granted": 0, "EINTR": 0}
    while not got["granted"]:
        for _ in range(200):
            answer = free.acquire(timeout=5000)
            if answer.isdigit():
                got["granted"] += 1
                assert free.ask("release", 0, answer) == "0"
            else:
                got[answer] += 1
        every_ms *= 2
        free.ask("alarm", every_ms)
    print(f"{free.seen()['alarms']} signals: {got}")
    assert free.seen()["alarms"] >= max(got["EINTR"], 10), got
    assert [t["holder"]["pid"] for t in stage.status()["terminals"]] == [holder.pid]
    for puppet in (p, free):
        puppet.ask("alarm", 0)


@test
def a_daemon_that_dies_kills_nobody(stage):
    """What is sent to it then raises no SIGPIPE; nor does a client's end in the daemon."""
    def default():
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    p = Puppet(stage, preexec_fn=default)
    assert p.ask("open", 0, -1) == "0"
    ident = p.acquire()
    daemon = stage.daemon_pid()
    for _ in range(50):  # it answers at length, and nobody is there
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(stage.status()["daemon"]["socket"])
            s.sendall(b"\x04\x0a\x02\x08\x01" + b"\x04\x4a\x02\x08\x05" * 100)
    assert stage.daemon_pid() == daemon
    os.kill(daemon, signal.SIGSTOP)
    os.kill(daemon, signal.SIGKILL)
    until(lambda: not is_alive(daemon), "its end")
    for command in (("release", 0, ident), ("release", 0, ident), ("status", 0, ident)):
        p.ask(*command)
    assert is_alive(p.pid)


main(limit=120)
