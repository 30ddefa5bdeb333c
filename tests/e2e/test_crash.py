"""One process crashes: the person lands at the fault, and it ends as it would have without us."""
import shlex

from harness import *

# Says how the command ended: as the kernel told its parent.
PARENT = r"""
import os, subprocess, sys
p = subprocess.Popen(sys.argv[1:])
_, raw = os.waitpid(p.pid, 0)
print('ended:', os.waitstatus_to_exitcode(raw), 'core' if os.WCOREDUMP(raw) else 'no core')
"""


def ending(stage, terminal):
    terminal.expect(r"ended: (-?\d+ (?:no )?core)\r\n")
    ended = terminal.match[1]
    assert terminal.finish() == 0
    return ended


def alone(stage, *argv, **kwargs):
    """How argv ends without us."""
    return ending(stage, stage.spawn("/usr/bin/python3", "-c", PARENT, *argv, **kwargs))


@test(interrupts=True)
def a_crash_opens_the_debugger_at_the_fault(stage):
    stage.expect_plain([CRASH, "segv"], 139)
    t = stage.run(CRASH, "segv")
    b = t.banner()
    assert (b["comm"], b["what"], b["waiting"]) == ("crash", "SIGSEGV (Segmentation fault)", 0), b
    assert re.search(r"Program received signal SIGSEGV, Segmentation fault\.\r\n"
                     r"\S+ in bug_segv \(\) at \S*crash\.c:\d+\r\n", b["screen"]), b["screen"]
    assert t.debugged() == b["pid"]
    assert "= 42\r\n" in t.gdb("print answer")
    assert re.search(r"#0 .* bug_segv .*\r\n#1 .* main ", t.gdb("backtrace"))
    holder, waiters = stage.requests()
    assert (holder["subject_pid"], holder["reason"], waiters) == (b["pid"], "crash", []), holder
    t.quit()
    assert t.finish() == 139
    assert len(t.banners()) == 1
    assert stage.requests() == (None, [])


@test(interrupts=True)
def a_crash_that_is_continued_ends_the_process(stage):
    t = stage.run(CRASH, "abort")
    b = t.banner()
    assert b["what"] == "SIGABRT (Aborted)", b
    assert re.search(r"bug_abort \(\)", t.gdb("backtrace"))
    assert "Program terminated with signal SIGABRT" in t.continue_to_end()
    assert t.finish() == 134
    assert len(t.banners()) == 1


def ends_alike(stage, mode, signal_name, frame):
    """The mode's status and core flag, with our session in between, are those without us."""
    limits = "ulimit -S -c unlimited 2>/dev/null; exec "
    argv = ["/bin/sh", "-c", limits + shlex.join([CRASH, mode])]
    wanted = alone(stage, *argv)
    t = stage.run("/usr/bin/python3", "-c", PARENT, *argv)
    b = t.banner()
    assert b["signal"] == signal_name, b
    assert frame in t.gdb("backtrace -3") + t.gdb("backtrace 5"), mode
    t.quit()
    ended = ending(stage, t)
    assert ended == wanted, (mode, ended, "without us", wanted)
    assert len(t.banners()) == 1


@test
def each_signal_ends_the_process_as_without_us(stage):
    for mode, name, frame in (("segv", "SIGSEGV", "bug_segv"), ("abort", "SIGABRT", "bug_abort"),
                              ("fpe", "SIGFPE", "bug_fpe"), ("ill", "SIGILL", "bug_ill"),
                              ("bus", "SIGBUS", "bug_bus"), ("trap", "SIGTRAP", "bug_trap"),
                              ("raise-segv", "SIGSEGV", "bug_raise_segv")):
        ends_alike(stage, mode, name, frame)


@test
def hard_places_end_the_process_as_without_us(stage):
    for mode, name, frame in (("overflow", "SIGSEGV", "overflow"), ("heap", "SIGABRT", "bug_heap"),
                              ("thread", "SIGSEGV", "bug_segv"), ("two", "SIGSEGV", "bug_segv"),
                              ("thread-overflow", "SIGSEGV", "bug_overflow"),
                              ("handler", "SIGSEGV", "bug_segv"),
                              ("sigchld", "SIGSEGV", "bug_segv")):
        ends_alike(stage, mode, name, frame)


@test
def without_a_core_limit_there_is_no_core(stage):
    argv = ["/bin/sh", "-c", "ulimit -c 0; exec " + shlex.join([CRASH, "segv"])]
    assert alone(stage, *argv) == "-11 no core"
    t = stage.run("/usr/bin/python3", "-c", PARENT, *argv)
    t.banner()
    t.quit()
    assert ending(stage, t) == "-11 no core"


@test
def a_thread_is_named(stage):
    t = stage.run(CRASH, "thread")
    b = t.banner()
    thread = int(re.fullmatch(r"SIGSEGV \(Segmentation fault\) in thread (\d+)", b["what"])[1])
    assert thread != b["pid"]
    assert f"LWP {thread}" in t.gdb("thread")
    t.quit()
    assert t.finish() == 139


@test
def a_thread_crashes_when_the_first_one_has_ended(stage):
    """gdb cannot attach to the process then; it can to the thread."""
    stage.expect_plain([CRASH, "leaderless"], 139)
    t = stage.run(CRASH, "leaderless")
    b = t.banner()
    assert b["signal"] == "SIGSEGV" and "in thread" in b["what"], b
    assert "bug_segv" in t.gdb("backtrace")
    t.quit()
    assert t.finish() == 139
    assert len(t.banners()) == 1


@test
def a_program_that_handles_its_crash_is_left_alone(stage):
    stage.expect_plain([CRASH, "own"], 42)
    t = stage.run(CRASH, "own")
    assert t.finish() == 42
    t2 = stage.run(CRASH, "none")
    assert t2.finish() == 7
    assert t.banners() == t2.banners() == []
    assert t.shown == t2.shown == ""


@test
def signals_from_outside_pass_as_without_us(stage):
    for sig, status in ((signal.SIGTERM, 143), (signal.SIGKILL, 137), (signal.SIGHUP, 129)):
        t = stage.run(CRASH, "wait")
        t.expect(r"ready (\d+)\r\n")
        os.kill(int(t.match[1]), sig)
        assert t.finish() == status
        assert t.banners() == []
    t = stage.run(CRASH, "wait")
    t.expect(r"ready (\d+)\r\n")
    os.kill(int(t.match[1]), signal.SIGSEGV)
    assert t.banner()["signal"] == "SIGSEGV"
    t.quit()
    assert t.finish() == 139


@test
def the_exit_status_is_the_commands_own(stage):
    for script, status in (("exit 7", 7), ("exit 0", 0), ("kill -TERM $$", 143)):
        t = stage.sh(script)
        assert t.finish() == status
        assert t.shown == ""


# --- programs that bring something of their own ---------------------------

SANITIZED = """
#include <stdlib.h>
int main(int argc, char **argv)
{
	volatile char *room = malloc(10), *volatile nowhere = 0;
	if (argc < 2) {
		free((char *)room);
		return 7;
	}
	if (*argv[1] == 'o')
		return room[argc + 8];
	return *nowhere;
}
"""


def sanitized(stage, compiler):
    if not shutil.which(compiler):
        raise Skip(f"no {compiler}")
    source, program = stage.write("bug.c", SANITIZED), stage.path("bug")
    subprocess.run([compiler, "-g", "-O0", "-fsanitize=address", "-o", program, source],
                   check=True, timeout=60)
    env = {"ASAN_OPTIONS": "", "LD_PRELOAD": ""}

    t = stage.run(program, env=env)
    assert t.finish() == 7
    assert t.shown == ""

    # What its sanitizer itself reports is not a crash.
    status = stage.spawn(program, "o", env=env).finish()
    t = stage.run(program, "o", env=env)
    assert t.finish() == status
    assert "heap-buffer-overflow" in t.shown and t.banners() == []

    status = stage.spawn(program, "segv", env=env).finish()
    t = stage.run(program, "segv", env=env)
    b = t.banner()
    assert b["signal"] == "SIGSEGV" and re.search(r"main \(.*bug\.c:12", b["screen"]), b
    assert "AddressSanitizer" not in t.shown, "the report comes before the person has seen the fault"
    t.quit()
    assert t.finish() == status
    assert "AddressSanitizer: SEGV on unknown address" in t.shown, "its own report is gone"
    assert len(t.banners()) == 1


@test
def gcc_address_sanitizer(stage):
    sanitized(stage, "gcc")


@test
def clang_address_sanitizer(stage):
    sanitized(stage, "clang")


@test
def another_preloaded_library_stays(stage):
    source = stage.write("other.c", """
        #include <unistd.h>
        __attribute__((constructor)) static void init(void) { write(1, "other is here\\n", 14); }
    """)
    library = stage.path("other.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-o", library, source], check=True, timeout=60)
    t = stage.sh(f'export LD_PRELOAD="{library}:$LD_PRELOAD"; exec {CRASH} segv')
    t.expect_exact("other is here\r\n")
    b = t.banner()
    assert "bug_segv ()" in b["screen"]
    assert "other.so" in t.gdb("info sharedlibrary")
    t.quit()
    assert t.finish() == 139
    # Set before us: ours is added to it. (The option is for a ttylock that is built with ASan.)
    asan = stage.env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    t = stage.spawn("/bin/sh", "-c", f'export LD_PRELOAD="{library}"; exec {TTYLOCK} run -- {CRASH} segv',
                    env={"ASAN_OPTIONS": asan})
    assert t.banner()["comm"] == "crash"
    assert "other.so" in t.gdb("info sharedlibrary")
    t.quit()
    assert t.finish() == 139
    assert len(t.banners()) == 1


main()
