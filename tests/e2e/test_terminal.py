"""The terminal: whose keys go where while a debugger has it, and how it is afterwards."""
from harness import *

CROWD = os.path.join(PROGRAMS, "crowd")


# --- Ctrl-C ---------------------------------------------------------------

MAKEFILE = """
all: crash stays
crash:
	read go <go
	{crash} segv
stays:
	{crowd} stay
	@echo it stayed
"""


@test
def ctrl_c_at_the_prompt_reaches_the_debugger_alone(stage):
    stage.write("Makefile", MAKEFILE.format(crash=CRASH, crowd=CROWD))
    os.mkfifo(stage.path("go"))
    t = stage.run("make", "-s", "-j4", "-k")
    t.expect(r"stays (\d+)\r\n")
    stays = int(t.match[1])
    with open(stage.path("go"), "w") as go:
        go.write("go\n")
    b = t.banner()
    parent, = [p for p in stage.named("crowd") if p != stays]
    make, = stage.named("make")
    for _ in range(3):
        t.interrupt()
    for pid in (parent, stays, make, b["pid"]):
        assert is_alive(pid)
    assert t.debugged() == b["pid"]
    t.quit()
    t.expect(r"make: \*\*\* \[Makefile:5: crash\] Segmentation fault\r\n")
    os.kill(stays, signal.SIGTERM)
    t.expect(r"stay \d+: exit 0\r\n")  # it would be 1 if it had seen Ctrl-C
    t.expect("it stayed\r\n")
    assert t.finish() == 2
    assert t.banners() == [b["pid"]]


@test
def ctrl_c_stops_a_process_that_runs_in_the_debugger(stage):
    t = stage.run(CROWD, "stay", "stay", "exit")
    t.expect(r"stays (\d+)\r\nstays (\d+)\r\n")
    first, second = int(t.match[1]), int(t.match[2])
    os.kill(first, signal.SIGSEGV)
    t.banner()
    t.gdb("handle SIGSEGV nopass")
    t.sendline("continue")
    t.expect("Continuing")
    until(lambda: proc_stat(first)[0] == "S", "it runs on")
    t.sendintr()
    t.expect("Program received signal SIGINT")
    t.expect(PROMPT)
    t.quit()
    for pid in first, second:
        os.kill(pid, signal.SIGTERM)
    t.expect(r"stay \d+: exit 0\r\nstay \d+: exit 0\r\n")
    assert t.finish() == 0
    assert t.banners() == [first]


@test
def ctrl_c_without_a_debugger_is_as_without_us(stage):
    for argv, status in (([CRASH, "wait"], 130),
                         (["/bin/sh", "-c", f"trap 'exit 9' INT; {CRASH} wait"], 9)):
        t = stage.run(*argv)
        t.expect("ready")
        t.sendintr()
        assert t.finish() == status
        assert t.banners() == []


# --- left as it was found -------------------------------------------------

@test
def terminal_modes_of_the_program_come_back(stage):
    t = stage.sh(f"stty -echo -icanon min 1; {CRASH} segv; echo now; {CRASH} wait")
    b = t.banner()
    # What the debugger found was fit for typing commands.
    assert {"echo", "icanon"} <= set(t.gdb("shell stty -a").split())
    t.quit()
    t.expect(r"now\r\nready (\d+)\r\n")
    until(lambda: {"-echo", "-icanon"} <= set(t.modes()), "the modes of the program are back")
    os.kill(int(t.match[1]), signal.SIGTERM)
    assert t.finish() == 143
    assert t.banners() == [b["pid"]]


# --- programs without this terminal as their own --------------------------

@test(interrupts=True)
def standard_input_may_be_anything(stage):
    for script in (f"echo one | {CRASH} segv", f"{CRASH} segv </dev/null", f"{CRASH} no-stdin",
                   f"{CRASH} segv <&-", f"{CRASH} no-descriptors", f"{CRASH} segv <&- >&- 2>&-",
                   f"{CRASH} segv </dev/null 2>&1 >out", f"yes | {CRASH} segv"):
        stage.expect_plain(["/bin/sh", "-c", script], 139)
        t = stage.sh(script)
        b = t.banner()
        assert b["signal"] == "SIGSEGV" and t.debugged() == b["pid"], script
        t.quit()
        assert t.finish() == 139, script
        assert t.banners() == [b["pid"]]


@test
def the_input_of_a_pipe_passes_untouched(stage):
    t = stage.sh(f"printf 'one\\ntwo\\n' | (read a; {CRASH} segv; read b; echo \"$a and $b\")")
    t.banner()
    t.quit()
    t.expect("one and two\r\n")
    assert t.finish() == 0


@test(interrupts=True)
def a_process_of_another_session_gets_the_terminal(stage):
    sid = "import os,sys; os.setsid(); os.execv(sys.argv[1], sys.argv[1:])"
    for script in (f"setsid --wait {CRASH} segv",
                   f"/usr/bin/python3 -c '{sid}' {CRASH} segv & wait $!",
                   f"setsid --wait {CRASH} segv </dev/null >/dev/null 2>&1"):
        t = stage.sh(script)
        b = t.banner()
        assert b["signal"] == "SIGSEGV" and t.debugged() == b["pid"], script
        assert int(proc_stat(b["pid"])[4 - 1]) != int(proc_stat(t.pid)[4 - 1]), "one session"
        t.quit()
        assert t.finish() == 139, script
        assert t.banners() == [b["pid"]]
        assert t.is_sane() if t.isalive() else True


@test(interrupts=True)
def a_process_group_of_its_own_gets_the_terminal(stage):
    group = "import os,sys; os.setpgid(0, 0); os.execv(sys.argv[1], sys.argv[1:])"
    t = stage.sh(f"/usr/bin/python3 -c '{group}' {CRASH} segv; echo \"status $?\"")
    b = t.banner()
    assert os.getpgid(b["pid"]) == b["pid"]
    assert t.debugged() == b["pid"]
    t.quit()
    t.expect("status 139\r\n")
    assert t.finish() == 0


# --- a sibling reads the terminal -----------------------------------------

def read_on(stage, t):
    """The reader gets what comes after the session, and all of it."""
    t.sendline("first")
    t.expect_exact("the reader got: first\r\n")
    t.sendline("end")
    t.expect_exact("the reader got: end\r\n")


@test(interrupts=True)
def a_sibling_blocked_in_read_does_not_eat_the_first_line(stage):
    t = stage.run(CROWD, "read", "stay")
    t.expect([r"reader (\d+)\r\n.*stays (\d+)\r\n", r"stays \d+\r\n.*reader (\d+)\r\n"])
    reader = int(re.search(r"reader (\d+)", t.shown)[1])
    crasher = int(re.search(r"stays (\d+)", t.shown)[1])
    until(lambda: open(f"/proc/{reader}/syscall").read().startswith("0 "), "the reader reads")
    os.kill(crasher, signal.SIGSEGV)
    b = t.banner()
    assert b["pid"] == crasher
    for _ in range(6):
        assert t.debugged() == crasher
    assert "the reader got" not in t.shown
    t.quit()
    read_on(stage, t)
    t.expect(rf"read {reader}: exit 0\r\nstay {crasher}: signal 11")
    assert t.finish() == 0


# poll, select, epoll_wait, pselect6, ppoll, epoll_pwait, and restart_syscall for each of them
POLLS = "7 23 232 270 271 281 219".split()


@test
def a_sibling_that_polls_the_terminal_hears_of_its_own_keys_alone(stage):
    """Told of a key for the debugger, it would begin to read, and be stopped, and then wait for a
    line that nobody means for it."""
    t = stage.run(CROWD, "poll", "select", "epoll", "stay")
    pids = {}
    for _ in range(4):
        t.expect(r"(?:(poll|select|epoll) (\d+) polls|stays (\d+))\r\n")
        pids[t.match[1] or "stays"] = int(t.match[2] or t.match[3])
    crasher = pids.pop("stays")

    def in_poll(pid):
        with open(f"/proc/{pid}/syscall") as f:
            return f.read().split()[0] in POLLS

    for pid in pids.values():
        until(lambda p=pid: in_poll(p), "it polls")
    os.kill(crasher, signal.SIGSEGV)
    assert t.banner()["pid"] == crasher
    for pid in pids.values():
        until(lambda p=pid: proc_stat(p)[0] == "t", "the poller is held still")
    assert t.debugged() == crasher
    # A signal still comes through, and then it is held again.
    os.kill(pids["poll"], signal.SIGUSR1)
    t.expect_exact("poked\r\n")
    until(lambda: proc_stat(pids["poll"])[0] == "t", "the poller is held again")
    assert t.debugged() == crasher
    t.quit()
    for pid in pids.values():
        until(lambda p=pid: proc_stat(p)[0] == "S" and in_poll(p), "it polls on")
        os.kill(pid, signal.SIGTERM)
    t.expect(rf"stay {crasher}: signal 11")
    assert t.finish() == 0


# --- under an interactive shell -------------------------------------------

SHELL = ["/bin/bash", "--norc", "--noprofile", "-i"]
AT_SHELL = r"shell(\d+)> "
WANTS = (r"ttylock: crash \(pid \d+\) wants the terminal and waits for its job to be in the "
         r"foreground \(fg\)\r\n")


def shell(stage, *argv):
    env = {"PS1": "shell$?> ", "HISTFILE": "/dev/null"}
    t = stage.spawn(*argv, *SHELL, env=env)
    t.expect(AT_SHELL)
    return t


def typed(t, line, status=None):
    t.sendline(line)
    t.expect(AT_SHELL)
    if status is not None:
        assert t.match[1] == str(status), (line, t.match[1])
    return t.before


def crash_in_background(t, line):
    """It is told before the shell's next prompt, or behind it."""
    t.sendline(line + " &")
    t.expect([f"{AT_SHELL}.*{WANTS}", f"{WANTS}.*{AT_SHELL}"])
    assert t.match[1] == "0", t.match[1]


@test
def killed_debuggers_leave_a_sane_terminal(stage):
    t = shell(stage)
    t.sendline(f"{TTYLOCK} run -- sh -c '{CROWD} segv segv; echo after; read line; echo \"read: $line\"'")
    first = t.banner()
    stage.until_waiting(1)
    assert "-icanon" in t.modes()
    gdb, = stage.named("gdb")
    os.kill(gdb, signal.SIGKILL)
    second = t.banner()
    assert second["pid"] != first["pid"] and t.debugged() == second["pid"]
    gdb, = stage.named("gdb")
    os.kill(gdb, signal.SIGKILL)
    t.expect("after\r\n")
    until(t.is_sane, "echo and line editing")
    t.sendline("hellp\x7fo")  # what is erased shows that lines are edited
    t.expect("read: hello\r\n")
    t.expect(AT_SHELL)
    assert t.match[1] == "0"
    assert t.banners() == [first["pid"], second["pid"]]


# The crash comes when it is told to, behind "ready".
READ_DURING = f"mkfifo go; (read go <go; exec {CRASH} segv) & p=$!; {CRASH} wait; " \
              "read line </dev/tty; echo \"got $line\"; wait $p"


def read_during(stage, t):
    """A process of the tree begins to read while the debugger has the terminal."""
    t.expect(r"ready (\d+)\r\n")
    waits = int(t.match[1])
    with open(stage.path("go"), "w") as f:
        f.write("\n")
    b = t.banner()
    reader = int(proc_stat(waits)[1])
    os.kill(waits, signal.SIGTERM)
    t.expect("Terminated\r\n")
    until(lambda: proc_stat(reader) is None or proc_stat(reader)[0] == "T", "the reader has come")
    assert t.debugged() == b["pid"]
    assert "got" not in t.shown.split("(gdb)", 1)[1]
    t.quit()
    t.sendline("hello")
    t.expect("got hello\r\n")


@test
def a_reader_that_begins_during_a_session_reads_after_it(stage):
    stage.write("read.sh", READ_DURING)
    t = shell(stage)
    t.sendline(f"{TTYLOCK} run -- sh read.sh")
    read_during(stage, t)
    t.expect(AT_SHELL)
    assert t.match[1] == "139"


@test
def the_same_where_no_shell_does_job_control(stage):
    """As `ssh -t host ttylock run` and `docker run -it` start it: the process group is orphaned."""
    t = stage.sh(READ_DURING)
    read_during(stage, t)
    assert t.finish() == 139


@test
def what_the_command_could_not_put_back(stage):
    """It was killed, or it ended while somebody was in the debugger, which then put raw back."""
    raw = f"{TTYLOCK} run -- sh -c 'stty raw -echo; {{}}'; echo status $?; read line"
    t = stage.spawn("sh", "-c", raw.format("kill -9 $$"))
    t.expect("status 137\r*\n")
    until(t.is_sane, "sane settings")
    os.mkfifo(stage.path("go"))
    t = stage.spawn("sh", "-c", raw.format(f"{CRASH} segv & read line <go; exit 3"))
    t.banner()
    with open(stage.path("go"), "w") as go:
        go.write("go\n")
    until(lambda: len(stage.named("sh")) == 2, "the end of the command")  # the two around
    t.quit()
    t.expect("status 3\r*\n")
    until(t.is_sane, "sane settings")


STEAL = """
import os, signal, sys, time
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
os.tcsetpgrp(os.open("/dev/tty", os.O_RDWR), os.getpgrp())
print("stolen", flush=True)
"""


@test
def who_takes_the_foreground_without_a_turn_does_not_keep_it(stage):
    """As a debugger does that the tree was started with, when its program has ended."""
    thief = stage.write("steal.py", STEAL)
    t = stage.sh(f"/usr/bin/python3 {thief} {stage.path('now')} & {CRASH} segv; wait")
    b = t.banner()
    stage.write("now", "")
    t.expect("stolen\r\n")
    assert t.foreground() == os.getpgid(b["pid"])
    assert "= 42" in t.gdb("print answer")
    assert t.debugged() == b["pid"]
    t.quit()
    assert t.finish() == 0


LEAVE = """
import os, signal, sys
if os.fork() == 0:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(0, os.getpgrp())
    os._exit(0)
os.wait()
print("left", flush=True)
print("got", sys.stdin.readline())
"""


@test
def what_had_the_foreground_ends_without_giving_it_back(stage):
    """With no shell above, that is for us to do; nobody holds the terminal."""
    t = stage.run("/usr/bin/python3", stage.write("leave.py", LEAVE))
    t.expect("left\r\n")
    t.sendline("hello")
    t.expect("got hello\r\n")
    assert t.finish() == 0


@test
def the_same_under_a_shell(stage):
    """Which sees the job stopped, as it would without us."""
    t = shell(stage)
    t.sendline(f"{TTYLOCK} run -- /usr/bin/python3 {stage.write('leave.py', LEAVE)}")
    t.expect("left\r\n")
    t.expect(AT_SHELL)
    t.sendline("fg")
    until(lambda: t.foreground() != t.pid, "the job in front")
    t.sendline("hello")
    t.expect("got hello\r\n")
    t.expect(AT_SHELL)
    assert t.match[1] == "0"


@test
def a_crash_in_the_background_waits_for_fg(stage):
    t = shell(stage)
    crash_in_background(t, f"{TTYLOCK} run -- {CRASH} segv")
    for n in range(3):
        assert f"out{n}" in typed(t, f"echo o''ut{n}", 0)
    assert t.banners() == [] and t.foreground() == t.pid
    t.sendline("fg")
    b = t.banner()
    assert t.debugged() == b["pid"]
    t.interrupt()
    t.quit()
    t.expect(AT_SHELL)
    assert t.match[1] == "139"
    assert "out4" in typed(t, "echo o''ut4", 0)
    t.sendline("exit 0")
    assert t.finish() == 0


@test
def debug_by_hand_below_an_interactive_shell(stage):
    """Whether the process is another terminal's or a job of that shell in the background: it is the
    command's own job that is in front."""
    other = stage.spawn(CRASH, "wait")
    other.expect(r"ready (\d+)\r\n")
    pids = [int(other.match[1])]
    t = shell(stage)
    t.sendline(f"{CRASH} wait &")
    t.expect([rf"ready \d+\r\n.*{AT_SHELL}", rf"{AT_SHELL}.*ready \d+\r\n"])
    pids.append(int(re.search(r"ready (\d+)", t.after)[1]))
    for pid in pids:
        t.sendline(f"{TTYLOCK} debug {pid}")
        b = t.banner()
        assert (b["reason"], b["pid"]) == ("debug", pid), b
        assert t.debugged() == pid
        t.quit()
        t.expect(AT_SHELL)
        assert t.match[1] == "0", t.match[1]
        assert is_alive(pid)
    assert "(fg)" not in t.shown, t.shown


@test
def run_is_killed_below_an_interactive_shell(stage):
    """The shell has the terminal again, and no job by which it could give it back: who is in the
    debugger or waits for it ends."""
    t = shell(stage)
    t.sendline(f"{TTYLOCK} run -- {CROWD} segv segv segv")
    b = t.banner()
    _, waiters = stage.until_waiting(2)
    crashed = [b["pid"]] + [w["subject_pid"] for w in waiters]
    run, = [p for p in stage.named("ttylock") if os.getpgid(p) == p]
    os.kill(run, signal.SIGKILL)
    t.expect(AT_SHELL)
    assert t.match[1] == "137", t.match[1]
    until(lambda: stage.requests() == (None, []), "the terminal's release")
    until(lambda: not any(map(is_alive, crashed)), "the end of those that have crashed")
    t.expect(r"segv \d+: signal 11(.*segv \d+: signal 11){2}")
    assert t.banners() == [b["pid"]]
    typed(t, "echo still here", 0)


def brought_back(stage, t, status):
    """fg, and the debugger has the terminal."""
    t.sendline("fg")
    gdb, = stage.named("gdb")
    until(lambda: t.foreground() == os.getpgid(gdb) and proc_stat(gdb)[0] == "S", "gdb in front")
    t.sendline("print answer")  # it may show its prompt again before
    t.expect(r"= 42\r\n")
    t.expect(PROMPT)
    t.quit()
    t.expect(AT_SHELL)
    assert t.match[1] == str(status)


@test
def ctrl_z_in_the_debugger_stops_the_whole_job(stage):
    """Else the shell does not notice, and run stays stopped for ever."""
    t = shell(stage)
    t.sendline(f"sh -c '{TTYLOCK} run -- {CRASH} segv; exit 7'")
    t.banner()
    t.send("\x1a")
    t.expect(AT_SHELL)
    brought_back(stage, t, 7)


@test
def ctrl_z_under_a_shell_that_is_late(stage):
    t = shell(stage)
    t.sendline(f"{TTYLOCK} run -- {CRASH} segv")
    t.banner()
    job, = (p for p in stage.named("ttylock") if os.getpgid(p) == p)
    os.kill(t.pid, signal.SIGSTOP)
    t.send("\x1a")
    until(lambda: proc_stat(job)[0] == "T", "the job is stopped")
    gdb, = stage.named("gdb")
    later = time.monotonic() + 2  # it is not to come back meanwhile
    until(lambda: t.foreground() == os.getpgid(gdb) or time.monotonic() > later, "some time")
    assert t.foreground() == job
    os.kill(t.pid, signal.SIGCONT)
    t.expect(AT_SHELL)
    brought_back(stage, t, 139)


@test
def a_debugger_whose_job_was_stopped_by_others_comes_back_with_it(stage):
    t = shell(stage)
    t.sendline(f"{TTYLOCK} run -- {CRASH} segv")
    t.banner()
    job, = (p for p in stage.named("ttylock") if os.getpgid(p) == p)
    gdb, = stage.named("gdb")
    os.kill(job, signal.SIGTSTP)
    t.expect(AT_SHELL)
    os.killpg(os.getpgid(gdb), signal.SIGTTIN)  # as a key does that the shell leaves to it
    until(lambda: proc_stat(gdb)[0] == "T", "gdb is stopped in the background")
    brought_back(stage, t, 139)


@test
def ctrl_z_in_the_debugger_gives_the_shell_back(stage):
    t = shell(stage)
    t.sendline(f"{TTYLOCK} run -- {CRASH} segv")
    b = t.banner()
    for _ in range(2):
        t.send("\x1a")
        t.expect(r"\[1\]\+ +Stopped .*\r\n")
        t.expect(AT_SHELL)
        assert "out" in typed(t, "echo o''ut", 0)
        assert t.foreground() == t.pid
        t.sendline("fg")
        t.sendline("")
        t.expect(PROMPT)
        t.sendline("info inferiors")
        t.expect(rf"process {b['pid']} ")
        t.expect(PROMPT)
    t.gdb("print 1")
    t.quit()
    t.expect(AT_SHELL)
    assert t.match[1] == "139"
    assert t.banners() == [b["pid"]]
    t.sendline("exit 0")
    assert t.finish() == 0


@test
def ctrl_z_without_a_debugger_is_as_without_us(stage):
    t = shell(stage)
    t.sendline(f"{TTYLOCK} run -- {CRASH} wait")
    t.expect("ready")
    t.send("\x1a")
    t.expect(r"\[1\]\+ +Stopped .*\r\n")
    t.expect(AT_SHELL)
    assert t.match[1] == "148"
    t.sendline("fg")
    t.expect("ttylock run.*\r\n")
    # The shell says that before the job has the terminal: the key would be the shell's.
    until(lambda: t.foreground() != t.pid, "the job in front")
    t.sendintr()
    t.expect(AT_SHELL)
    assert t.match[1] == "130"


@test
def an_inner_interactive_shell_in_the_tree(stage):
    t = shell(stage, TTYLOCK, "run", "--")
    t.sendline(f"{CRASH} segv")
    foreground = t.banner()
    t.interrupt()
    t.quit()
    t.expect(AT_SHELL)
    assert t.match[1] == "139"

    crash_in_background(t, f"{CRASH} abort")
    assert "out1" in typed(t, "echo o''ut1", 0)
    assert t.banners() == [foreground["pid"]]
    t.sendline("fg")
    background = t.banner()
    assert background["signal"] == "SIGABRT" and t.debugged() == background["pid"]
    t.quit()
    t.expect(AT_SHELL)
    assert t.match[1] == "134"

    # One waits in the background, another in front is served meanwhile.
    crash_in_background(t, f"{CRASH} fpe")
    t.sendline(f"{CRASH} segv")
    assert t.banner()["signal"] == "SIGSEGV"
    t.quit()
    t.expect(AT_SHELL)
    t.sendline("fg")
    assert t.banner()["signal"] == "SIGFPE"
    t.quit()
    t.expect(AT_SHELL)
    assert t.match[1] == "136"
    t.sendline("exit 3")
    t.expect("exit\r\n")
    assert t.finish() == 3


main()
