"""Every way in which a request ends before its time, and none of them waits:
for other threads, deadlines, handlers, a daemon that hangs or is dead."""
import contextlib
import os
import signal
import socket
import time

from harness import TIMEOUT, is_alive, main, test, until
from puppet import Puppet

AT_ONCE = 4.9  # seconds; what waits for an answer of the daemon takes 5


@contextlib.contextmanager
def within(seconds):
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds, f"took {took:.2f} s"


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    until(lambda: open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] == "T",
          "a stopped process")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def behind_a_holder(stage, threads=2, start="start"):
    """A puppet with a handle, the holder in its way, and the holder's request."""
    p = Puppet(stage, threads)
    holder = p.fork()
    for each in (holder, p):
        assert each.ask("open", 0, -1, start) == "0"
    return p, holder, holder.acquire(text="in-the-way")


def order(stage, head, number):
    """Sends the daemon a Hello, and a LockCancel or ForceRelease of that id."""
    assert number < 128
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(TIMEOUT)
        s.connect(stage.path("ttylock/ttylock.sock"))
        s.sendall(b"\x04\x0a\x02\x08\x01" + b"\x04" + head + bytes([number]))
        s.shutdown(socket.SHUT_WR)
        while s.recv(4096):
            pass


def until_nobody_waits(stage):
    until(lambda: stage.requests()[1] == [], "an empty queue")


@test
def by_another_thread(stage):
    p, holder, held = behind_a_holder(stage, threads=3)
    for t in p.threads[1:]:
        t.begin_acquire()
    stage.until_waiting(2)
    first, second = (p.until_asked(n) for n in (1, 2))
    assert p.ask("cancel", 0, first) == "0"
    assert p.threads[1].answer() == "ECANCELED"
    assert p.ask("cancel", 0, first) == "ENOENT"
    assert p.threads[2].is_waiting()
    holder.ask("release", 0, held)
    assert int(p.threads[2].answer()) == second
    assert p.ask("cancel", 0, second) == "0", "one that holds"
    until(lambda: stage.requests() == (None, []), "a free terminal")


@test
def by_a_deadline(stage):
    p, _, _ = behind_a_holder(stage)
    for timeout in (0, 1, 50):
        with within(AT_ONCE):
            got = p.acquire(timeout=timeout)
            assert got == "ETIMEDOUT", got
    with within(AT_ONCE):
        assert p.acquire(flags="n") == "EBUSY"
    until_nobody_waits(stage)


@test
def by_the_interrupt_of_a_handler(stage):
    p, holder, held = behind_a_holder(stage)
    p.ask("interrupt-by-signal", 0)
    waiter = p.threads[1]
    waiter.begin_acquire()
    stage.until_waiting(1)
    os.kill(p.pid, signal.SIGUSR1)  # the other thread handles it
    assert waiter.answer() == "EINTR"
    # Before it waits; and each interrupts one of them alone.
    p.ask("interrupt", 0)
    assert waiter.acquire() == "EINTR"
    waiter.begin_acquire()
    stage.until_waiting(1)
    holder.ask("release", 0, held)
    assert int(waiter.answer()) > 0


@test
def an_interrupt_is_not_for_dispatch(stage):
    p, _, _ = behind_a_holder(stage)
    p.ask("interrupt", 0)
    assert p.ask("dispatch", 0, 0) == "0"
    assert p.acquire(timeout=5000) == "EINTR"


@test
def by_any_signal(stage):
    p, _, _ = behind_a_holder(stage, threads=1)
    p.ask("alarm", 20)
    got = p.acquire()
    assert got == "EINTR", got
    assert p.seen()["alarms"] > 0
    p.ask("alarm", 0)
    until_nobody_waits(stage)


@test
def by_somebody_else(stage):
    p, _, _ = behind_a_holder(stage)
    p.begin_acquire()
    _, (waiter,) = stage.until_waiting(1)
    order(stage, b"\x3a\x02\x10", waiter["id"])
    assert p.answer() == "ECANCELED"


@test
def asynchronously(stage):
    p, holder, held = behind_a_holder(stage)
    asked = p.ask("async", 0, -1, "-")
    stage.until_waiting(1)
    assert p.ask("cancel", 0, asked) == "0"
    assert p.ask("status", 0, asked) == "ENOENT"
    until_nobody_waits(stage)
    # The grant crosses it: what was taken back is not held.
    asked = p.ask("async", 0, -1, "-")
    stage.until_waiting(1)
    holder.ask("release", 0, held)
    until(lambda: (stage.requests()[0] or {"pid": 0})["pid"] == p.pid, "the grant")
    assert p.ask("cancel", 0, asked) == "0"
    until(lambda: stage.requests() == (None, []), "a free terminal")


@test
def news_that_another_thread_takes_in(stage):
    """One thread waits, another dispatches: who reads the answer tells the other."""
    p, holder, held = behind_a_holder(stage)
    for _ in range(50):
        p.threads[1].begin_acquire()
        stage.until_waiting(1)
        p.begin("dispatch", 0, 20)
        holder.ask("release", 0, held)
        assert p.answer() in ("0", "1")
        mine = p.threads[1].answer()
        assert p.ask("release", 0, mine) == "0"
        held = holder.acquire()


@test
def news_for_dispatch_that_a_waiter_takes_in(stage):
    p, holder, held = behind_a_holder(stage)
    p.threads[1].begin_acquire(task="waits")
    stage.until_waiting(1)
    for _ in range(50):
        asked = p.ask("async", 0, -1, "n", "-", "looks")
        while p.ask("status", 0, asked) == "1":
            assert p.ask("dispatch", 0, 5000) == "1"
        assert p.ask("status", 0, asked) == "5", "refused"
        p.ask("cancel", 0, asked)


@test
def reading_is_passed_on_past_asynchronous_requests(stage):
    """The one who reads for all leaves: another one who waits takes over."""
    p, holder, held = behind_a_holder(stage, threads=3)
    p.ask("open", 1)
    p.threads[1].begin_acquire(0, text="reads")
    stage.until_waiting(1)
    p.threads[2].begin_acquire(0, text="follows")
    stage.until_waiting(2)
    p.ask("async", 1, -1, "-")
    stage.until_waiting(3)
    assert p.ask("cancel", 0, p.until_asked(1)) == "0"
    assert p.threads[1].answer() == "ECANCELED"
    holder.ask("release", 0, held)
    assert int(p.threads[2].answer()) > 0


@test
def a_daemon_that_hangs(stage):
    p, holder, held = behind_a_holder(stage, threads=3)
    waiter = p.threads[1]
    waiter.begin_acquire(task="waits")
    stage.until_waiting(1)
    with stopped(stage.daemon_pid()):
        with within(AT_ONCE):
            assert p.ask("cancel", 0, p.until_asked(1)) == "0"
            assert waiter.answer() == "ECANCELED"
        with within(AT_ONCE):
            assert p.acquire(timeout=100) == "ETIMEDOUT"
        with within(AT_ONCE):
            assert holder.ask("release", 0, held) == "0"
        with within(AT_ONCE):
            assert p.ask("idle", 100) == "ETIMEDOUT"
        with within(AT_ONCE):
            p.threads[2].begin_acquire()
            assert p.ask("cancel", 0, p.until_asked(2)) == "0"
            assert p.threads[2].answer() == "ECANCELED"
        with within(AT_ONCE):
            assert p.ask("close", 0) == "0"
    until(lambda: stage.requests() == (None, []), "a free terminal")


@test
def a_daemon_that_does_not_read(stage):
    """What it does not take in any more is bounded; and what could not be told
    it is not believed for ever either."""
    p, holder, held = behind_a_holder(stage, threads=1)
    with stopped(stage.daemon_pid()):
        for _ in range(5000):
            asked = p.ask("async", 0, -1, "-")
            if asked == "ECONNRESET":
                break
            p.ask("cancel", 0, asked)
        else:
            raise AssertionError("it took in everything")
        assert p.ask("dispatch", 0, 0) == "ECONNRESET"
        assert p.ask("close", 0) == "0"
    until_nobody_waits(stage)
    assert p.ask("open", 0) == "0"
    p.begin_acquire()
    stage.until_waiting(1)
    assert holder.ask("release", 0, held) == "0"
    assert int(p.answer()) > 0


@test
def a_daemon_that_dies_for_good(stage):
    """Each tries for a while; from then on nothing waits."""
    daemon = stage.serve()
    p, holder, held = behind_a_holder(stage, start="absent")
    p.threads[1].begin_acquire(flags="s")
    stage.until_waiting(1)
    holder.begin("dispatch", 0, -1)
    os.kill(daemon, signal.SIGKILL)
    assert p.threads[1].answer() == "ECONNRESET"
    assert holder.answer() == "ECONNRESET"
    with within(AT_ONCE):
        assert p.acquire() == "ECONNRESET"
        assert p.acquire(flags="s") == "ECONNRESET"
        assert p.ask("async", 0, -1, "-") == "ECONNRESET"
        assert p.ask("dispatch", 0, -1) == "ECONNRESET"
    with within(AT_ONCE):
        assert holder.ask("status", 0, held) == "6", "lost"
        assert holder.ask("release", 0, held) == "ECONNRESET"
        assert holder.ask("release", 0, held) == "ENOENT"
    # A new handle finds a new daemon, and so does the old one then. The holder's
    # release, of which the last one never heard, goes to this one.
    assert p.ask("open", 1) == "0"
    p.begin_acquire(1)
    assert holder.ask("open", 1) == "0"
    got = p.answer()
    assert int(got) > 0
    assert p.ask("release", 1, got) == "0"
    assert int(p.acquire(0)) > 0
    assert p.ask("close", 1) == "0"
    assert stage.requests()[0]["pid"] == p.pid


@test
def a_handle_that_does_not_know_of_its_daemons_death(stage):
    p = Puppet(stage)
    assert p.ask("open", 0) == "0"
    daemon = stage.daemon_pid()
    os.kill(daemon, signal.SIGKILL)
    until(lambda: not is_alive(daemon), "the daemon's end")
    assert p.ask("open", 1) == "0"
    got = p.acquire(1)
    assert int(got) > 0
    assert p.acquire(0) == "EDEADLK", "it is the same task with both"
    assert p.ask("release", 1, got) == "0"
    assert int(p.acquire(0)) > 0


@test
def a_stopped_waiter_becomes_the_holder_and_can_be_broken(stage):
    root = Puppet(stage)
    a, b, c = root.fork(), root.fork(), root.fork()
    for p in (a, b, c):
        p.ask("open", 0)
    held = a.acquire()
    b.begin_acquire()
    stage.until_waiting(1)
    c.begin_acquire()
    stage.until_waiting(2)
    with stopped(b.pid):
        a.ask("release", 0, held)
        holder, waiters = stage.until_waiting(1)
        assert (holder["pid"], waiters[0]["pid"]) == (b.pid, c.pid)
        assert c.is_waiting()
        order(stage, b"\x6a\x02\x08", holder["id"])
        assert int(c.answer()) > 0
    # What it finds when it goes on is no terminal of its own.
    got = b.answer()
    assert got == "ECANCELED", got


@test
def a_stopped_waiter_that_is_killed(stage):
    root = Puppet(stage)
    a, b, c = root.fork(), root.fork(), root.fork()
    for p in (a, b, c):
        p.ask("open", 0)
    held = a.acquire()
    b.begin_acquire()
    stage.until_waiting(1)
    c.begin_acquire()
    stage.until_waiting(2)
    os.kill(b.pid, signal.SIGSTOP)
    a.ask("release", 0, held)
    os.kill(b.pid, signal.SIGKILL)
    assert int(c.answer()) > 0


@test
def the_same_task_twice(stage):
    p, holder, held = behind_a_holder(stage, threads=3)
    p.threads[1].begin_acquire(task="one")
    stage.until_waiting(1)
    asked = p.ask("async", 0, -1, "-", "-", "other")
    stage.until_waiting(2)
    assert p.ask("async", 0, -1, "-", "-", "other") != asked
    until(lambda: p.ask("dispatch", 0, 100) == "1", "the refusal")
    assert p.ask("status", 0, asked) == "1", "keeps its place"
    assert holder.acquire(timeout=1000) == "EDEADLK"
    assert holder.ask("status", 0, held) == "2", "untouched"
    assert len(stage.until_waiting(2)[1]) == 2


main()
