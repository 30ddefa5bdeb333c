"""Two users and root at one daemon: nobody gets at another's terminal, nobody keeps
another from his own, and one daemon has each terminal."""
import contextlib
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import time

from harness import BUILD, PARTS, Skip, TIMEOUT, main, test, until
from wire import (CANCELLED, CLONE_NEWNS, DENIED, ERROR, FORCE_RELEASE, GRANTED, HELLO,
                  LOCK_CANCEL, LOCK_RELEASE, LOCK_STATUS, QUEUED, RELEASED, SERVE_FIRST,
                  STATUS_QUERY, TERMINAL, Daemon, Wire, call, frame, in_child, libc, lock_request)

OURS, THEIRS = 4711, 4712


def need_root():
    if os.geteuid() != 0:
        raise Skip("only root can be two other users")


def program(stage):
    """The ttylock that anybody may run."""
    place = stage.path("bin")
    if not os.path.exists(place):
        os.chmod(stage.dir, 0o755)
        os.mkdir(place)
        for name in ("ttylock", "ttylockd", *PARTS):
            shutil.copy(os.path.join(BUILD, name), place)
        os.chmod(place, 0o755)
    return os.path.join(place, "ttylock")


def become(uid):
    os.chown(os.ttyname(0), uid, uid)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def as_user(stage, uid, *args, env=None, **kwargs):
    """The command of that user, without a terminal, to its end."""
    return subprocess.run([program(stage), *map(str, args)], env={**stage.env, **(env or {})},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=TIMEOUT, start_new_session=True, user=uid, group=uid,
                          extra_groups=[], **kwargs)


def pty_of(uid):
    master, tty = os.openpty()
    os.fchown(tty, uid, uid)
    os.fchmod(tty, 0o620)
    return master, tty


# --- who may what ---------------------------------------------------------------------------

def try_everything(path, tty_name, held, waiting):
    """What a stranger may try; what it was answered."""
    got = {}
    for name, flags in (("both", os.O_RDWR), ("write", os.O_WRONLY), ("path", os.O_PATH)):
        try:
            fd = os.open(tty_name, flags | os.O_NOCTTY)
        except PermissionError:
            got[name] = "kernel"
            continue
        w = Wire(path, fd)
        w.socket.sendall(lock_request())
        kind, fields = w.receive()
        got[name] = (kind, fields[3]) if kind == LOCK_STATUS else \
            (fields[1], w.expect(LOCK_STATUS)[3])
        w.close()
    w = Wire(path)
    for name, kind, request in (("cancel", LOCK_CANCEL, waiting), ("force", FORCE_RELEASE, held),
                                ("first", SERVE_FIRST, waiting),
                                ("cancel held", LOCK_CANCEL, held)):
        w.send(kind, {2 if kind == LOCK_CANCEL else 1: request})
        kind, fields = w.receive()
        got[name] = (kind, fields.get(1))
    got["entries"] = w.status()
    w.close()
    return got


@test
def a_stranger_may_nothing_and_root_everything(stage):
    need_root()
    master, tty = pty_of(OURS)
    with Daemon(stage) as d:
        ours = Child(lambda: Wire(d.path, tty), OURS)
        ours.lock()
        root = Wire(d.path)
        held, = (e[1] for e in root.status())
        waiter = Wire(d.path, tty)
        assert waiter.lock()[3] == QUEUED
        waiting = next(e[1] for e in root.status() if e[1] != held)

        os.fchmod(tty, 0o622)  # mesg y, for everybody
        got = in_child(lambda: try_everything(d.path, os.ttyname(tty), held, waiting), THEIRS)
        assert got["both"] == "kernel"
        assert got["write"] == got["path"] == (TERMINAL, 5), got
        for name in ("cancel", "force", "first", "cancel held"):
            assert got[name] == (ERROR, DENIED), (name, got)
        for entry in got["entries"]:  # the terminal, the place, and that it is hidden
            assert set(entry) <= {10, 13, 14} and entry[14] == 1, entry
        assert {e[1] for e in root.status()} == {held, waiting}
        log = d.log()
        who = rf"pid \d+ \([^)]*\), uid {THEIRS}\b"
        assert len(re.findall(who + ".* read", log)) >= 2, log
        assert len(re.findall(r"may not be steered.*by " + who, log)) == 4, log
        assert not re.search(rf"(refused|may not).*by pid \d+ \([^)]*\), uid {OURS}\b", log), log

        # Its own user and root, each from another process than the asker.
        got = in_child(lambda: try_everything(d.path, os.ttyname(tty), 1 << 40, waiting), OURS)
        assert got["both"] == (LOCK_STATUS, QUEUED) and got["cancel"][0] == LOCK_STATUS, got
        assert all(14 not in e for e in got["entries"]), got
        assert waiter.expect(LOCK_STATUS)[3] == CANCELLED
        root.send(FORCE_RELEASE, {1: held})
        assert root.expect(LOCK_STATUS)[3] == RELEASED
        assert root.status() == []
        for w in (root, waiter):
            w.close()
        ours.close()
    os.close(master)
    os.close(tty)


@test
def the_commands_of_a_stranger(stage):
    """Every subcommand, at a terminal that is another user's."""
    need_root()
    with Daemon(stage) as d:
        env = {"TTYLOCK_SOCKET": d.path}
        t = stage.spawn(program(stage), "exec", "--", "cat", env=env,
                        preexec_fn=lambda: become(OURS))
        t.sendline("mine")
        t.expect(r"mine\r\nmine\r\n")
        stage.env.update(env)
        held = stage.requests()[0]
        tty = f"/dev/pts/{os.minor(os.stat(os.readlink(f'/proc/{t.pid}/fd/0')).st_rdev)}"
        env = {"TTYLOCK_TTY": tty}
        assert held["uid"] == OURS
        for args in (["exec", "--", "true"], ["exec", "-n", "--", "true"], ["debug", held["pid"]],
                     ["cancel", held["id"]], ["next", held["id"]], ["skip", held["id"]],
                     ["release", "-fy", held["id"]], ["release", "-fy"]):
            out = as_user(stage, THEIRS, *args, env=env)
            assert out.returncode in (1, 125), (args, out)
            assert re.fullmatch(r"ttylock: [^\n]+\n", out.stderr) and out.stdout == "", (args, out)
        out = as_user(stage, THEIRS, "run", "--", "sh", "-c", "exit 7", env=env)
        assert out.returncode == 7 and "without crash handling" in out.stderr, out
        out = as_user(stage, THEIRS, "dump", held["pid"], env=env)
        assert "#0" not in out.stdout, out
        out = as_user(stage, THEIRS, "status", "--json", env=env)
        assert '"hidden": true' in out.stdout and "cat" not in out.stdout, out
        holder, waiters = stage.requests()
        assert holder["id"] == held["id"] and waiters == [], (holder, waiters)
        assert stage.ttylock("release", "-fy", held["id"]).returncode == 0  # root
        t.expect(r"by force: by ttylock \(pid \d+\), uid 0\r\n")
        assert t.finish() == 137


class Child:
    """A child of another user that has a connection, and asks when it is told to."""

    def __init__(self, make, uid):
        self.ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self.ours.close()
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                wire = make()
                while theirs.recv(16):
                    theirs.send(b"%d" % wire.lock()[3])
            finally:
                os._exit(0)
        theirs.close()

    def lock(self):
        self.ours.send(b"lock")
        assert int(self.ours.recv(16)) == GRANTED

    def close(self):
        self.ours.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


# --- one daemon for each terminal -------------------------------------------------------------

@contextlib.contextmanager
def daemons_of(stage, *users):
    """Ends what was started on demand for them, which no environment marks as ours."""
    def found():
        pids = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    argv = f.read()
                if os.stat(f"/proc/{pid}").st_uid in users and b"ttylockd" in argv:
                    pids.append(int(pid))
        return pids

    for uid in users:
        shutil.rmtree(f"/tmp/ttylock-{uid}", ignore_errors=True)
    try:
        yield found
    finally:
        for pid in found():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for uid in users:
            shutil.rmtree(f"/tmp/ttylock-{uid}", ignore_errors=True)


def no_service():
    if os.path.exists("/run/ttylock/ttylock.sock"):
        raise Skip("the system's daemon answers here")


def root_and_user(stage, order, env):
    """Both ask for the user's terminal in that order: one daemon, the user's; one holder."""
    need_root()
    no_service()
    ttylock = program(stage)
    for name in ("XDG_RUNTIME_DIR", "HOME"):
        stage.env.pop(name)
    stage.env.update(env)
    with daemons_of(stage, OURS) as found:
        base = stage.spawn("/bin/cat", preexec_fn=lambda: become(OURS))
        stage.pids.add(base.pid)
        base.sendline("ready")
        base.expect(r"ready\r\nready\r\n")
        tty = os.readlink(f"/proc/{base.pid}/fd/0")
        asked = []
        try:
            for uid in order:
                asked.append(subprocess.Popen(
                    [ttylock, "exec", "--", "sh", "-c", "echo $$; exec cat"], stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, text=True, env={**stage.env, "TTYLOCK_TTY": tty},
                    start_new_session=True, user=uid, group=uid, extra_groups=[]))
                look = {"env": {**stage.env, "TTYLOCK_TTY": tty}, "user": uid, "group": uid}
                count = len(asked)

                def seen():
                    out = subprocess.run([ttylock, "status", "-rno", "PLACE,UID"], text=True,
                                         capture_output=True, start_new_session=True,
                                         stdin=subprocess.DEVNULL, extra_groups=[], **look)
                    rows = out.stdout.splitlines()
                    return rows if len(rows) == count else None

                rows = until(seen, f"{count} requests for {uid}")
            assert rows == [f"holds {order[0]}", f"1 {order[1]}"], rows
            daemon, = found()
            assert os.stat(f"/proc/{daemon}").st_uid == OURS
            with open(f"/proc/{daemon}/status") as f:
                assert "Groups:\t \n" in f.read()
            with open(f"/proc/{daemon}/environ") as f:
                assert order[0] != 0 or f.read() == ""
            assert asked[0].stdout.readline()
            asked[0].stdin.close()
            assert asked[1].stdout.readline()
            asked[1].stdin.close()
            assert [p.wait(TIMEOUT) for p in asked] == [0, 0]
        finally:
            for p in asked:
                p.kill()
                p.wait(TIMEOUT)
        base.sendeof()
        base.finish()


@test
def the_user_first_then_root(stage):
    root_and_user(stage, (OURS, 0), {})


@test
def root_first_then_the_user(stage):
    root_and_user(stage, (0, OURS), {})


@test
def root_keeps_the_users_environment(stage):
    """As su(1) without - does."""
    need_root()
    runtime = stage.path("runtime")
    os.mkdir(runtime, 0o700)
    os.chown(runtime, OURS, OURS)
    root_and_user(stage, (0, OURS), {"XDG_RUNTIME_DIR": runtime})
    assert os.stat(runtime + "/ttylock").st_uid == OURS


@test
def the_user_keeps_roots_environment(stage):
    """A runtime directory of root's is not the user's."""
    need_root()
    runtime = stage.path("runtime")
    os.mkdir(runtime, 0o700)
    root_and_user(stage, (OURS, 0), {"XDG_RUNTIME_DIR": runtime})
    assert os.listdir(runtime) == []


@test
def none_is_started_where_the_service_answers(stage):
    """The user's service, at its socket; root at another user's terminal finds it too."""
    need_root()
    no_service()
    ttylock = program(stage)
    runtime = stage.path("runtime")
    os.mkdir(runtime, 0o700)
    os.mkdir(runtime + "/ttylock", 0o700)
    for path in (runtime, runtime + "/ttylock"):
        os.chown(path, OURS, OURS)
    stage.env["XDG_RUNTIME_DIR"] = runtime
    with daemons_of(stage, OURS) as found:
        service = subprocess.Popen(
            [os.path.join(os.path.dirname(ttylock), "ttylockd"), "--socket",
             runtime + "/ttylock/ttylock.sock"], env=stage.env, stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, user=OURS, group=OURS, extra_groups=[])
        try:
            until(lambda: os.path.exists(runtime + "/ttylock/ttylock.sock"), "the socket")
            for uid in (OURS, 0):
                t = stage.spawn(ttylock, "exec", "--", "sh", "-c", "echo $TTYLOCK_SOCKET",
                                preexec_fn=lambda who=uid: own_and(who))
                assert t.finish() == 0, t.shown
                assert found() == [service.pid]
        finally:
            service.kill()
            service.wait(TIMEOUT)


@test
def everybody_finds_the_systems(stage):
    """Where the system's daemon answers, users and root share it, and none is started."""
    need_root()
    if os.path.islink("/run") or not os.path.isdir("/run"):
        raise Skip("no /run to cover")
    ttylock = program(stage)

    def in_a_system():
        call(libc.unshare, CLONE_NEWNS)
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", "/run"], check=True)
        os.mkdir("/run/ttylock", 0o755)
        service = subprocess.Popen([os.path.join(os.path.dirname(ttylock), "ttylockd")],
                                   env=stage.env, stdin=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            until(lambda: os.path.exists("/run/ttylock/ttylock.sock"), "the socket")
            held = []
            for uid in (OURS, THEIRS, 0):
                t = stage.spawn(ttylock, "exec", "--", "cat",
                                preexec_fn=lambda who=uid: own_and(who))
                t.sendline("mine")
                t.expect(r"mine\r\nmine\r\n")
                held.append(t)
            status = stage.status()
            assert status["daemon"]["socket"] == "/run/ttylock/ttylock.sock", status
            assert sorted(e["holder"]["uid"] for e in status["terminals"]) == [0, OURS, THEIRS]
            assert len(stage.named("ttylockd")) == 1 and service.poll() is None
            for t in held:
                t.sendeof()
                assert t.finish() == 0
            return True
        finally:
            service.kill()
            service.wait(TIMEOUT)

    assert in_child(in_a_system)


def own_and(uid):
    os.chown(os.ttyname(0), OURS, OURS)
    if uid:
        become(uid)


# --- a hostile user ---------------------------------------------------------------------------

HELLO_FRAME = frame(HELLO, {1: 1})


def hostile(path, count, ready, talk):
    """Opens as many connections as it gets, and never reads; then floods through them."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
    os.setgroups([])
    os.setresgid(THEIRS, THEIRS, THEIRS)
    os.setresuid(THEIRS, THEIRS, THEIRS)
    kept = []
    while len(kept) < count:
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        s.setblocking(False)
        with contextlib.suppress(OSError):
            s.send(HELLO_FRAME)
        kept.append(s)
    os.write(ready, b"%d" % len(kept))
    if not talk:
        signal.pause()
    one = frame(STATUS_QUERY, {1: 7}) + frame(LOCK_RELEASE, {1: 99}) * 100
    while True:
        for s in kept:
            with contextlib.suppress(OSError):
                s.send(one)
        for _ in range(50):  # and it connects anew all the time
            with socket.socket(socket.AF_UNIX) as s, contextlib.suppress(OSError):
                s.setblocking(False)
                s.connect(path)
                s.send(HELLO_FRAME + one)


@contextlib.contextmanager
def hostile_processes(path, processes, count, talk):
    """So many processes of THEIRS, each with `count` connections, all of them open."""
    pids, (read_end, write_end) = [], os.pipe()
    try:
        for _ in range(processes):
            pid = os.fork()
            if pid == 0:
                try:
                    hostile(path, count, write_end, talk)
                finally:
                    os._exit(1)
            pids.append(pid)
        os.close(write_end)
        got = 0
        for _ in range(processes):
            assert select.select([read_end], [], [], TIMEOUT)[0], "it does not get so many"
            got += int(os.read(read_end, len(str(count))))
        yield got
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(read_end)


def cycles(path, count, uid=OURS):
    """How long each of so many locks took that user on a terminal of his, a
    connection each; in order of time."""
    def ask():
        master, tty = os.openpty()
        took = []
        for _ in range(count):
            began = time.monotonic()
            w = Wire(path, tty)
            assert w.lock()[3] == GRANTED
            took.append(time.monotonic() - began)
            w.release()
            w.close()
        os.close(master)
        os.close(tty)
        return sorted(took)

    return in_child(ask, uid)


@test
def twenty_thousand_connections_of_one(stage):
    need_root()
    with Daemon(stage) as d:
        calm, began = cycles(d.path, 200), time.monotonic()
        with hostile_processes(d.path, 4, 5000, talk=False) as got:
            assert got == 20000
            took = cycles(d.path, 200)
            print(f"a lock of another user: {calm[100] * 1e3:.2f} ms alone,"
                  f" {took[100] * 1e3:.2f} ms (99 %: {took[197] * 1e3:.2f} ms) beside"
                  f" {d.descriptors() // 2} of 20000 connections")
            assert took[197] < 3 and took[-1] < 15, took[-5:]
            assert cycles(d.path, 1, 0)  # and root's
            log = d.log()
            assert re.search(rf"over the quota: pid \d+ \([^)]*\), uid {THEIRS}, connections", log), \
                log[-2000:]
            # Of thousands of refusals: 50 at once, 5 a second.
            most = 100 + 6 * (time.monotonic() - began)
            assert len(re.findall("over the quota", log)) < most, log[-2000:]
        # When they have gone it has forgotten them.
        until(lambda: d.descriptors() < 30, "the end of all connections")


@test
def floods_of_one(stage):
    need_root()
    with Daemon(stage) as d:
        master, tty = os.openpty()
        holder = Wire(d.path, tty)
        assert holder.lock()[3] == GRANTED
        calm = cycles(d.path, 200)
        with hostile_processes(d.path, 2, 1000, talk=True):
            took = cycles(d.path, 100)
            print(f"a lock of another user: {calm[100] * 1e3:.2f} ms alone,"
                  f" {took[50] * 1e3:.2f} ms (99 %: {took[98] * 1e3:.2f} ms) beside a flood")
            assert took[98] < 3 and took[-1] < 15, took[-5:]
        assert [e[10] if 10 in e else 0 for e in holder.status()] == [0]
        holder.release()
        assert holder.lock(2)[3] == GRANTED  # it was there throughout
        holder.close()
        os.close(master)
        os.close(tty)


@test
def a_flooder_is_slowed_and_loses_nothing(stage):
    """All that it sent is done in the end, and what it holds stays its own."""
    need_root()
    with Daemon(stage) as d:
        master, tty = os.openpty()

        def flood():
            w = Wire(d.path, tty)
            assert w.lock()[3] == GRANTED
            began = time.monotonic()
            w.socket.settimeout(60)
            for _ in range(200):  # 80,000 messages: two seconds' worth of them
                w.socket.sendall(frame(LOCK_RELEASE, {1: 99}) * 400)
            entries = w.status()
            return entries, time.monotonic() - began

        entries, took = in_child(flood, THEIRS)
        assert len(entries) == 1 and 10 not in entries[0], entries
        assert took > 0.8, took
        os.close(master)
        os.close(tty)


@test
def without_descriptors_it_idles_and_recovers(stage):
    need_root()
    with Daemon(stage) as d:
        master, tty = os.openpty()
        holder = Wire(d.path, tty)
        assert holder.lock()[3] == GRANTED
        limit = resource.prlimit(d.pid, resource.RLIMIT_NOFILE)
        limited = time.monotonic()
        # Fewer than it has: nobody can be taken in even to be turned away.
        resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (5, limit[1]))
        late = []
        for _ in range(300):
            s = socket.socket(socket.AF_UNIX)
            s.connect(d.path)
            with contextlib.suppress(OSError):
                s.sendall(HELLO_FRAME)
            late.append(s)
        until(lambda: "out of descriptors" in d.log(), "its complaint")
        before, began = d.cpu(), time.monotonic()
        select.select([], [], [], 1)  # what is measured: a second of its life
        used, took = d.cpu() - before, time.monotonic() - began
        print(f"without descriptors it ran {used * 1e3:.0f} ms of {took:.1f} s")
        assert used < took / 20, (used, took)
        holder.release()  # those that are in are served meanwhile
        assert holder.lock(2)[3] == GRANTED
        # Five at once, one a second.
        assert len(re.findall("out of descriptors", d.log())) < 9 + time.monotonic() - limited
        resource.prlimit(d.pid, resource.RLIMIT_NOFILE, limit)
        late[-1].settimeout(TIMEOUT)
        assert late[-1].recv(100)  # the last one of them is welcomed now
        for s in late:
            s.close()
        fresh = Wire(d.path)
        assert len(fresh.status()) == 1
        fresh.close()
        holder.close()
        until(lambda: d.descriptors() < 20, "the end of those connections")
        os.close(master)
        os.close(tty)


main(limit=150)
