"""Ctrl-C while the terminal is somebody's: each row of the table (docs: ttylock.h,
ttylock_shield), for hosts with handlers of every kind. The keys are real ones
where the terminal's foreground can have them, kill(2) where it cannot."""
import os
import select
import signal

import pexpect

from harness import BUILD, Skip, main, test, until
from puppet import Puppet

MINE = r"Ctrl-C kept back: this process has the terminal\r*\n"
NOBODY = r"Ctrl-C passed on: nobody has the terminal\r*\n"
NO_ANSWER = r"Ctrl-C passed on: the daemon does not say who has the terminal\r*\n"
THIRD = r"Ctrl-C passed on: the third within two seconds\r*\n"
SI_KERNEL = 128


def host(stage, kind="plain", threads=1):
    """A puppet with a handler of its own and a handle."""
    p = Puppet(stage, threads)
    p.ask("handler", kind)
    assert p.ask("open", 0) == "0"
    return p


def until_seen(p, **wanted):
    def look():
        seen = p.seen()
        return all(seen[k] == v for k, v in wanted.items())
    until(look, f"{wanted}, not {p.seen()}")


def check_own_handler(p, calls):
    """Ctrl-C reaches the host's own handler, once, without a word of ours."""
    shown = len(p.terminal.shown)
    p.terminal.sendintr()
    until_seen(p, calls=calls)
    assert "ttylock:" not in p.terminal.shown[shown:]


class StoppedDaemon:
    def __init__(self, stage):
        self.pid = stage.daemon_pid()

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)
        until(lambda: open(f"/proc/{self.pid}/stat").read().rpartition(")")[2].split()[0] == "T",
              "a stopped daemon")

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


# --- the rows ----------------------------------------------------------------

@test
def the_holder_keeps_it_back_and_redraws(stage):
    p = host(stage, "info")
    action = p.ask("action")
    held = p.acquire(flags="sr")
    for n in (1, 2):
        p.terminal.sendintr()
        p.terminal.expect(MINE)
        until_seen(p, redraws=n, calls=0)
    assert p.ask("release", 0, held) == "0"
    assert p.ask("action") == action
    check_own_handler(p, calls=1)
    assert p.seen()["code"] == SI_KERNEL


@test
def a_waiter_is_told_who_holds(stage):
    root = Puppet(stage)
    root.ask("handler", "plain")
    a, b = root.fork(), root.fork()
    for p in (a, b):
        assert p.ask("open", 0) == "0"
    held = a.acquire(text="looking-at-it")
    b.begin_acquire(flags="s")
    stage.until_waiting(1)
    root.terminal.sendintr()  # to all three
    root.terminal.expect(rf"Ctrl-C kept back: puppet \(pid {a.pid}\) has the terminal: "
                         r"looking-at-it\r*\n")
    until_seen(root, calls=1)
    until_seen(a, calls=1)
    assert b.is_waiting()
    assert a.ask("release", 0, held) == "0"
    assert int(b.answer()) > 0
    assert b.seen()["calls"] == 0


@test
def a_waiter_whose_daemon_hangs_is_let_go(stage):
    p = host(stage, threads=2)
    action = p.ask("action")
    other = p.fork()
    other.ask("open", 0)
    held = other.acquire()
    p.threads[1].begin_acquire(flags="s")
    stage.until_waiting(1)
    with StoppedDaemon(stage):
        p.terminal.sendintr()
        p.terminal.expect(NO_ANSWER)
        assert p.threads[1].answer() == "ECANCELED"
        until_seen(p, calls=1)
        assert p.ask("action") == action
    until(lambda: stage.requests()[1] == [], "nobody waits any more")
    assert other.ask("status", 0, held) == "2", "the holder still holds"
    until_seen(other, calls=1)


@test
def all_waiters_of_a_process_are_let_go(stage):
    """Three threads with one handle, and one by itself."""
    p = host(stage, threads=5)
    p.ask("open", 1)
    other = p.fork()
    other.ask("handler", "ignore")
    other.ask("open", 0)
    other.acquire()
    for n, t in enumerate(p.threads[1:]):
        t.begin_acquire(n == 3, flags="s")
    stage.until_waiting(4)
    with StoppedDaemon(stage):
        p.terminal.sendintr()
        for t in p.threads[1:]:
            assert t.answer() == "ECANCELED"
    until_seen(p, calls=1)


@test
def a_request_that_was_taken_back_asynchronously(stage):
    p = host(stage)
    other = p.fork()
    other.ask("open", 0)
    other.acquire()
    asked = p.ask("async", 0, -1, "s")
    stage.until_waiting(1)
    with StoppedDaemon(stage):
        p.terminal.sendintr()
        p.terminal.expect(NO_ANSWER)
        assert p.ask("dispatch", 0, 3000) == "1"
        assert p.ask("status", 0, asked) == "4", "cancelled"
    until(lambda: stage.requests()[1] == [], "nobody waits any more")


@test
def after_the_daemon_died(stage):
    p = host(stage)
    assert p.ask("shield", 0) == "0"
    os.kill(stage.daemon_pid(), signal.SIGKILL)
    p.terminal.sendintr()
    p.terminal.expect(NO_ANSWER)
    until_seen(p, calls=1)
    assert p.ask("unshield", 0) == "0"
    check_own_handler(p, calls=2)


@test
def nobody_holds(stage):
    p = host(stage)
    action = p.ask("action")
    assert p.ask("shield", 0) == "0"
    assert p.ask("shield", 0) == "EALREADY"
    assert p.ask("action") != action
    p.terminal.sendintr()
    p.terminal.expect(NOBODY)
    until_seen(p, calls=1)
    assert p.ask("unshield", 0) == "0"
    assert p.ask("unshield", 0) == "ENOENT"
    assert p.ask("action") == action


@test
def a_bystander_is_shielded_while_another_holds(stage):
    root = Puppet(stage)
    holder, p = root.fork(), root.fork()
    root.ask("handler", "ignore")
    holder.ask("handler", "ignore")
    p.ask("handler", "plain")
    for each in (holder, p):
        assert each.ask("open", 0) == "0"
    held = holder.acquire(text="mine")
    p.ask("shield", 0)
    root.terminal.sendintr()
    root.terminal.expect(rf"kept back: puppet \(pid {holder.pid}\) has the terminal: mine\r*\n")
    assert p.seen()["calls"] == 0
    holder.ask("release", 0, held)
    stage.until_free()
    root.terminal.sendintr()
    root.terminal.expect(NOBODY)
    until_seen(p, calls=1)


@test
def the_third_escapes(stage):
    p = host(stage, threads=2)
    held = p.acquire(flags="s", task="a")
    p.threads[1].begin_acquire(flags="s", task="b")
    stage.until_waiting(1)
    kept_back = 0
    p.terminal.sendintr()
    while p.terminal.expect([MINE, THIRD]) == 0:  # on a slow machine the third may be a later one
        kept_back += 1
        p.terminal.sendintr()
    assert kept_back >= 2
    until_seen(p, calls=1)
    assert p.threads[1].answer() == "ECANCELED"
    assert p.ask("status", 0, held) == "2", "the holder still holds"


@test
def the_third_escapes_while_output_is_stopped(stage):
    p = host(stage)
    p.acquire(flags="s")
    p.terminal.send("\x13")
    with open(f"/proc/{p.pid}/fd/0", "wb", 0) as tty:
        until(lambda: not select.select([], [tty], [], 0)[1], "stopped output")
    sent = 0
    while p.seen()["calls"] == 0:  # whose answer comes after the hook, in the same thread
        os.kill(p.pid, signal.SIGINT)
        sent += 1
    assert sent >= 3
    p.terminal.send("\x11")


@test
def nobody_reads_the_terminal(stage):
    """Its buffer is full after a while, in the middle of a line: nobody waits."""
    p = host(stage)
    p.acquire(flags="s")
    for _ in range(2000):
        os.kill(p.pid, signal.SIGINT)
        p.ask("action")  # whose answer comes after the hook, in the same thread
    # All but the first two, and two more for each time that the machine stood still.
    assert 1000 < p.seen()["calls"] <= 1998, p.seen()


# --- hosts -------------------------------------------------------------------

@test
def the_siginfo_of_a_host_is_whole(stage):
    p = host(stage, "info")
    action = p.ask("action")
    p.ask("shield", 0)
    os.kill(p.pid, signal.SIGINT)
    until_seen(p, calls=1, pid=os.getpid(), code=0)
    p.ask("unshield", 0)
    assert p.ask("action") == action


@test
def a_host_on_its_alternate_stack(stage):
    p = host(stage, "stack")
    action = p.ask("action")
    p.ask("shield", 0)
    p.terminal.sendintr()
    p.terminal.expect(NOBODY)
    until_seen(p, calls=1, on_stack=1)
    held = p.acquire(flags="s")
    p.terminal.sendintr()
    p.terminal.expect(MINE)
    p.ask("release", 0, held)
    p.ask("unshield", 0)
    assert p.ask("action") == action
    check_own_handler(p, calls=2)


@test
def a_host_that_ignores_it(stage):
    p = host(stage, "ignore")
    action = p.ask("action")
    p.ask("shield", 0)
    p.terminal.sendintr()
    p.terminal.expect(NOBODY)
    p.ask("unshield", 0)
    assert p.ask("action") == action
    p.terminal.sendintr()
    assert p.seen()["calls"] == 0


@test
def a_host_without_a_handler_dies_of_it(stage):
    p = Puppet(stage)
    action = p.ask("action")  # as execve left it
    p.ask("open", 0)
    held = p.acquire(flags="s")
    p.terminal.sendintr()
    p.terminal.expect(MINE)
    p.ask("release", 0, held)
    assert p.ask("action") == action
    stage.until_free()  # nobody waits for an answer to a release
    p.ask("shield", 0)
    p.terminal.sendintr()
    p.terminal.expect(NOBODY)
    assert p.terminal.finish() == 128 + signal.SIGINT
    assert p.terminal.signalstatus == signal.SIGINT


@test
def a_handler_for_one_call(stage):
    p = host(stage, "once")
    p.ask("shield", 0)
    p.terminal.sendintr()
    until_seen(p, calls=1)
    p.ask("unshield", 0)
    p.terminal.sendintr()
    assert p.terminal.finish() == 128 + signal.SIGINT


@test
def a_handler_that_came_under_the_shield_stays(stage):
    p = host(stage)
    held = p.acquire(flags="s")
    p.ask("handler", "other")
    theirs = p.ask("action")
    p.terminal.sendintr()
    until_seen(p, others=1, calls=0)
    p.ask("release", 0, held)
    assert p.ask("action") == theirs
    stage.until_free()  # nobody waits for an answer to a release
    # And is what the next shield finds.
    p.ask("shield", 0)
    p.terminal.sendintr()
    p.terminal.expect(NOBODY)
    until_seen(p, others=2, calls=0)
    p.ask("unshield", 0)
    assert p.ask("action") == theirs


@test
def a_host_that_puts_our_hook_back(stage):
    p = host(stage)
    action = p.ask("action")
    p.ask("shield", 0)
    p.ask("keep")
    p.ask("unshield", 0)
    assert p.ask("action") == action
    p.ask("put-back")
    check_own_handler(p, calls=1)
    p.ask("shield", 0)
    p.terminal.sendintr()
    p.terminal.expect(NOBODY)
    until_seen(p, calls=2)
    p.ask("unshield", 0)
    assert p.ask("action") == action


@test
def a_masked_waiter(stage):
    """The thread that waits has SIGINT blocked: another one's hook lets it go."""
    p = host(stage, threads=2)
    other = p.fork()
    other.ask("handler", "ignore")
    other.ask("open", 0)
    other.acquire()
    p.threads[1].ask("mask", "block")
    p.threads[1].begin_acquire(flags="s")
    stage.until_waiting(1)
    p.terminal.sendintr()
    p.terminal.expect(rf"kept back: puppet \(pid {other.pid}\)")
    with StoppedDaemon(stage):
        p.terminal.sendintr()
        p.terminal.expect(NO_ANSWER)
        assert p.threads[1].answer() == "ECANCELED"
    until_seen(p, calls=1)


@test
def a_process_that_blocks_it_holds_nobody_up(stage):
    root = Puppet(stage)
    root.ask("handler", "ignore")
    masked, b = root.fork(), root.fork()
    for p in (masked, b):
        p.ask("open", 0)
    masked.ask("mask", "block")
    masked.begin_acquire(flags="s")
    held = masked.answer()
    b.begin_acquire(flags="s")
    stage.until_waiting(1)
    root.terminal.sendintr()
    root.terminal.expect(rf"kept back: puppet \(pid {masked.pid}\)")
    assert masked.ask("release", 0, held) == "0"
    assert int(b.answer()) > 0
    # What was pending is the host's own business now.
    assert masked.ask("mask", "unblock") == "ok"


@test
def shields_are_counted(stage):
    p = host(stage, threads=3)
    action = p.ask("action")
    first = p.acquire(flags="s", task="a")
    p.threads[1].ask("open", 1)
    got = p.threads[1].acquire(1, 1, flags="s", task="b"), p.threads[2].acquire(0, flags="sn", task="c")
    assert got == ("ETIMEDOUT", "EBUSY"), got
    p.ask("shield", 0)
    p.threads[1].ask("shield", 1)
    p.ask("unshield", 0)
    p.terminal.sendintr()
    p.terminal.expect(MINE)
    p.threads[1].ask("close", 1)
    p.terminal.sendintr()
    p.terminal.expect(MINE)
    assert p.seen()["calls"] == 0
    p.ask("release", 0, first)
    assert p.ask("action") == action
    check_own_handler(p, calls=1)


@test
def a_child_has_no_shield(stage):
    p = host(stage)
    action = p.ask("action")
    p.acquire(flags="s")
    child = p.fork()
    assert child.ask("action") == action
    os.kill(child.pid, signal.SIGINT)
    until_seen(child, calls=1)
    assert p.ask("action") != action
    p.terminal.sendintr()
    p.terminal.expect(MINE)


@test
def a_storm(stage):
    """Thousands of SIGINT while a thread takes turns: nothing is lost."""
    p = host(stage, threads=3)
    action = p.ask("action")
    p.threads[2].ask("open", 1)
    p.threads[1].begin("turns", 0, 1500, "s")
    p.threads[2].begin("turns", 1, 1500, "s")
    sent = 0
    while sent < 3000 or any(t.is_waiting() for t in p.threads[1:]):
        os.kill(p.pid, signal.SIGINT)
        sent += 1
        if sent % 50 == 0:
            p.seen()  # it keeps up; and reads what was shown
            p.terminal.expect([pexpect.TIMEOUT, r"never shown"], timeout=0)
    for t in p.threads[1:]:
        got = dict(f.split("=") for f in t.answer().split())
        assert got["wrong"] == "0", got
        assert int(got["granted"]) + int(got["cancelled"]) + int(got["interrupted"]) == 1500, got
    assert p.ask("action") == action
    assert p.seen()["calls"] > 0
    stage.until_free()
    calls = p.seen()["calls"]
    os.kill(p.pid, signal.SIGINT)
    until(lambda: p.seen()["calls"] > calls, "the host's own handler")


PYTHON = r'''
import ctypes, faulthandler, os, signal, sys, time
faulthandler.enable()
lib = ctypes.CDLL(sys.argv[1])

class Wish(ctypes.Structure):
    _fields_ = [("task_name", ctypes.c_char_p), ("task_id", ctypes.c_uint64),
                ("reason", ctypes.c_int), ("text", ctypes.c_char_p), ("subject", ctypes.c_int),
                ("nonblock", ctypes.c_bool), ("shield", ctypes.c_bool),
                ("redraw", ctypes.c_void_p), ("redraw_arg", ctypes.c_void_p)]

def ready(what):
    print("ready", what, flush=True)

def expect_interrupt(when):
    try:
        ready(when)
        while True:
            time.sleep(0.1)  # in pause() one that comes just before it would be lost
    except KeyboardInterrupt:
        print("KeyboardInterrupt", flush=True)

expect_interrupt("before")
t, request = ctypes.c_void_p(), ctypes.c_uint64()
print("open", lib.ttylock_open(ctypes.byref(t), -1, 1), flush=True)
wish = Wish(text=b"python", shield=True)
print("acquire", lib.ttylock_acquire(t, ctypes.byref(wish), -1, ctypes.byref(request)), flush=True)
ready("holding")
input()
print("release", lib.ttylock_release(t, request), flush=True)
expect_interrupt("after")
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, faulthandler.is_enabled())
sys.stdout.flush()
faulthandler._sigsegv()
'''


@test
def inside_python(stage):
    library = os.path.join(BUILD, "libttylock.so")
    if b"__asan_init" in open(library, "rb").read():
        raise Skip("python has no sanitizer's runtime")
    script = stage.write("host.py", PYTHON)
    t = stage.spawn("/usr/bin/python3", script, library)
    t.expect(r"ready before\r*\n")
    t.sendintr()
    t.expect(r"KeyboardInterrupt\r*\n")
    t.expect(r"open 0\r\nacquire 0\r\nready holding\r*\n")
    for _ in range(2):
        t.sendintr()
        t.expect(MINE)
    t.sendline("go on")
    t.expect(r"release 0\r\nready after\r*\n")
    assert "KeyboardInterrupt" not in t.before
    t.sendintr()
    t.expect(r"KeyboardInterrupt\r*\n")
    t.expect(r"True True\r*\n")
    t.expect("Fatal Python error: Segmentation fault")
    assert t.finish() == 128 + signal.SIGSEGV


main()
