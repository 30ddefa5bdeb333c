"""A tree that does not crash: `ttylock run` is not there."""
import os
import re
import shutil
import signal
import subprocess

import pexpect

from harness import (BUILD, CRASH, PARTS, Skip, TIMEOUT, TTYLOCK, is_alive, main, proc_stat, test, until,
                     until_stopped)

PYTHON = "/usr/bin/python3"
SHELL_PROMPT = r"P> $"


def shell(stage):
    """An interactive bash with job control and a prompt of its own."""
    t = stage.spawn("bash", "--norc", "-i", env={"PS1": "P> "})
    t.expect(SHELL_PROMPT)
    return t


def in_shell(t, line, pattern=SHELL_PROMPT):
    t.sendline(line)
    t.expect(pattern)
    return t.before


def piped(stage, *argv, data=b"", env=None, wrap=True):
    """argv below `ttylock run` with pipes for all three streams, on no terminal."""
    argv = [TTYLOCK, "run", "--", *argv] if wrap else argv
    return subprocess.run(argv, input=data, capture_output=True, env={**stage.env, **(env or {})},
                          start_new_session=True, timeout=TIMEOUT, cwd=stage.dir)


def pending(pid, sig):
    with open(f"/proc/{pid}/status") as f:
        masks = re.findall(r"(?:SigPnd|ShdPnd):\s*([0-9a-f]+)", f.read())
    return any(int(mask, 16) >> (sig - 1) & 1 for mask in masks)


def until_idle(pid, sig):
    """Until pid has taken that signal, done what it does for it, and sleeps."""
    until(lambda: not pending(pid, sig) and proc_stat(pid)[0] == "S", f"{pid} idles")


@test
def exit_status(stage):
    for status in (0, 1, 7, 64, 75, 124, 125, 255):
        t = stage.sh(f"exit {status}")
        assert t.finish() == status
        assert t.shown == "", t.shown


@test
def a_command_killed_by_a_signal(stage):
    for sig, status in (("TERM", 143), ("KILL", 137), ("INT", 130), ("HUP", 129), ("USR2", 140)):
        t = stage.sh(f"kill -{sig} $$")
        assert t.finish() == status, (sig, t.exitstatus, t.signalstatus)
        assert t.shown == "", t.shown


ECHO_SIGNALS = """
import os, signal, sys, time
def got(sig, frame):
    os.write(1, (signal.Signals(sig).name + chr(10)).encode())  # print() is not reentrant
    if sig == signal.SIGTERM:
        sys.exit(5)
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), got)
print("ready", os.getpid(), flush=True)
while True:
    time.sleep(0.1)  # in pause() one that comes just before it would have to wait for the next
"""


@test
def signals_sent_by_kill_reach_the_command(stage):
    # SIGUSR1 is for the tree's stack dump.
    names = ["SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR2", "SIGALRM", "SIGTERM"]
    t = stage.run(PYTHON, "-c", ECHO_SIGNALS, *names)
    t.expect("ready")
    for name in names:
        os.kill(t.pid, getattr(signal, name))
        t.expect(f"{name}\r\n")
    assert t.finish() == 5
    assert t.shown.count("SIG") == len(names), t.shown


@test
def a_job_killed_by_sigterm(stage):
    t = stage.run("sleep", "1000")
    until(lambda: stage.named("sleep"), "sleep runs")
    os.kill(t.pid, signal.SIGTERM)
    assert t.finish() == 143
    assert not stage.named("sleep")


@test
def the_streams_as_pipes(stage):
    data = os.urandom(3_000_000)
    out = piped(stage, "sh", "-c", "cat; echo to stderr >&2; exit 7", data=data)
    assert out.returncode == 7
    assert out.stdout == data
    lines = out.stderr.decode().splitlines()
    assert lines[-1] == "to stderr" and len(lines) == 2, lines  # and that there is no terminal


@test
def the_streams_as_pipes_on_a_terminal(stage):
    with open(stage.path("in"), "wb") as f:
        f.write(os.urandom(3_000_000))
    t = stage.spawn("bash", "-c", f"cat in | {TTYLOCK} run -- sh -c 'cat; echo e >&2' 2>err | "
                    "cat >out; echo statuses ${PIPESTATUS[@]}")
    assert t.finish() == 0
    assert "statuses 0 0 0" in t.shown, t.shown
    with open(stage.path("in"), "rb") as a, open(stage.path("out"), "rb") as b:
        assert a.read() == b.read()
    with open(stage.path("err")) as f:
        assert f.read() == "e\n"


@test
def closed_streams_stay_closed(stage):
    script = ("import os\nfor fd in range(3):\n try: os.fstat(fd); s = 'open'\n"
              " except OSError: s = 'closed'\n print(fd, s, file=open('report', 'a'))")
    t = stage.spawn("bash", "-c", f"exec {TTYLOCK} run -- {PYTHON} -c \"$1\" <&- >&- 2>&-", "x",
                    script)
    assert t.finish() == 0
    with open(stage.path("report")) as f:
        report = f.read()
    os.unlink(stage.path("report"))
    stage.expect_plain(["bash", "-c", f"exec {PYTHON} -c \"$1\" <&- >&- 2>&-", "x", script], 0)
    with open(stage.path("report")) as f:
        assert f.read() == report


@test
def the_environment_and_descriptors(stage):
    # What the command inherits is what it would have without us.
    ours = stage.run("ls", "/proc/self/fd")
    plain = stage.spawn("ls", "/proc/self/fd")
    assert ours.finish() == plain.finish() == 0
    assert ours.shown.split() == plain.shown.split(), (ours.shown, plain.shown)

    look = ("import os, signal; print('mask', signal.pthread_sigmask(0, []), 'ign', "
            "[l for l in open('/proc/self/status') if l.startswith('SigIgn')], 'umask', "
            "os.umask(0), 'cwd', os.getcwd(), 'nice', os.nice(0), 'tpgrp', "
            "os.tcgetpgrp(0) == os.getpgrp())")
    for before in ("true", "trap '' HUP CHLD USR1"):
        argv = ["bash", "-c", before + "; exec \"$@\"", "x"]
        ours = stage.spawn(*argv, TTYLOCK, "run", "--", PYTHON, "-c", look)
        plain = stage.spawn(*argv, PYTHON, "-c", look)
        assert ours.finish() == plain.finish() == 0
        assert ours.shown == plain.shown, (ours.shown, plain.shown)


@test
def sigchld_ignored_by_the_caller(stage):
    t = stage.spawn("bash", "-c", "trap '' CHLD; exec \"$@\"", "x", TTYLOCK, "run", "--", "sh",
                    "-c", "exit 7")
    assert t.finish() == 7, t.exitstatus


@test
def an_ld_preload_that_is_set_is_kept(stage):
    source = stage.write("other.c", "int ttylock_test_other(void) { return 1; }\n")
    library = stage.path("other.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True, timeout=TIMEOUT)
    # With a sanitizer in it `ttylock` itself minds another library before it.
    asan = stage.env.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
    t = stage.sh("echo \"<$LD_PRELOAD>\"; grep -o '[^/]*[.]so$' /proc/self/maps | sort -u; " + CRASH +
                 " segv", env={"LD_PRELOAD": library, "ASAN_OPTIONS": asan})
    t.banner()
    t.quit()
    assert t.finish() == 139
    assert f"<{library}:" in t.shown and "libttylock-preload.so>" in t.shown, t.shown
    assert re.search(r"^other\.so\r$", t.shown, re.M), t.shown


@test
def ctrl_c_ends_the_command(stage):
    for argv in (["sleep", "1000"], ["cat"]):
        t = stage.run(*argv)
        pid = until(lambda name=argv[0]: stage.named(name), f"{argv[0]} runs")[0]
        t.sendintr()
        assert t.finish() == 130
        assert not is_alive(pid)
        assert t.shown in ("^C", ""), t.shown  # it is shown after the signal, where that is in time


COUNT_INTERRUPTS = """
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
static volatile sig_atomic_t count;
static void got(int sig) { count++; if (write(1, "interrupted\\n", 12) < 0) _exit(sig); }
int main(void)
{
	struct sigaction sa = {.sa_handler = got, .sa_flags = SA_RESTART};
	char line[80];
	sigaction(SIGINT, &sa, NULL);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && line[0] != 'e') {
		printf("count is %d\\n", (int)count);
		fflush(stdout);
	}
	return 0;
}
"""


@test
def ctrl_c_comes_exactly_once(stage):
    # In C: Python and Perl see two in quick succession as one.
    source = stage.write("count.c", COUNT_INTERRUPTS)
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", stage.path("count"), source], check=True,
                   timeout=TIMEOUT)
    t = stage.run(stage.path("count"))
    t.expect("ready\r\n")
    for n in range(1, 6):
        t.sendintr()
        t.expect("interrupted\r\n")
        until_idle(t.pid, signal.SIGINT)
        t.sendline("so?")
        t.expect(r"count is (\d+)\r\n")
        assert int(t.match[1]) == n
    t.sendline("end")
    assert t.finish() == 0


@test
def ctrl_backslash_quits(stage):
    t = stage.run(PYTHON, "-c", ECHO_SIGNALS, "SIGQUIT", "SIGTERM")
    t.expect("ready")
    t.send("\x1c")
    t.expect("SIGQUIT\r\n")
    until_idle(t.pid, signal.SIGQUIT)
    os.kill(t.pid, signal.SIGTERM)
    assert t.finish() == 5
    assert t.shown.count("SIGQUIT") == 1


@test
def ctrl_c_ends_a_shells_loop(stage):
    t = shell(stage)
    for command in ("run -- sleep 1000", "exec -- sleep 1000"):
        t.sendline(f"for i in 1 2 3; do {TTYLOCK} {command}; echo \"after $i\"; done")
        sleeper = until(lambda: stage.named("sleep"), "sleep runs")[0]
        until(lambda pid=sleeper: os.getpgid(pid) == t.foreground(), "sleep is in front")
        t.sendintr()
        t.expect(SHELL_PROMPT)
        assert "after" not in t.before.partition("done")[2], t.before
        assert in_shell(t, "echo status $?").count("status 130") == 1
        assert not stage.named("sleep")


@test
def ctrl_z_and_fg(stage):
    t = shell(stage)
    t.sendline(f"{TTYLOCK} run -- cat")
    cat = until(lambda: stage.named("cat"), "cat runs")[0]
    for word in ("one", "two", "three"):
        t.sendline(word)
        t.expect(rf"{word}\r\n{word}\r\n")
        t.send("\x1a")
        t.expect("Stopped")
        t.expect(SHELL_PROMPT)
        until_stopped(cat)
        assert "Stopped" in in_shell(t, "jobs")
        t.sendline("fg")
        t.expect(r"run -- cat\r\n")
        until(lambda: proc_stat(cat)[0] == "S" and t.foreground() == os.getpgid(cat),
              "cat runs again in front")
    t.sendline("four")
    t.expect(r"four\r\nfour\r\n")
    t.sendeof()
    t.expect(SHELL_PROMPT)
    assert "status 0" in in_shell(t, "echo status $?")


@test
def sigcont_to_the_command_line_alone(stage):
    t = shell(stage)
    t.sendline(f"{TTYLOCK} run -- sleep 1000")
    sleeper = until(lambda: stage.named("sleep"), "sleep runs")[0]
    run = int(proc_stat(sleeper)[1])
    t.send("\x1a")
    t.expect("Stopped")
    until(lambda: proc_stat(sleeper)[0] == proc_stat(run)[0] == "T", "both are stopped")
    os.kill(run, signal.SIGCONT)
    until(lambda: proc_stat(sleeper)[0] == proc_stat(run)[0] == "S", "both run")
    # The other way round: its end is stopped from outside, and the shell sees it.
    os.kill(sleeper, signal.SIGSTOP)
    until(lambda: proc_stat(run)[0] == "T", "run has stopped as well")
    os.kill(run, signal.SIGCONT)
    until(lambda: proc_stat(sleeper)[0] == "S", "it runs")
    os.kill(run, signal.SIGTERM)
    until(lambda: not stage.named("sleep"), "its end")


@test
def a_job_in_the_background(stage):
    t = shell(stage)
    in_shell(t, f"{TTYLOCK} run -- sh -c 'sleep 1000; exit 6' &")
    sleeper = until(lambda: stage.named("sleep"), "sleep runs")[0]
    assert "Running" in in_shell(t, "jobs")
    os.kill(sleeper, signal.SIGKILL)
    in_shell(t, "wait %1")
    # And one that reads is stopped until fg, as without us.
    in_shell(t, f"{TTYLOCK} run -- cat &")
    cat = until(lambda: stage.named("cat"), "cat runs")[0]
    until(lambda: proc_stat(cat)[0] == "T", "cat is stopped")
    until(lambda: "Stopped" in in_shell(t, "jobs"), "the shell sees the job stopped")
    t.sendline("fg")
    t.expect(r"run -- cat\r\n")
    until(lambda: proc_stat(cat)[0] == "S", "cat reads")
    t.sendline("word")
    t.expect(r"word\r\nword\r\n")
    t.sendeof()
    t.expect(SHELL_PROMPT)


@test
def less_full_screen(stage):
    text = stage.write("text", "".join(f"line {n}\n" for n in range(1, 500)) + "a needle\n")
    t = stage.run("less", text, env={"TERM": "xterm", "LESS": ""})
    t.expect(r"\x1b\[\?1049h")
    t.expect("line 39")
    assert not t.is_sane()
    t.send("/needle\r")
    t.expect("needle.*END")
    t.send("q")
    assert t.finish() == 0
    assert "?1049l" in t.shown


@test
def vim_full_screen_with_ctrl_z(stage):
    text = stage.write("text", "first\n")
    t = shell(stage)
    t.sendline(f"TERM=xterm {TTYLOCK} run -- vim.tiny -n -u NONE {text}")
    t.expect(r"\x1b\[\?1049h")
    t.expect("first")
    until(lambda: "-icanon" in t.modes(), "vim has the keyboard")
    t.send("osecond\x1b")
    t.expect("second")
    t.send("\x1a")
    t.expect("Stopped")
    t.expect(SHELL_PROMPT)
    t.sendline("fg")
    t.expect(r"\x1b\[\?1049h")
    t.expect("second")
    t.send(":wq\r")
    t.expect(SHELL_PROMPT)
    in_shell(t, "stty -a >modes")
    with open(stage.path("modes")) as f:
        modes = f.read().split()
    assert {"icanon", "echo", "isig", "icrnl", "opost"} <= set(modes), modes
    with open(text) as f:
        assert f.read() == "first\nsecond\n"


@test
def no_terminal(stage):
    out = stage.ttylock("run", "--", "sh", "-c", "echo out; exit 7")
    assert out.returncode == 7
    assert out.stdout == "out\n"
    assert re.fullmatch(r"ttylock: running without crash handling: no terminal[^\n]*\n", out.stderr)
    out = stage.ttylock("run", "--", CRASH, "segv")
    assert out.returncode == 139
    assert out.stderr.count("\n") == 1, out.stderr


@test
def no_daemon_to_start(stage):
    if any(os.path.exists(d + "/sbin/ttylockd") for d in ("/usr", "/usr/local")):
        raise Skip("a ttylockd is installed")
    for name in ("ttylock", *PARTS):
        shutil.copy(os.path.join(BUILD, name), stage.dir)
    t = stage.spawn(stage.path("ttylock"), "run", "--", "sh", "-c", "echo out; exit 7")
    assert t.finish() == 7
    assert re.fullmatch(r"ttylock: running without crash handling: no daemon[^\n]*\r\nout\r\n",
                        t.shown), t.shown
    t = stage.spawn(stage.path("ttylock"), "exec", "--", "true")
    assert t.finish() == 125
    assert t.shown.startswith("ttylock: no daemon") and t.shown.count("\n") == 1, t.shown


@test
def nested(stage):
    t = stage.run(TTYLOCK, "run", "--", TTYLOCK, "run", "--", "sh", "-c", "echo in; exit 9")
    assert t.finish() == 9
    assert t.shown == "in\r\n", t.shown
    t = stage.run(TTYLOCK, "run", "--", CRASH, "segv")
    t.banner()
    t.quit()
    assert t.finish() == 139
    assert len(t.banners()) == 1
    t = stage.run(TTYLOCK, "exec", "--", "sh", "-c", "echo in; exit 9")
    assert t.finish() == 9
    assert t.shown == "in\r\n", t.shown


@test
def it_ends_at_once_with_a_child_left_behind(stage):
    # As a shell would: the command is what counts, not what it left running.
    script = ("import subprocess as s; s.Popen(['sleep', '1000'], stdin=s.DEVNULL, "
              "stdout=s.DEVNULL, stderr=s.DEVNULL, start_new_session=True); raise SystemExit(3)")
    t = stage.run(PYTHON, "-c", script)
    until(lambda: not is_alive(t.pid), "run has ended", 10)
    assert stage.named("sleep")
    t.expect(pexpect.EOF)
    t.wait()
    assert t.exitstatus == 3


main()
