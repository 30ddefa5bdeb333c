"""ptrace is refused, or something is missing: one line says why, and the program ends as it would have."""
from harness import *

SEALED = os.path.join(PROGRAMS, "sealed")
SOMEBODY = 12345


def as_somebody(stage, *argv):
    """argv as another user, and what gives that one the terminal."""
    drop = ["setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups"]
    if subprocess.run(drop + ["test", "-x", TTYLOCK], check=False).returncode != 0:
        raise Skip("another user cannot reach this directory")
    for path in stage.dir, stage.path(".gdbinit"):
        os.chown(path, SOMEBODY, SOMEBODY)
    return drop + list(argv), lambda: os.chown(os.ttyname(0), SOMEBODY, SOMEBODY)


def one_line(t, pattern):
    """There is one line of ours, and it matches."""
    lines = [line for line in t.shown.replace("\r", "").split("\n") if "ttylock:" in line]
    assert len(lines) == 1 and re.search(pattern, lines[0]), (lines, pattern)
    assert t.banners() == [] and not re.search(PROMPT, t.shown)


@test
def a_crash_under_another_debugger_is_that_ones(stage):
    t = stage.run("gdb", "-q", "-ex", "run", "--args", CRASH, "segv")
    t.expect("Program received signal SIGSEGV")
    t.expect(PROMPT)
    assert "bug_segv" in t.gdb("backtrace")
    assert stage.requests() == (None, [])
    # The signal goes through our handler, and strikes again at the same place.
    if "Program received signal SIGSEGV" in t.gdb("continue"):
        assert "bug_segv" in t.gdb("backtrace")
        assert "Program terminated with signal SIGSEGV" in t.gdb("continue")
    t.sendline("quit")
    assert t.finish() == 0
    assert t.banners() == []


@test
def a_crash_under_strace_ends_as_without_us(stage):
    if not shutil.which("strace"):
        raise Skip("no strace")
    log = stage.path("log")
    stage.expect_plain(["strace", "-f", "-o", log, CRASH, "segv"], 139)
    t = stage.run("strace", "-f", "-o", log, CRASH, "segv")
    assert t.finish() == 139
    assert t.banners() == []
    assert "ttylock debug" not in open(log).read()


@test
def debug_of_a_traced_process_says_by_whom(stage):
    t = stage.spawn("gdb", "-q", "-ex", "start", "--args", CRASH, "wait")
    t.expect(r"Temporary breakpoint 1, main")
    t.expect(PROMPT)
    pid, = [p for p in stage.named("crash")]
    other = stage.spawn(TTYLOCK, "debug", pid)
    assert other.finish() == 125
    gdb, = stage.named("gdb")
    one_line(other, rf"ttylock: no debugger for crash \(pid {pid}\): it is traced by gdb \(pid {gdb}\) already$")
    assert t.debugged() == pid


@test
def attached_by_hand_while_it_waits(stage):
    """Another debugger comes first: the waiter finds that out, the line says so, and it is not hurt."""
    t = stage.sh(f"{CRASH} segv & {CRASH} wait; {CRASH} abort; echo \"status $?\"; wait")
    t.expect(r"ready (\d+)\r\n")
    waits = int(t.match[1])
    t.banner()
    os.kill(waits, signal.SIGTERM)
    _, waiters = stage.until_waiting(1)
    pid = waiters[0]["subject_pid"]
    other = stage.spawn("gdb", "-q", "-p", pid)
    other.expect(PROMPT)
    t.quit()
    # Not before: continued, it ends on its own, and might have nobody attached when its turn comes.
    t.expect(rf"ttylock: no debugger for crash \(pid {pid}\): it is traced by gdb \(pid {other.pid}\) already\r\n")
    other.sendline("continue")
    other.expect("Program received signal SIGABRT")
    other.expect(PROMPT)
    assert "bug_abort" in other.gdb("backtrace")
    other.quit()
    t.expect("status 134\r\n")
    assert t.finish() == 0


@test
def a_process_that_forbids_it(stage):
    stage.expect_plain([SEALED], 139)
    argv, own = [TTYLOCK, "run", "--", SEALED], None
    if os.getuid() == 0:  # root may trace anybody
        argv, own = as_somebody(stage, *argv)
    t = stage.spawn(*argv, preexec_fn=own)
    assert t.finish() == 139
    one_line(t, r"ttylock: no debugger for sealed \(pid \d+\): .*(forbids|permitted)")


@test
def a_statically_linked_command_says_why_it_has_no_debugger(stage):
    source = stage.write("lone.c", "#include <signal.h>\nint main(int argc, char **argv) "
                         "{ return argv[argc - 1][0] == 'x' ? 3 : raise(SIGFPE); }\n", 0o644)
    program = stage.path("lone")
    subprocess.run(["gcc", "-static", "-o", program, source], check=True, timeout=60)
    t = stage.run(program)
    assert t.finish() == 136
    one_line(t, rf"^ttylock: no debugger for {program} \(pid \d+\): it is statically linked$")
    t = stage.run(program, "x")
    assert t.finish() == 3
    assert "ttylock" not in t.shown, t.shown


@test
def debug_of_nobody(stage):
    t = stage.spawn("/bin/true")
    t.finish()
    gone = t.pid
    t = stage.spawn(TTYLOCK, "debug", gone)
    assert t.finish() == 125
    one_line(t, rf"ttylock: no debugger for .*pid {gone}\): no such process$")


@test
def debug_of_another_users_process(stage):
    if os.getuid() != 0:
        raise Skip("only root can be two users")
    argv, own = as_somebody(stage, TTYLOCK, "debug")
    theirs = stage.spawn(CRASH, "wait")
    theirs.expect("ready")
    t = stage.spawn(*argv, theirs.pid, preexec_fn=own)
    assert t.finish() == 125
    one_line(t, rf"ttylock: no debugger for crash \(pid {theirs.pid}\): it belongs to another user$")
    assert is_alive(theirs.pid) and tracer_of(theirs.pid) == 0


@test
def no_debugger_is_installed(stage):
    path = stage.path("tools")
    os.mkdir(path)
    os.symlink("/bin/sh", os.path.join(path, "sh"))
    t = stage.run(CRASH, "segv", env={"PATH": path})
    assert t.finish() == 139
    assert re.search(r"ttylock: no debugger for crash \(pid \d+\): gdb: not found: install it, or name another "
                     r"by TTYLOCK_DEBUGGER\r\n", t.shown)
    assert t.is_sane()


@test
def no_terminal_at_all(stage):
    done = stage.ttylock("run", "--", CRASH, "segv")
    assert done.returncode == 139
    lines = [line for line in done.stderr.splitlines() if line.startswith("ttylock:")]
    assert len(lines) == 1 and "without crash handling" in lines[0], done.stderr


main()
