"""The daemon is killed, and comes back: nobody at a prompt notices, who waits keeps
his place, and nobody holds what another has."""
import contextlib
import ctypes
import select
import struct
import subprocess

from harness import *
from puppet import Puppet

CROWD = os.path.join(PROGRAMS, "crowd")
HERD = os.path.join(BUILD, "tests/library/herd")
LIBC = ctypes.CDLL(None, use_errno=True)
SYS_PIDFD_GETFD = 438
COUNT = 200 if "san" in BUILD else 1000
# Far more than it takes: what is checked is that it comes to that.
SOON = 5 * TIMEOUT if "san" in BUILD else TIMEOUT


def kill_daemon(stage):
    """And waits for the next one, which somebody starts."""
    daemon = stage.daemon_pid()
    os.kill(daemon, signal.SIGKILL)
    until(lambda: not is_alive(daemon), "its end")
    return until(lambda: stage.daemon_pid() not in (None, daemon), "the next daemon")


def descriptor_of(pidfd, pid, path):
    """The other process's open file as one of ours, with the lock that it has."""
    number = None
    for n in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # one that it closes just then
            if os.readlink(f"/proc/{pid}/fd/{n}") == path:
                number = int(n)
    assert number is not None, path
    ours = LIBC.syscall(SYS_PIDFD_GETFD, pidfd, number, 0)
    assert ours >= 0, os.strerror(ctypes.get_errno())
    return ours


@contextlib.contextmanager
def outage(stage):
    """The daemon is killed, and no other can begin to serve: its lock goes on with us."""
    daemon = stage.daemon_pid()
    pidfd = os.pidfd_open(daemon)
    lock = descriptor_of(pidfd, daemon, stage.path("ttylock/ttylock.sock.lock"))
    try:
        os.kill(daemon, signal.SIGKILL)
        # That its connections are closed, too, is certain once it has ended.
        assert select.select([pidfd], [], [], TIMEOUT)[0], "its end"
        yield
    finally:
        os.close(lock)
        os.close(pidfd)


def ids(requests):
    holder, waiters = requests
    return [holder and holder["id"], *(w["id"] for w in waiters)]


def until_ids(stage, wanted):
    until(lambda: ids(stage.requests()) == wanted, f"{wanted} hold and wait")


# --- at a debugger's prompt -------------------------------------------------------------

@test
def a_person_in_gdb_notices_nothing(stage):
    t = stage.run(CROWD, *["segv"] * 6)
    first = t.banner()
    requests = stage.until_waiting(5)
    for _ in range(3):
        kill_daemon(stage)
        until(lambda: has_reclaimed(stage, 6), "all have come back")
        assert ids(stage.requests()) == ids(requests)
        assert t.gdb("print 6 * 7") == "print 6 * 7\r\n$1 = 42\r\n" or "= 42" in t.before
        assert "ttylock" not in t.before
    assert t.debugged() == first["pid"]
    t.quit()
    served = [first["pid"]]
    for waiter in requests[1]:
        b = t.banner()
        assert b["pid"] == waiter["subject_pid"]
        served.append(b["pid"])
        t.quit()
    assert t.finish() == 0
    assert t.banners() == served
    assert stage.replay() == 6


@test
def a_debugger_is_left_while_there_is_no_daemon(stage):
    t = stage.run(CROWD, *["segv"] * 3)
    first = t.banner()
    _, waiters = stage.until_waiting(2)
    with outage(stage):
        t.quit()
        until(lambda: not is_alive(first["pid"]), "its end")
        assert t.banners() == [first["pid"]]
    for waiter in waiters:
        assert t.banner()["pid"] == waiter["subject_pid"]
        t.quit()
    assert t.finish() == 0
    stage.until_free()


@test
def a_debugger_is_killed_while_there_is_no_daemon(stage):
    """The terminal that it leaves is mended all the same."""
    t = stage.run(CROWD, "segv", "segv")
    t.banner()
    holder, (waiter,) = stage.until_waiting(1)
    with outage(stage):
        os.kill(holder["pid"], signal.SIGKILL)
        until(lambda: not is_alive(holder["pid"]), "its end")
    assert t.banner()["pid"] == waiter["subject_pid"]
    t.quit()
    assert t.finish() == 0
    assert t.is_sane() or not t.isalive()


@test
def the_only_debugger_is_killed_while_there_is_no_daemon(stage):
    """Nobody comes after it: the agent mends the terminal when it can ask."""
    t = stage.spawn("/bin/sh", "-c",
                    f"{TTYLOCK} run -- {CRASH} segv; echo status $?; {CRASH} wait")
    first = t.banner()
    holder, _ = stage.until_waiting(0)
    assert not t.is_sane()
    with outage(stage):
        os.kill(holder["pid"], signal.SIGKILL)
        until(lambda: not is_alive(holder["pid"]), "its end")
    t.expect(r"status \d+\r\nready \d+\r\n")
    assert t.is_sane(), t.modes()
    assert t.banners() == [first["pid"]]
    t.sendintr()
    assert t.finish() == 130


@test
def a_command_that_waits_is_interrupted_while_there_is_no_daemon(stage):
    t = stage.spawn(TTYLOCK, "exec", "--", "cat")
    t.sendline("one")
    t.expect(r"one\r\none\r\n")
    env = {**stage.env, "TTYLOCK_TTY": os.readlink(f"/proc/{t.pid}/fd/0")}
    with subprocess.Popen([TTYLOCK, "exec", "--", "true"], env=env, stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, start_new_session=True) as waiter:
        (holder, _) = stage.until_waiting(1)
        waiter.send_signal(signal.SIGINT)
        assert "Ctrl-C kept back: ttylock" in waiter.stderr.readline()
        with outage(stage):
            waiter.send_signal(signal.SIGINT)
            assert waiter.wait(TIMEOUT) == 128 + signal.SIGINT
    until_ids(stage, [holder["id"]])
    t.sendeof()
    assert t.finish() == 0


@test
def a_command_goes_on(stage):
    t = stage.spawn(TTYLOCK, "exec", "--", "cat")
    t.sendline("one")
    t.expect(r"one\r\none\r\n")
    before = ids(stage.requests())
    kill_daemon(stage)
    until(lambda: has_reclaimed(stage, 1), "it has come back")
    assert ids(stage.requests()) == before
    t.sendline("two")
    t.expect(r"two\r\ntwo\r\n")
    t.sendeof()
    assert t.finish() == 0
    assert "ttylock" not in t.shown, t.shown
    stage.until_free()


@test
def a_command_hears_of_the_next_daemons_orders(stage):
    t = stage.spawn(TTYLOCK, "exec", "--", "cat")
    t.sendline("one")
    t.expect(r"one\r\none\r\n")
    kill_daemon(stage)
    until(lambda: has_reclaimed(stage, 1), "it has come back")
    forced = stage.ttylock("release", "--force", "--yes", ids(stage.requests())[0])
    assert forced.returncode == 0, forced
    t.expect("by force")
    assert t.finish() == 128 + signal.SIGKILL


@test
def whatever_a_person_did_the_logs_go_by_the_rules(stage):
    """Nested, moved, cancelled and forced, with two restarts among them."""
    t = stage.spawn(TTYLOCK, "exec", "--", "cat")
    t.sendline("one")
    t.expect(r"one\r\none\r\n")
    env = {**stage.env, "TTYLOCK_TTY": os.readlink(f"/proc/{t.pid}/fd/0")}
    commands = ["true"], ["true"], [TTYLOCK, "exec", "--", "true"], ["true"]
    others = []
    for count, command in enumerate(commands, 1):
        others.append(subprocess.Popen([TTYLOCK, "exec", "--", *command], env=env,
                                       stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                       start_new_session=True))
        stage.until_waiting(count)
    holder, first, second, third, fourth = ids(stage.requests())
    kill_daemon(stage)
    until(lambda: has_reclaimed(stage, 5), "all have come back")
    assert stage.ttylock("next", "--id", fourth).returncode == 0
    assert stage.ttylock("cancel", "--id", first).returncode == 0
    assert ids(stage.requests()) == [holder, fourth, second, third]
    kill_daemon(stage)
    until(lambda: has_reclaimed(stage, 4), "the others have come back")
    assert ids(stage.requests()) == [holder, fourth, second, third]
    assert stage.ttylock("release", "--force", "--yes", holder).returncode == 0
    assert t.finish() == 128 + signal.SIGKILL
    for p in others:
        p.communicate(timeout=TIMEOUT)
    assert [p.returncode for p in others] == [125, 0, 0, 0]
    assert stage.replay() == 5


@test
def run_has_it_started_again_at_once(stage):
    t = stage.run("cat")
    until(stage.daemon_pid, "a daemon")
    for _ in range(3):
        kill_daemon(stage)
    t.sendeof()
    assert t.finish() == 0
    assert "ttylock" not in t.shown, t.shown
    until(lambda: not stage.named("ttylockd"), "the last daemon ends by itself")


# --- programs that use the library -------------------------------------------------------

def waiting_pair(stage, flags="-"):
    """A holder that is not in the library, and a waiter that is."""
    p = Puppet(stage, 2)
    holder = p.fork()
    for each in (holder, p):
        each.ask("handler", "plain")
        assert each.ask("open", 0) == "0"
    held = holder.acquire()
    p.threads[1].begin_acquire(flags=flags)
    stage.until_waiting(1)
    return p, holder, held


@test
def a_holder_outside_the_library_is_waited_for(stage):
    p, holder, held = waiting_pair(stage)
    before = ids(stage.requests())
    kill_daemon(stage)
    until(lambda: has_reclaimed(stage, 1), "the waiter has come back")
    assert ids(stage.requests()) == before
    assert p.threads[1].is_waiting()
    assert holder.ask("status", 0, held) == "2"
    assert holder.ask("release", 0, held) == "0"
    assert int(p.threads[1].answer()) > 0


@test
def a_release_that_no_daemon_heard(stage):
    """Also by one who closes his handle then: the next one of his tells it."""
    p, holder, held = waiting_pair(stage)
    with outage(stage):
        assert holder.ask("release", 0, held) == "ECONNRESET"
        assert holder.ask("release", 0, held) == "ENOENT"
        assert holder.ask("close", 0) == "0"
    until(lambda: has_reclaimed(stage, 1), "the waiter has come back")
    assert p.threads[1].is_waiting(), "it is not known to be free"
    assert holder.ask("open", 1) == "0"
    assert int(p.threads[1].answer()) > 0


@test
def an_end_that_a_stuck_daemon_never_read(stage):
    """It is told by the next handle, also where the last one was closed meanwhile."""
    p, holder, held = waiting_pair(stage)
    daemon = stage.daemon_pid()
    os.kill(daemon, signal.SIGSTOP)
    assert holder.ask("release", 0, held) == "0"
    assert holder.ask("close", 0) == "0"
    os.kill(daemon, signal.SIGKILL)
    until(lambda: has_reclaimed(stage, 1), "the waiter has come back")
    assert p.threads[1].is_waiting(), "it is not known to be free"
    assert holder.ask("open", 1) == "0"
    assert int(p.threads[1].answer()) > 0


@test
def nobody_takes_the_terminal_by_a_grant_that_has_ended_meanwhile(stage):
    """Released by force while it had not come back: it asks the next daemon first."""
    p, holder, held = waiting_pair(stage)
    os.kill(stage.daemon_pid(), signal.SIGKILL)
    until(lambda: has_reclaimed(stage, 1), "the waiter has come back")
    assert p.threads[1].is_waiting()
    done = stage.ttylock("release", "--force", "--yes", str(stage.requests()[0]["id"]))
    assert done.returncode == 0, done
    assert int(p.threads[1].answer()) > 0
    assert holder.ask("take", 0, held) == "ENOENT"


@test
def what_a_dead_holder_left_is_mended_after_a_restart(stage):
    """The daemon dies between the grant and its use."""
    p, holder, held = waiting_pair(stage)
    assert holder.ask("take", 0, held) == "0"
    assert holder.ask("raw") == "0"
    os.kill(holder.pid, signal.SIGKILL)
    granted = int(p.threads[1].answer())
    os.kill(stage.daemon_pid(), signal.SIGKILL)
    until(lambda: p.ask("dispatch", 0, 50) and has_reclaimed(stage, 1), "the holder has come back")
    assert p.threads[1].ask("take", 0, granted) == "0"
    assert p.threads[1].ask("give", 0) == "0"
    assert p.terminal.is_sane(), p.terminal.modes()


@test
def ctrl_c_while_there_is_no_daemon(stage):
    p, holder, held = waiting_pair(stage, flags="s")
    before = ids(stage.requests())
    with outage(stage):
        p.terminal.sendintr()
        assert p.threads[1].answer() == "ECANCELED"
        until(lambda: p.seen()["calls"] == 1, "the host's handler")
    until(lambda: [each.ask("dispatch", 0, 50) for each in (p, holder)] and
          ids(stage.requests()) == before[:1], "both come back")
    assert holder.ask("release", 0, held) == "0"


@test
def ctrl_c_at_a_holder_whose_daemon_is_another_one(stage):
    """The hook finds it by itself, though the program is not in the library."""
    p = Puppet(stage)
    p.ask("handler", "plain")
    assert p.ask("open", 0) == "0"
    held = p.acquire(flags="sr")
    t = stage.run("cat")  # somebody who has it started again
    until(lambda: len(stage.named("cat")) == 1, "another tree")
    kill_daemon(stage)
    p.terminal.sendintr()
    p.terminal.expect("Ctrl-C kept back: this process has the terminal")
    assert p.seen() == {**p.seen(), "calls": 0, "redraws": 1}
    assert p.ask("release", 0, held) == "0"
    t.sendeof()
    assert t.finish() == 0


@test
def a_deadline_and_an_interrupt_while_there_is_no_daemon(stage):
    p, _, _ = waiting_pair(stage)
    with outage(stage):
        assert p.ask("interrupt", 0) == "0"
        assert p.threads[1].answer() == "EINTR"
        assert p.acquire(timeout=100) == "ETIMEDOUT"
        asked = p.ask("async", 0, -1, "-")
        assert p.ask("cancel", 0, asked) in ("0", "ECONNRESET")


@test
def a_child_of_one_that_is_reconnecting(stage):
    p, holder, held = waiting_pair(stage)
    with outage(stage):
        child = p.fork()
        assert child.ask("dispatch", 0, -1) == "ECONNRESET"
        assert child.acquire(timeout=1000) == "ECONNRESET"
        assert child.ask("close", 0) == "0"
    until(lambda: has_reclaimed(stage, 1), "the waiter has come back")
    assert holder.ask("release", 0, held) == "0"
    assert int(p.threads[1].answer()) > 0


@test
def a_daemon_that_knows_nothing(stage):
    """Its records are gone: who waits asks anew, and who held does not any more."""
    p, holder, held = waiting_pair(stage)
    with outage(stage):
        for name in os.listdir(stage.path("ttylock")):
            if "ledger" in name:
                os.unlink(stage.path(f"ttylock/{name}"))
    assert int(p.threads[1].answer()) > 0
    until(lambda: holder.ask("dispatch", 0, 100) in ("0", "1") and
          holder.ask("status", 0, held) == "3", "it is told")
    assert holder.ask("release", 0, held) == "0"


# --- very many --------------------------------------------------------------------------

def herd_counts(stage):
    """How many have had their turn, and how often somebody was told that he waits."""
    with open(stage.path("counts"), "rb") as f:
        return struct.unpack("ii", f.read(8))


@test
def a_thousand_wait(stage):
    """And keep their order through deaths of the daemon while they wait, and while
    they take their turns."""
    t = stage.spawn(HERD, COUNT, stage.write("witness", ""), stage.write("counts", "\0" * 8))
    t.expect("ready\r\n", timeout=4 * TIMEOUT)
    before = ids(stage.requests())
    assert len(before) == COUNT + 1
    for _ in range(3):
        answers = herd_counts(stage)[1]
        kill_daemon(stage)
        until(lambda: herd_counts(stage)[1] == answers + COUNT, "all have come back", SOON)
        assert ids(stage.requests()) == before
    t.sendline("go")
    for turns in (5, COUNT // 4, COUNT // 2, 3 * COUNT // 4):
        until(lambda wanted=turns: herd_counts(stage)[0] >= wanted, f"{turns} turns", SOON)
        os.kill(until(stage.daemon_pid, "a daemon"), signal.SIGKILL)
    t.timeout = SOON
    assert t.finish() == 0, t.shown
    assert f"turns {COUNT} failed 0" in t.shown


main()
