"""Threads, forks and other programs around requests: tests/library/churn.c, plainly
and under ThreadSanitizer, and each kind of child by itself.

TTYLOCK_CHURN is the number of rounds of each thread (100000 for a long run).
"""
import contextlib
import os
import signal
import subprocess

from harness import BUILD, ROOT, Skip, is_alive, main, test, until
from puppet import Puppet

CHURN = os.path.join(BUILD, "tests/library/churn")
FORKER = os.path.join(BUILD, "tests/library/forker")
TSAN = "build/tsan"
ROUNDS = os.environ.get("TTYLOCK_CHURN")
# The handlers that ASan has.
SANITIZERS = 0 if BUILD.endswith("build") else sum(1 << (n - 1) for n in (
    signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE))
LIMIT = 120 if not ROUNDS else 3600
DEATHS = 5
TSAN_OPTIONS = {"TSAN_OPTIONS": "die_after_fork=0:halt_on_error=1:exitcode=66"}


def finish(t):
    status = t.finish()
    assert status == 0, status
    counts = t.shown.split("granted ")[1].split()
    assert "0" not in counts[::2][:7], t.shown[-300:]  # each way was gone


@test
def eight_threads_mixed_with_forks(stage):
    finish(stage.spawn(CHURN, "8", ROUNDS or "2000", timeout=LIMIT))


@test
def two_processes_of_four_threads(stage):
    shared = stage.write("shared", "\0" * 4096, 0o600)
    run = f"{CHURN} 4 {ROUNDS or 1000} {shared}"
    t = stage.spawn("/bin/bash", "-c", f"trap '' INT; {run} & one=$!; {run} & wait $one && wait $!",
                    timeout=LIMIT)
    status = t.finish()
    assert status == 0, status
    assert t.shown.count("granted ") == 2, t.shown[-1000:]


@test
def a_handler_that_forks_wherever_it_finds_the_library(stage):
    t = stage.spawn(FORKER, "1500", timeout=LIMIT)
    assert t.finish() == 0, t.shown[-300:]


def tsan_churn():
    if os.environ.get("BUILD", "build") != "build":
        raise Skip("done once, with the plain build")
    program = f"{TSAN}/tests/library/churn"
    made = subprocess.run(["make", "-s", f"BUILD={TSAN}", "SAN=-fsanitize=thread", "OPT=-O1 -g", program],
                          cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert made.returncode == 0, made.stdout + made.stderr
    return os.path.join(ROOT, program)


@test
def eight_threads_under_thread_sanitizer(stage):
    program = tsan_churn()
    # The daemon is the plain one: a handle of ours brings it up and keeps it.
    keeper = Puppet(stage)
    assert keeper.ask("open", 0) == "0"
    finish(stage.spawn(program, "8", ROUNDS or "2000", timeout=LIMIT, env=TSAN_OPTIONS))


def churn_with_deaths(stage, program, env=None):
    """Two processes, while their daemon is killed; somebody else has it started again."""
    shared = stage.write("shared", "\0" * 4096, 0o600)
    run = f"{program} 4 {ROUNDS or 400} {shared} dies"
    keeper = Puppet(stage)
    assert keeper.ask("open", 0) == "0"
    t = stage.spawn("/bin/bash", "-c", f"trap '' INT; {run} & one=$!; {run} & wait $one && wait $!",
                    timeout=LIMIT, env=env)
    until(lambda: stage.requests()[0], "they have begun")
    for _ in range(DEATHS):
        daemon = stage.daemon_pid()
        os.kill(daemon, signal.SIGKILL)
        until(lambda gone=daemon: not is_alive(gone), "its end")
        until(lambda gone=daemon: keeper.ask("dispatch", 0, 50) and
              stage.daemon_pid() not in (None, gone), "the next daemon")
        until(lambda: not t.isalive() or stage.requests()[0], "somebody holds")
    with open(shared, "r+b") as f:
        f.seek(4)
        f.write(b"\1")
    status = t.finish()
    assert status == 0, status
    assert t.shown.count("granted ") == 2, t.shown[-300:]


@test
def a_daemon_that_dies_again_and_again(stage):
    churn_with_deaths(stage, CHURN)


@test
def the_same_under_thread_sanitizer(stage):
    churn_with_deaths(stage, tsan_churn(), env=TSAN_OPTIONS)


# --- children ----------------------------------------------------------------

def holding(stage, **kwargs):
    p = Puppet(stage, **kwargs)
    assert p.ask("open", 0) == "0"
    return p, p.acquire()


@test
def a_child_is_inert_and_its_parent_untouched(stage):
    p, held = holding(stage)
    child = p.fork()
    assert child.acquire(timeout=5000) == "ECONNRESET"
    assert child.acquire(timeout=5000, flags="s") == "ECONNRESET"
    assert child.ask("async", 0, -1, "-") == "ECONNRESET"
    assert child.ask("dispatch", 0, -1) == "ECONNRESET"
    assert child.ask("status", 0, held) == "ENOENT"
    assert child.ask("release", 0, held) == "ECONNRESET"
    assert child.ask("cancel", 0, held) == "ECONNRESET"
    assert child.ask("shield", 0) == "ECONNRESET"
    assert child.ask("close", 0) == "0"
    assert p.ask("status", 0, held) == "2"
    assert stage.requests()[0]["pid"] == p.pid
    # One of its own, on top of its parent's.
    assert child.ask("open", 0) == "0"
    own = child.acquire(timeout=5000)
    assert int(own) > 0
    assert child.ask("release", 0, own) == "0"
    assert p.ask("release", 0, held) == "0"


@test
def a_child_of_a_waiter(stage):
    p, held = holding(stage, threads=2)
    p.threads[1].begin_acquire()
    stage.until_waiting(1)
    child = p.fork()
    child.ask("interrupt", 0)
    # News for the parent, that the one who waits takes in, are not the child's.
    asked = p.ask("async", 0, -1, "n", "-", "refused")
    until(lambda: p.ask("status", 0, asked) == "5", "the refusal")
    assert child.ask("dispatch", 0, 0) == "ECONNRESET"
    assert p.ask("dispatch", 0, 0) == "1"
    assert child.ask("close", 0) == "0"
    assert p.threads[1].is_waiting()
    assert p.ask("release", 0, held) == "0"
    assert int(p.threads[1].answer()) > 0


@test
def a_child_does_not_hide_its_parents_end(stage):
    p = Puppet(stage).fork()
    assert p.ask("open", 0) == "0"
    p.acquire()
    child = p.fork()
    os.kill(p.pid, signal.SIGKILL)
    stage.until_free()
    assert is_alive(child.pid)


@test
def a_child_does_not_keep_the_daemon(stage):
    """Which ends after its last user: a closed handle is closed, whoever forked."""
    p, _ = holding(stage)
    child = p.fork()
    daemon = stage.daemon_pid()
    assert p.ask("close", 0) == "0"
    until(lambda: not is_alive(daemon), "the daemon's end")
    assert is_alive(child.pid)


@test
def a_closed_shield_does_not_keep_the_daemon(stage):
    p = Puppet(stage)
    assert p.ask("open", 0) == "0"
    p.ask("release", 0, p.acquire(flags="s"))
    daemon = stage.daemon_pid()
    assert p.ask("close", 0) == "0"
    until(lambda: not is_alive(daemon), "the daemon's end")


@test
def daemon_3(stage):
    p = Puppet(stage).fork()
    assert p.ask("open", 0) == "0"
    p.acquire()
    p.begin("daemon")
    child = p.puppet.adopt(None)
    stage.until_free()
    assert child.acquire(timeout=5000) == "ECONNRESET"
    assert os.getsid(child.pid) == child.pid
    assert child.ask("open", 1, 0) == "0", "the terminal that it still has"
    assert int(child.acquire(1, timeout=5000)) > 0


def links(p):
    """What it has open."""
    found = []
    for n in os.listdir(f"/proc/{p.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(os.readlink(f"/proc/{p.pid}/fd/{n}"))
    return found


@test
def exec_ends_it(stage):
    p, _ = holding(stage)
    p.begin("exec", "/bin/sleep", "1000")
    stage.until_free()
    assert is_alive(p.pid)
    # What starts up has files open for a moment.
    until(lambda: all(link.startswith("/dev/pts/") for link in links(p)), "nothing but the terminal")


def sockets(p):
    return sum(link.startswith("socket:") for link in links(p))


@test
def handles_come_and_go(stage):
    p = Puppet(stage, threads=4)
    before = sockets(p)
    for n, t in enumerate(p.threads):
        t.begin("open", n)
    assert [t.answer() for t in p.threads] == ["0"] * 4
    assert sockets(p) == before + 1, "one connection for all"
    ids = [t.acquire(n, flags="n", task=f"t{n}") for n, t in enumerate(p.threads)]
    assert sorted(i == "EBUSY" for i in ids) == [False, True, True, True]
    for n, t in enumerate(p.threads):
        t.begin("close", n)
    assert [t.answer() for t in p.threads] == ["0"] * 4
    stage.until_free()


@test
def it_adds_nothing_to_a_program_that_does_not_call_it(stage):
    p = Puppet(stage)
    fds = os.listdir(f"/proc/{p.pid}/fd")
    # The terminal three times, and the puppet's string twice.
    assert len(fds) == 5, fds
    assert os.listdir(f"/proc/{p.pid}/task") == [str(p.pid)]
    with open(f"/proc/{p.pid}/status") as f:
        caught = [line.split()[1] for line in f if line.startswith("SigCgt")]
    assert int(caught[0], 16) & ~SANITIZERS == 0
    assert p.ask("open", 0) == "0"
    p.ask("release", 0, p.acquire(flags="s"))
    assert p.ask("close", 0) == "0"
    assert os.listdir(f"/proc/{p.pid}/fd") == fds
    assert os.listdir(f"/proc/{p.pid}/task") == [str(p.pid)]


main(LIMIT)
