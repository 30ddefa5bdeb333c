"""Breakpoints in a program's own text: breakpoint.c beside this file, most of it without
`ttylock run`."""
from linked import *

SOURCE = os.path.join(ROOT, "tests/e2e/breakpoint.c")
EXAMPLE = os.path.join(ROOT, "examples/breakpoint.c")


def start(stage, mode, *args, **kwargs):
    """The program on a terminal of its own, without `ttylock run`."""
    return stage.spawn(compiled(stage, SOURCE), mode, *args, **kwargs)


# --- one process ------------------------------------------------------------

@test(interrupts=True)
def a_breakpoint_shows_the_callers_line_and_the_program_goes_on(stage):
    t = start(stage, "once")
    b = pause(t)
    assert (b["comm"], b["file"], b["line"]) == ("paused", SOURCE, line_of("once", SOURCE)), b
    assert b["text"] == "the ?[31manswer", "a control character reached the terminal"
    assert t.debugged() == b["pid"]
    holder, waiters = stage.requests()
    assert (holder["subject_pid"], holder["reason"], waiters) == (b["pid"], "breakpoint", []), holder
    assert re.match(r"[^\n]*\r\n#0 .* once \(\) at [^\n]*\r\n#1 .* main ", t.gdb("backtrace"))
    assert "= 42\r\n" in t.gdb("print answer")
    assert f"{line_of('after', SOURCE)}\t" in t.gdb("step")
    leave(t)
    assert t.finish() == 43
    assert re.search(r"\(process \d+\) detached\]", t.shown)
    assert len(re.findall(PROMPT, t.shown)) == 5 + t.interrupts
    assert len(banners(t)) == 1
    until(lambda: stage.requests() == (None, []), "the terminal's release")


@test(interrupts=True)
def quit_goes_on_and_kill_kills(stage):
    t = start(stage, "once")
    pause(t)
    quit_debugger(t)
    assert t.finish() == 43
    t = stage.run(compiled(stage, SOURCE), "once")
    pause(t)
    t.sendline("kill")
    t.expect(r"\(y or n\) ")
    t.sendline("y")
    t.expect(r"killed\]\r\n")
    t.expect(PROMPT)
    t.sendline("quit")
    assert t.finish() == 137


@test
def at_any_optimisation(stage):
    for compiler in "gcc", "clang":
        if not shutil.which(compiler):
            raise Skip(f"no {compiler}")
        program = compiled(stage, SOURCE, compiler=compiler, flags=("-O2",))
        t = stage.spawn(program, "once")
        assert pause(t)["line"] == line_of("once", SOURCE)
        leave(t)
        assert t.finish() == 43
        t = stage.spawn(program, "assert")
        assert pause(t)["line"] == line_of("asserted", SOURCE)
        t.quit()
        assert t.finish() == 134
        os.unlink(program)


@test
def the_persons_own_breakpoint_keeps_the_debugger(stage):
    t = stage.run(compiled(stage, SOURCE), "loop", 3)
    pause(t)
    t.gdb("tbreak work")
    assert re.search(r"work \(round=1\)", t.gdb("continue"))
    # Under a debugger it stops there, with no turn of its own.
    said = t.gdb("continue")
    assert re.search(AT_TRAP + r"\S+ in loop \(\)", said), said
    assert "round: 1\r\n" in said
    assert re.search(r"exited with code 044", t.gdb("delete") + t.gdb("continue") + t.gdb("continue"))
    t.sendline("quit")
    t.finish()
    assert len(banners(t)) == 1


@test
def ten_next_and_five_continue(stage):
    t = start(stage, "loop", 5)
    for turn in range(1, 6):
        b = pause(t)
        assert b["text"] is None and b["line"] == line_of("loop", SOURCE), b
        assert f"= {turn}\r\n" in t.gdb("print round")
        assert stage.requests()[0]["subject_pid"] == b["pid"]
        for _ in range(2):
            t.gdb("next")
        leave(t)
        t.expect(f"round: {turn}\r\n")
    assert t.finish() == 75
    assert len(banners(t)) == 5


@test
def continue_releases_the_terminal_for_the_next_waiter(stage):
    program = compiled(stage, SOURCE)
    t = stage.sh(f"{program} loop 3 & {program} loop 3 & wait")
    order = []
    for turn in range(6):
        b = pause(t)
        order.append(b["pid"])
        # In the queue before the first may be asked on: so they have to alternate.
        if turn < 5:
            stage.until_waiting(1)
        leave(t)
    assert t.finish() == 0
    first, second = order[:2]
    assert first != second and order == [first, second] * 3, order


@test
def next_over_the_next_breakpoint(stage):
    t = start(stage, "loop", 2)
    pause(t)
    for _ in range(20):
        if "= 2\r\n" in t.gdb("print round"):
            break
        t.gdb("next")
    t.gdb("next")
    t.gdb("next")
    assert "= 2\r\n" in t.gdb("print round")
    leave(t)
    assert t.finish() == 21
    assert len(banners(t)) == 1


@test
def the_debugger_killed_at_the_breakpoint(stage):
    t = start(stage, "loop", 2)
    for turn in 1, 2:
        b = pause(t)
        os.kill(tracer_of(b["pid"]), signal.SIGKILL)
        t.expect(f"round: {turn}\r\n")
    assert t.finish() == 21
    t = stage.run(compiled(stage, SOURCE), "once")
    b = pause(t)
    os.kill(tracer_of(b["pid"]), signal.SIGKILL)
    assert t.finish() == 43
    assert len(banners(t)) == 1, "a crash session for the trap"


@test
def the_debugger_gone_just_before_the_trap(stage):
    """Between the library's look and the caller's trap: the trap then is nobody's."""
    gone = {"TTYLOCK_DEBUGGER": "gdb -q -batch -p %p -ex 'frame function once' -ex 'tbreak *$pc' "
                                "-ex continue -ex detach"}
    for run in start, lambda s, m, **kwargs: s.run(compiled(s, SOURCE), m, **kwargs):
        t = run(stage, "once", env=gone)
        assert t.finish() == 43
        assert re.search(r"Temporary breakpoint 1, \S+ in once \(\)", t.shown), t.shown
        assert "SIGTRAP" not in t.shown and len(banners(t)) == 1, t.shown


@test
def another_debugger(stage):
    own = {"TTYLOCK_DEBUGGER": "gdb -q -p %p -ex continue"}
    t = stage.run(compiled(stage, SOURCE), "once", env=own)
    pause(t)
    assert "exited with code 053" in t.gdb("continue")
    t.sendline("quit")
    assert t.finish() == 43
    t = start(stage, "once", env={"TTYLOCK_DEBUGGER": "true"})
    assert t.finish() == 43


@test
def a_program_started_under_gdb(stage):
    t = stage.spawn("gdb", "-q", "-ex", "run", "--args", compiled(stage, SOURCE), "once")
    t.expect(PROMPT)
    assert re.search(AT_TRAP + r"\S+ in once \(\)", t.before), t.before
    assert "exited with code 053" in t.gdb("continue")
    assert banners(t) == []


@test(interrupts=True)
def an_assertion(stage):
    t = start(stage, "assert")
    b = pause(t)
    assert (b["line"], b["text"]) == (line_of("asserted", SOURCE), "wheels == 4")
    assert "= 3\r\n" in t.gdb("print wheels")
    t.quit()
    assert t.finish() == 134
    assert re.search(r"asserted: Assertion `wheels == 4' failed\.\r\n", t.shown), t.shown
    # With a crash handler there is no second session; the abort is still the program's end.
    t = stage.run(compiled(stage, SOURCE), "assert")
    pause(t)
    leave(t)
    assert t.finish() == 134
    assert len(banners(t)) == 1


@test
def without_a_terminal(stage):
    for mode, status in ("once", 43), ("assert", -signal.SIGABRT):
        out = subprocess.run([compiled(stage, SOURCE), mode], env=stage.env, stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, timeout=TIMEOUT, start_new_session=True)
        assert out.returncode == status, out
        lines = [line for line in out.stderr.splitlines() if line.startswith("ttylock:")]
        assert len(lines) == 1 and "no terminal" in lines[0], out.stderr


@test
def without_a_helper_or_a_debugger(stage):
    program = compiled(stage, SOURCE)
    t = stage.spawn(program, "once", env={"TTYLOCK_HELPER": "/no/such/ttylock"})
    assert t.finish() == 43
    assert re.fullmatch(r"ttylock: paused \(pid \d+\): breakpoint without a debugger: No such file "
                        r"or directory\r\n", t.shown), t.shown
    os.mkdir(stage.path("bin"))
    for tool in "cat", "sh":
        os.symlink(shutil.which(tool), stage.path(f"bin/{tool}"))
    t = stage.spawn(program, "once", env={"PATH": stage.path("bin")})
    assert t.finish() == 43
    assert re.search(r"ttylock: no debugger for paused \(pid \d+\): gdb: not found: install it", t.shown), t.shown


@test
def the_example(stage):
    t = stage.spawn(compiled(stage, EXAMPLE))
    for _ in range(5):
        assert pause(t)["text"] == "before an item is added"
        leave(t)
    assert t.finish() == 0


# --- several ----------------------------------------------------------------

@test
def three_threads_and_another_process(stage):
    program = compiled(stage, SOURCE)
    t = stage.sh(f"{program} threads & {program} once; wait")
    seen = []
    for turn in range(4):
        b = pause(t)
        if turn == 0:
            stage.until_waiting(3)
        assert t.debugged() == b["pid"]
        thread = re.search(r"LWP (\d+)|process (\d+)", t.gdb("thread"))
        seen.append((b["comm"], b["line"], thread[0]))
        leave(t)
    assert t.finish() == 0
    assert len(set(seen)) == 4, seen
    assert sorted(line for _, line, _ in seen) == [line_of("once", SOURCE)] + [line_of("thread", SOURCE)] * 3
    assert "threads passed: 3" in t.shown


@test
def threads_that_ask_while_another_is_being_debugged(stage):
    """Their helpers find a process that is traced; its tracer goes before it is their turn."""
    program = compiled(stage, SOURCE)
    os.mkfifo(stage.path("go"))
    go = os.open(stage.path("go"), os.O_RDWR | os.O_CLOEXEC)
    helper = stage.write("helper", f"#!/bin/sh\nmkdir first 2>/dev/null || read go <go\nexec {TTYLOCK} \"$@\"\n")
    t = stage.spawn(program, "threads", env={"TTYLOCK_HELPER": helper})
    pids = {pause(t)["pid"]}
    os.write(go, b"go\ngo\n")
    stage.until_waiting(2)
    for _ in range(2):
        leave(t)
        pids.add(pause(t)["pid"])
    leave(t)
    assert t.finish() == 0
    os.close(go)
    assert "threads passed: 3" in t.shown and len(pids) == 1 and len(banners(t)) == 3


@test
def children_that_pause_for_ever_while_the_parent_works(stage):
    t = start(stage, "daemons", 2)
    t.expect(r"ready: (\d+)\r\n")
    parent, order = int(t.match[1]), []
    for turn in range(1, 7):
        b = pause(t)
        order.append(b["pid"])
        stage.until_waiting(1)
        os.kill(parent, signal.SIGUSR1)
        t.expect(f"worked: {turn}\r\n")
        assert t.debugged() == b["pid"], "the parent's work has cost the person their prompt"
        leave(t)
    assert order == order[:2] * 3 and order[0] != order[1], order
    pause(t)
    t.sendline("kill")
    t.expect(r"\(y or n\) ")
    t.sendline("y")
    t.expect(PROMPT)
    t.sendline("quit")
    pause(t)
    os.kill(parent, signal.SIGUSR2)
    t.expect(pexpect.EOF)
    assert t.wait() == 9


@test(interrupts=True)
def the_parent_fails_while_its_child_is_at_a_breakpoint(stage):
    t = stage.run(compiled(stage, SOURCE), "parent-fails")
    t.expect(r"ready: (\d+)\r\n")
    parent = int(t.match[1])
    child = pause(t)
    os.kill(parent, signal.SIGUSR1)
    _, waiters = stage.until_waiting(1)
    assert waiters[0]["subject_pid"] == parent and waiters[0]["reason"] == "crash", waiters
    assert t.debugged() == child["pid"] != parent
    leave(t)
    t.expect(f"child goes on: {child['pid']}\r\n")
    b = t.banner()
    assert (b["pid"], b["signal"]) == (parent, "SIGSEGV"), b
    t.quit()
    assert t.finish() == 139
    assert banners(t) == [child["pid"], parent]


@test
def a_crash_while_another_thread_waits_for_its_breakpoint(stage):
    """The debugger that comes for the breakpoint finds a process that has crashed meanwhile."""
    program = compiled(stage, SOURCE)
    os.mkfifo(stage.path("go"))
    t = stage.sh(f"{program} once & read go <go; {program} pause-and-crash; echo status: $?; wait")
    pause(t)
    with open(stage.path("go"), "w") as f:
        f.write("go\n")
    t.expect(r"ready: (\d+)\r\n")
    crashing = int(t.match[1])
    stage.until_waiting(1)
    os.kill(crashing, signal.SIGUSR1)
    stage.until_waiting(2)
    other, = set(os.listdir(f"/proc/{crashing}/task")) - {str(crashing)}

    def is_parked():
        with open(f"/proc/{crashing}/task/{other}/wchan") as f:
            return "futex" in f.read()

    until(is_parked, "the other thread's halt")  # for which a crash waits for 200 ms at most
    leave(t)
    t.expect(BREAKPOINT)
    assert int(t.match[2]) == crashing
    t.expect(PROMPT)
    assert re.search(r"received signal SIGSEGV[^\r\n]*\r\n(\[Switching[^\r\n]*\r\n)?\S+ in bug \(\)", t.before), t.before
    t.quit()
    t.expect("status: 139\r\n")
    assert t.finish() == 0
    assert len(banners(t)) == 2


@test
def a_deadline_that_fires_while_the_child_is_at_a_breakpoint(stage):
    t = start(stage, "deadline")
    child = pause(t)["pid"]
    until(lambda: "idle: 0" in t.shown or t.gdb("info inferiors") is None, "the deadline")
    assert t.debugged() == child
    leave(t)
    assert t.finish() == 0
    assert re.findall(r"in debug: (\d)", t.shown) == ["1", "0"], t.shown
    assert re.findall(r"idle: (\d)", t.shown) == ["0", "1"], t.shown
    assert "child: 3" in t.shown


# --- the host's own ---------------------------------------------------------

@test
def a_trap_handler_of_the_programs_own(stage):
    for kill in False, True:
        t = start(stage, "own-trap-handler")
        b = pause(t)
        if kill:
            os.kill(tracer_of(b["pid"]), signal.SIGKILL)
        else:
            leave(t)
        assert t.finish() == 0
        assert "same handler: 1\r\n" in t.shown, t.shown
        assert re.findall(r"traps: (\d+)", t.shown) == ["0", "1"], t.shown


@test
def another_thread_of_the_process_reads_the_terminal(stage):
    t = start(stage, "beside-reader")
    t.expect(r"ready: (\d+)\r\n")
    pid = int(t.match[1])

    def reads():
        for tid in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{tid}/syscall") as f:
                if f.read().startswith("0 0x0 "):
                    return True
        return False

    until(reads, "a thread that reads its standard input")
    os.kill(pid, signal.SIGUSR1)
    for turn in 1, 2:
        b = pause(t)
        assert b["line"] == line_of("beside-reader", SOURCE), b
        assert b["pid"] == t.debugged() == pid
        t.gdb("next")
        assert f"round: {turn}\r\n" in t.gdb("next")
        leave(t)
    until(lambda: stage.requests() == (None, []), "the terminal's release")
    # It reads on, and has lost nothing that was not for the debugger.
    t.sendline("mine")
    t.expect_exact("heard: mine\r\n")
    t.sendeof()
    assert t.finish() == 6
    assert "SIGTTIN" not in t.shown and t.shown.count("heard:") == 1, t.shown
    assert len(banners(t)) == 2


@test
def a_thread_that_blocks_all_signals(stage):
    t = start(stage, "blocked-trap")
    pause(t)
    leave(t)
    assert t.finish() == 0
    for line in "same handler: 1", "blocked: 1", "traps: 0":
        assert line in t.shown, t.shown


@test
def a_program_that_reaps_sees_no_child_of_ours(stage):
    t = start(stage, "reaper")
    pause(t)
    leave(t)
    assert t.finish() == 0
    assert "reaped my own: 1\r\n" in t.shown, t.shown
    assert re.findall(r"signals: (\d+)", t.shown) == ["0", "1"], t.shown


main()
