"""Parents that wait until no person has one of their children under their hands."""
import os
import signal
import time

from harness import CRASH, TTYLOCK, main, test, until
from puppet import Puppet


def family(stage, **kwargs):
    """A parent, and two children that have handles."""
    parent = Puppet(stage, threads=2, **kwargs)
    children = parent.fork(), parent.fork()
    for child in children:
        assert child.ask("open", 0) == "0"
    return parent, *children


@test
def without_a_daemon_all_are_idle(stage):
    p = Puppet(stage)
    assert p.ask("idle", -1) == "0"
    assert p.ask("debug", p.pid) == "0"
    assert p.ask("debug", 0) == "EINVAL"
    assert stage.daemon_pid() is None, "nobody started one for a question"


@test
def idle_only_after_the_last(stage):
    parent, a, b = family(stage)
    assert parent.ask("idle", -1) == "0"
    held = a.acquire()
    b.begin_acquire()
    stage.until_waiting(1)
    waiter = parent.threads[1]
    waiter.begin("idle", -1)
    assert parent.ask("idle", 50) == "ETIMEDOUT"
    a.ask("release", 0, held)
    held = b.answer()
    assert parent.ask("idle", 50) == "ETIMEDOUT"
    assert waiter.is_waiting()
    b.ask("release", 0, held)
    assert waiter.answer() == "0"
    assert parent.ask("idle", -1) == "0"


@test
def a_hand_over_is_never_idle(stage):
    parent, a, b = family(stage)
    held = a.acquire()
    waiter = parent.threads[1]
    waiter.begin("idle", -1)
    for n in range(200):
        b.begin_acquire()
        stage_has_waiter(parent, b)
        a.ask("release", 0, held)
        held = b.answer()
        a, b = b, a
        assert waiter.is_waiting(), f"idle at hand-over {n}"
    a.ask("release", 0, held)
    assert waiter.answer() == "0"


def stage_has_waiter(parent, child):
    until(lambda: parent.ask("debug", child.pid) == "1", "the child's request")


def one_that_waits(stage):
    """A family of which one holds, one waits for that, and the parent for both: with its thread."""
    parent, a, b = family(stage)
    held = a.acquire()
    b.begin_acquire()
    stage.until_waiting(1)
    waiter = parent.threads[1]
    waiter.begin("idle", -1)
    return parent, a, b, waiter, held


@test
def a_child_that_only_waits_or_dies(stage):
    parent, a, b, waiter, held = one_that_waits(stage)
    os.kill(a.pid, signal.SIGKILL)
    assert int(b.answer()) > 0
    assert waiter.is_waiting()
    os.kill(b.pid, signal.SIGKILL)
    assert waiter.answer() == "0"
    assert held


@test
def a_daemon_that_dies_does_not_end_the_wait(stage):
    parent, a, b, waiter, held = one_that_waits(stage)
    daemon = stage.daemon_pid()
    os.kill(daemon, signal.SIGKILL)
    until(lambda: stage.daemon_pid() not in (None, daemon), "the next daemon")
    assert parent.ask("idle", 50) == "ETIMEDOUT"
    assert waiter.is_waiting()
    a.ask("release", 0, held)
    held = b.answer()
    assert waiter.is_waiting()
    b.ask("release", 0, held)
    assert waiter.answer() == "0"


@test
def others_do_not_count(stage):
    parent, _, _ = family(stage)
    stranger = Puppet(stage)
    stranger.ask("open", 0)
    stranger.acquire()
    assert parent.ask("idle", 2000) == "0"
    assert parent.ask("debug", stranger.pid) == "1"
    assert parent.ask("debug", parent.pid) == "0"


@test
def it_ends_by_a_deadline_or_a_signal(stage):
    parent, a, _ = family(stage)
    a.acquire()
    began = time.monotonic()
    assert parent.ask("idle", 100) == "ETIMEDOUT"
    assert time.monotonic() - began > 0.09
    parent.threads[1].ask("mask", "block")
    parent.ask("alarm", 20)
    assert "EINTR" in {parent.ask("idle", 1000) for _ in range(20)}
    parent.ask("alarm", 0)


@test
def whether_one_is_in_debug(stage):
    parent, a, b = family(stage)
    assert [parent.ask("debug", c.pid) for c in (a, b)] == ["0", "0"]
    held = a.acquire()
    b.begin_acquire()
    stage.until_waiting(1)
    assert [parent.ask("debug", c.pid) for c in (a, b)] == ["1", "1"]
    assert parent.ask("debug", parent.pid) == "0", "not for one below it"
    a.ask("release", 0, held)
    b.answer()
    assert [parent.ask("debug", c.pid) for c in (a, b)] == ["0", "1"]


@test
def a_watchdog_asks_of_a_program_in_the_debugger(stage):
    t = stage.run(CRASH, "segv")
    pid = t.banner()["pid"]
    watchdog = Puppet(stage)
    assert watchdog.ask("debug", pid) == "1"
    t.quit()
    assert t.finish() == 128 + signal.SIGSEGV
    assert watchdog.ask("debug", pid) == "0"


@test(interrupts=True)
def a_deadline_does_not_kill_a_child_under_a_persons_hands(stage):
    """And a parent that wants to end waits until the person is done."""
    parent = Puppet(stage, threads=2, argv=(TTYLOCK, "run", "--"))
    parent.ask("handler", "ignore")
    child = parent.fork()
    child.begin("crash")
    t = parent.terminal
    assert t.banner()["pid"] == child.pid
    assert parent.ask("idle", 200) == "ETIMEDOUT"
    assert parent.ask("debug", child.pid) == "1"
    assert t.debugged() == child.pid, "still there"
    parent.threads[1].begin("idle", -1)
    t.gdb("print 6*7")
    assert parent.threads[1].is_waiting()
    t.quit()
    assert parent.threads[1].answer() == "0"
    parent.ask("kill", child.pid)
    parent.ask("reap", child.pid)


main()
