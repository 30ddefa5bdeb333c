"""Crash handlers that a program asks for: crash_handler.c beside this file, most of it without
`ttylock run`. And what the library is in a program that asks for nothing."""
from linked import *

SOURCE = os.path.join(ROOT, "tests/e2e/crash_handler.c")


def start(stage, mode, *args, **kwargs):
    """The program on a terminal of its own, without `ttylock run`."""
    return stage.spawn(compiled(stage, SOURCE), mode, *args, **kwargs)


@test(interrupts=True)
def a_crash_of_a_program_that_has_installed_the_handler(stage):
    for run in start, lambda s, m: s.run(compiled(s, SOURCE), m):
        t = run(stage, "crash")
        b = t.banner()
        assert "install: 0\r\nagain: 0\r\n" in t.shown
        assert b["signal"] == "SIGSEGV" and "in bug ()" in b["screen"], b
        t.quit()
        assert t.finish() == 139
        assert len(banners(t)) == 1


@test
def hard_places(stage):
    for mode, name, status in ("thread-overflow", "SIGSEGV", 139), ("heap", "SIGABRT", 134):
        t = start(stage, mode)
        b = t.banner()
        assert b["signal"] == name, b
        assert mode == "heap" or "overflow (depth=" in b["screen"], b["screen"]
        t.quit()
        assert t.finish() == status


@test
def threads_that_had_a_stack_leave_nothing(stage):
    t = start(stage, "threads-leave-nothing")
    assert t.finish() == 0
    assert t.shown == "more mappings: 0\r\n", t.shown


@test
def off_puts_back_what_was_there(stage):
    for run, ours in (start, 5), (lambda s, m: s.run(compiled(s, SOURCE), m), None):
        t = run(stage, "on-and-off")
        assert t.finish() == 139
        assert re.search(r"on: 0\r\nours: (\d)\r\noff: 0\r\nsame: 6\r\n", t.shown), t.shown
        assert ours is None or int(re.search(r"ours: (\d)", t.shown)[1]) == ours
        assert banners(t) == []


@test
def a_child_of_a_thread_beside_one_that_installs_them(stage):
    t = start(stage, "forks-beside")
    assert t.finish() == 0
    assert t.shown == "install: 0\r\nchildren that could not: 0\r\n", t.shown


@test
def on_for_some_processes_and_off_for_others(stage):
    t = stage.run(compiled(stage, SOURCE), "scoped")
    for how in "fork", "exec":
        b = t.banner()
        assert b["comm"] == ("paused" if how == "fork" else "exe"), b
        t.quit()
        t.expect(f"on, {how}: 139\r\n")
    assert t.finish() == 5
    assert re.search(r"off, fork: 139\r\noff, exec: 139\r\n", t.shown)
    assert len(banners(t)) == 2


def with_and_without_run():
    return start, lambda s, mode: s.run(compiled(s, SOURCE), mode)


def sessions(t, count):
    """So many crashes, each with its debugger, which is left each time."""
    for n in range(count):
        b = t.banner()
        assert b["waiting"] == 0, b
        t.quit()


@test
def each_crash_that_a_handler_of_the_program_outlives(stage):
    for run in with_and_without_run():
        for mode, count, said in ("jumps", 3, "survived"), ("outlives-abort", 2, "survived"):
            t = run(stage, mode)
            sessions(t, count)
            assert t.finish() == 0
            assert [int(n) for n in re.findall(said + r": (\d+)", t.shown)] == [*range(1, count + 1)]
            assert len(banners(t)) == count


@test
def a_handler_that_mends_its_faults_has_them_to_itself(stage):
    for run in with_and_without_run():
        t = run(stage, "mends")
        sessions(t, 1)
        t.expect("written: 3\r\n")
        assert t.finish() == 0
        assert len(banners(t)) == 1


def catches(pid, sig):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"SigCgt:\s*(\w+)", f.read())[1], 16) >> (sig - 1) & 1


def go_on(t):
    """The process goes on without the signal, and without the debugger."""
    t.gdb("queue-signal 0")
    t.sendline("python gdb.execute('detach'); gdb.execute('quit')")


@test
def a_crash_after_one_that_was_repaired(stage):
    for run, mode in zip(with_and_without_run(), ("repaired-thread", "repaired")):
        t = run(stage, mode)
        pid = t.banner()["pid"]
        go_on(t)
        t.expect(f"repaired: {pid}\r\n")
        until(lambda: catches(pid, signal.SIGSEGV) and not catches(pid, 32), "our handler again")
        assert not [fd for fd in os.listdir(f"/proc/{pid}/fd") if int(fd) > 2]
        os.kill(pid, signal.SIGUSR2)
        b = t.banner()
        assert b["pid"] == pid and "in bug ()" in b["screen"], b
        t.quit()
        assert t.finish() == 139
        assert len(banners(t)) == 2


@test
def a_crash_that_comes_again_at_once_ends_the_process(stage):
    for run in with_and_without_run():
        t = run(stage, "crash")
        t.banner()
        go_on(t)
        assert t.finish() == 139
        assert len(banners(t)) == 1


@test
def nothing_in_a_program_that_does_not_call_it(stage):
    t = start(stage, "idle")
    assert t.finish() == 0
    facts = dict(line.split(":", 1) for line in t.shown.split("\r\n") if line)
    for mask in "SigPnd", "ShdPnd", "SigBlk", "SigCgt":
        assert int(facts[mask], 16) == 0, t.shown
    assert [int(facts[n]) for n in ("Threads", "threads", "descriptors")] == [1, 1, 3], t.shown


main()
