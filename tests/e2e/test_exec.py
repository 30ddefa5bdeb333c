"""`ttylock exec`: a command holds the terminal while it runs. `ttylock status`:
who has it, who waits."""
import json
import os
import re
import signal
import subprocess
import time

from harness import CRASH, PROMPT, Skip, TIMEOUT, TTYLOCK, is_alive, main, proc_stat, test, until

SHELL_PROMPT = r"P> $"
REQ = {"id": int, "pid": int, "uid": int, "comm": str, "task": dict, "reason": str, "text": str,
       "subject_pid": int, "subject_comm": str, "position": int, "age_s": float}


def shell(stage):
    """An interactive bash with job control and a prompt of its own."""
    t = stage.spawn("bash", "--norc", "-i", env={"PS1": "P> "})
    t.expect(SHELL_PROMPT)
    return t


def terminal_of(t):
    return os.readlink(f"/proc/{t.pid}/fd/0")


def beside(stage, t, *args, **kwargs):
    """`ttylock args` from elsewhere, for the terminal of t."""
    return stage.ttylock(*args, env={"TTYLOCK_TTY": terminal_of(t)}, **kwargs)


def beside_start(stage, t, *args):
    return subprocess.Popen([TTYLOCK, *args], env={**stage.env, "TTYLOCK_TTY": terminal_of(t)},
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, start_new_session=True)


def hold(stage, *args):
    """A terminal that `exec cat` holds."""
    t = stage.spawn(TTYLOCK, "exec", *args, "--", "cat")
    t.sendline("mine")
    t.expect(r"mine\r\nmine\r\n")
    return t


def pending(pid, sig):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"ShdPnd:\s*(\w+)", f.read())[1], 16) >> (sig - 1) & 1


@test
def the_commands_own_status(stage):
    for script, status in (("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$", 143),
                           ("kill -KILL $$", 137), ("kill -INT $$", 130), ("kill -SEGV $$", 139)):
        t = stage.spawn(TTYLOCK, "exec", "--", "sh", "-c", script)
        assert t.finish() == status, (script, t.exitstatus, t.signalstatus)
        assert t.shown == "", t.shown
    for name, status in (("no-such-command", 127), (stage.write("plain", "", mode=0o644), 126)):
        t = stage.spawn(TTYLOCK, "exec", name)
        assert t.finish() == status
        assert re.fullmatch(rf"ttylock: {re.escape(name)}: [^\r\n]+\r\n", t.shown), t.shown


@test
def the_second_waits_for_the_first(stage):
    t = hold(stage)
    second = beside_start(stage, t, "exec", "--", "sh", "-c", "echo served; exit 5")
    third = beside_start(stage, t, "exec", "--", "sh", "-c", "echo served; exit 6")
    holder, waiters = stage.until_waiting(2)
    assert {w["pid"] for w in waiters} == {second.pid, third.pid}
    assert second.poll() is None and third.poll() is None
    t.sendeof()
    assert t.finish() == 0
    for c, status in ((second, 5), (third, 6)):
        assert c.communicate(timeout=TIMEOUT) == ("served\n", "")
        assert c.returncode == status
    assert stage.requests() == (None, [])
    assert holder["comm"] == "ttylock"


@test
def not_to_wait(stage):
    t = hold(stage)
    for args, status in ((["-n"], 75), (["--nonblock"], 75), (["-w", "0.2"], 124),
                         (["--timeout=0.2"], 124), (["-w", "0"], 124), (["-n", "-E", "9"], 9),
                         (["-w", "0.1", "-E", "0"], 0),
                         (["-nE9"], 9), (["-n", "--conflict-exit-code=200"], 200)):
        out = beside(stage, t, "exec", *args, "--", "echo", "ran")
        assert (out.returncode, out.stdout) == (status, ""), (args, out)
        assert out.stderr.count("\n") <= 1, out.stderr
    holder, waiters = stage.requests()
    assert holder["text"] == "cat" and waiters == []
    t.sendeof()
    assert t.finish() == 0
    t = stage.spawn(TTYLOCK, "exec", "-n", "-w", "0.2", "-E", "9", "--", "echo", "ran")
    assert t.finish() == 0 and t.shown == "ran\r\n"


@test
def the_command_has_the_keyboard_alone(stage):
    os.mkfifo(stage.path("go"))
    # By descriptor 3: what is put into the background has no terminal as its standard input.
    t = stage.sh("exec 3<&0; cat <&3 >from-other & read go <go; "
                 f"{TTYLOCK} exec -- sh -c 'echo in front; read line; echo \"<$line>\"'; kill $!")
    cat = until(lambda: stage.named("cat"), "the other one")[0]
    until(lambda: proc_stat(cat)[0] == "S", "its read")
    with open(stage.path("go"), "w") as f:
        f.write("go\n")
    t.expect("in front\r\n")
    t.sendline("for me")
    t.expect(r"<for me>\r\n")
    t.finish()
    with open(stage.path("from-other")) as f:
        assert f.read() == ""


@test
def ctrl_c_reaches_the_command_only(stage):
    script = ("import signal, subprocess, sys\n"
              "signal.signal(signal.SIGINT, lambda *a: print('not for us', flush=True))\n"
              "print('status', subprocess.run(sys.argv[1:]).returncode, flush=True)")
    t = stage.spawn("/usr/bin/python3", "-c", script, TTYLOCK, "exec", "--", "sleep", "1000")
    sleeper = until(lambda: stage.named("sleep"), "sleep runs")[0]
    until(lambda: t.foreground() == os.getpgid(sleeper), "it is in front")
    t.sendintr()
    t.expect(r"status (-2|130)\r\n")
    assert t.finish() == 0
    assert "not for us" not in t.shown


@test
def ctrl_c_before_the_command_is_in_front(stage):
    """Typed when the terminal is granted and not given yet: gdb holds that moment still."""
    t = shell(stage)
    first = beside_start(stage, t, "exec", "--", "sleep", "1000")
    until(lambda: stage.requests()[0], "somebody has the terminal")
    t.sendline(f"{TTYLOCK} exec -- sleep 2000")
    second = stage.until_waiting(1)[1][0]["pid"]
    gdb = stage.spawn("gdb", "-q", "-nx", "-p", second, "-ex", "tbreak session_run", "-ex", "continue")
    gdb.expect("Continuing")
    first.terminate()
    first.communicate(timeout=TIMEOUT)
    gdb.expect(r"breakpoint 1, [^\r\n]*session_run")
    gdb.expect(PROMPT)
    assert t.foreground() == os.getpgid(second)
    t.sendintr()
    until(lambda: pending(second, signal.SIGINT), "the key's signal")
    gdb.sendline("detach")
    t.expect(SHELL_PROMPT)
    t.sendline("echo status $?")
    t.expect(r"status 130\r\n")
    assert stage.requests() == (None, [])


@test
def ctrl_c_when_the_turn_has_come_unread(stage):
    t = stage.spawn("sh", "-c", f"read line; exec {TTYLOCK} exec -- sleep 2000")
    first = beside_start(stage, t, "exec", "--", "sleep", "1000")
    until(lambda: stage.requests()[0], "somebody has the terminal")
    t.sendline("")
    second = stage.until_waiting(1)[1][0]["pid"]
    os.kill(second, signal.SIGSTOP)
    until(lambda: proc_stat(second)[0] == "T", "it stands still")
    first.terminate()
    first.communicate(timeout=TIMEOUT)
    until(lambda: stage.requests()[0]["pid"] == second, "its turn")
    t.sendintr()
    until(lambda: pending(second, signal.SIGINT), "the key's signal")
    os.kill(second, signal.SIGCONT)
    assert t.finish() == 130
    assert "kept back" not in t.shown


@test
def an_interrupt_that_is_sent_reaches_the_command(stage):
    t = stage.spawn(TTYLOCK, "exec", "--", "sh", "-c", "trap 'echo interrupted; exit 3' INT; while :; do sleep 0.01; done")
    until(lambda: stage.named("sleep"), "the command runs")
    os.kill(t.pid, signal.SIGINT)
    t.expect("interrupted\r\n")
    assert t.finish() == 3


@test
def a_terminal_from_outside_of_a_chroot(stage):
    if os.geteuid() != 0:
        raise Skip("a /dev/pts of its own needs root")
    own = "mount -t devpts -o newinstance,ptmxmode=666 devpts /dev/pts && exec " + TTYLOCK
    for args in (["exec", "--", "true"], ["run", "--", CRASH, "segv"]):
        t = stage.spawn("unshare", "-m", "sh", "-c", own + ' "$@"', "sh", *args)
        assert t.finish() in (125, 139), t.shown
        assert re.fullmatch(r"ttylock: (cannot have the terminal|no debugger for crash \(pid \d+\)): this "
                            r"terminal is none of the daemon's /dev/pts: is this a chroot, [^\r\n]*\r\n",
                            t.shown), t.shown


@test
def ctrl_z_and_fg(stage):
    t = shell(stage)
    t.sendline(f"{TTYLOCK} exec -- cat")
    cat = until(lambda: stage.named("cat"), "cat runs")[0]
    for word in ("one", "two"):
        t.sendline(word)
        t.expect(rf"{word}\r\n{word}\r\n")
        t.send("\x1a")
        t.expect("Stopped")
        t.expect(SHELL_PROMPT)
        assert proc_stat(cat)[0] == "T"
        t.sendline("echo the shell has the keyboard")
        t.expect(r"\nthe shell has the keyboard\r\n")
        t.expect(SHELL_PROMPT)
        assert stage.requests()[0]["text"] == "cat", "stopped is not released"
        t.sendline("fg")
        t.expect(r"exec -- cat\r\n")
        until(lambda: proc_stat(cat)[0] == "S" and t.foreground() == os.getpgid(cat),
              "cat runs again in front")
    t.sendeof()
    t.expect(SHELL_PROMPT)
    t.sendline("echo status $?")
    t.expect(r"\nstatus 0\r\n")


@test
def bg_does_not_take_the_terminal_from_the_shell(stage):
    t = shell(stage)
    t.sendline(f"{TTYLOCK} exec -- cat")
    cat = until(lambda: stage.named("cat"), "cat runs")[0]
    t.sendline("one")
    t.expect(r"one\r\none\r\n")
    t.send("\x1a")
    t.expect("Stopped")
    t.expect(SHELL_PROMPT)
    t.sendline("bg")
    t.expect(SHELL_PROMPT)
    for word in ("first", "second"):
        t.sendline(f"echo {word}")
        t.expect(rf"\n{word}\r\n")
        t.expect(SHELL_PROMPT)
    t.sendline("fg")
    t.expect(r"exec -- cat\r\n")
    until(lambda: proc_stat(cat)[0] == "S" and t.foreground() == os.getpgid(cat),
          "cat runs again in front")
    t.sendline("two")
    t.expect(r"two\r\ntwo\r\n")
    t.sendeof()
    t.expect(SHELL_PROMPT)


@test
def killed_while_stopped(stage):
    t = shell(stage)
    for bg in (False, True):
        t.sendline(f"{TTYLOCK} exec -- cat")
        cat = until(lambda: stage.named("cat"), "cat runs")[0]
        until(lambda pid=cat: t.foreground() == os.getpgid(pid), "cat is in front")
        t.send("\x1a")
        t.expect("Stopped")
        t.expect(SHELL_PROMPT)
        if bg:
            t.sendline("bg")
            t.expect(SHELL_PROMPT)
        t.sendline("kill %1")
        t.expect(SHELL_PROMPT)
        until(lambda pid=cat: not is_alive(pid), "its end")
        until(lambda: not stage.named("ttylock"), "the end of exec")
        for word in ("first", "second"):
            t.sendline(f"echo {word}")
            t.expect(rf"\n{word}\r\n")
            t.expect(SHELL_PROMPT)
    assert stage.requests() == (None, [])


@test
def kill_9_frees_the_terminal(stage):
    t = hold(stage)
    cat = stage.named("cat")[0]
    waiter = beside_start(stage, t, "exec", "--", "echo", "served")
    stage.until_waiting(1)
    os.kill(t.pid, signal.SIGKILL)
    assert waiter.communicate(timeout=TIMEOUT) == ("served\n", "")
    until(lambda: not is_alive(cat), "the command has died with it")


@test
def the_command_dies_with_exec(stage):
    # Nobody comes after it who would clean up, and it leads no session.
    t = stage.spawn("sh", "-c", f"{TTYLOCK} exec -- cat; echo after; sleep 1000")
    first = until(lambda: stage.named("cat"), "the command runs")[0]
    os.kill(stage.requests()[0]["pid"], signal.SIGKILL)
    t.expect("after")
    until(lambda: not is_alive(first), "the command has died with it")


@test
def a_raw_mode_command_killed_leaves_a_sane_terminal(stage):
    raw = "import tty, time; tty.setraw(0); print('raw', flush=True); time.sleep(1000)"
    for victim in ("python3", "ttylock"):
        t = stage.sh(f"{TTYLOCK} exec -- /usr/bin/python3 -c \"{raw}\"; {TTYLOCK} exec -- stty -a; :")
        t.expect("raw")
        assert not t.is_sane()
        pid = stage.requests()[0]["pid"] if victim == "ttylock" else stage.named("python3")[0]
        os.kill(pid, signal.SIGKILL)
        assert t.finish() == 0
        modes = t.shown.partition("raw")[2]
        for mode in ("icanon", "echo", "isig", "icrnl", "opost"):
            assert re.search(rf"(?<!-)\b{mode}\b", modes), (victim, mode, modes)


@test
def terminated_by_signal(stage):
    t = hold(stage)
    os.kill(t.pid, signal.SIGTERM)
    assert t.finish() in (143, 137)
    assert not stage.named("cat")
    assert stage.requests() == (None, [])


@test
def the_table(stage):
    stage.serve()  # one that stays when nobody holds anything any more
    t = hold(stage, "--why", "a good reason")
    waiter = beside_start(stage, t, "exec", "--", "true")
    holder, _ = stage.until_waiting(1)
    out = stage.ttylock("status")
    assert out.returncode == 0 and out.stderr == "", out
    head, first, second = out.stdout.splitlines()
    assert head.split() == ["TERMINAL", "ID", "PLACE", "AGE", "PID", "REASON", "COMMAND", "TEXT"]
    assert re.fullmatch(rf"{terminal_of(t)} +{holder['id']} +holds +\d+s +{t.pid} +command +"
                        r"ttylock +a good reason", first), first
    assert re.fullmatch(rf"{terminal_of(t)} +\d+ +1 +\d+s +{waiter.pid} +command +ttylock +true",
                        second), second
    # Each column stands below its head.
    assert first.index(" holds") + 6 == head.index("PLACE") + 5
    assert first.index("command") == head.index("REASON")
    assert first.index("a good") == head.index("TEXT") == second.index("true")
    t.sendeof()
    t.finish()
    waiter.communicate(timeout=TIMEOUT)
    assert stage.ttylock("status").stdout == "no terminal is held\n"


@test
def the_json(stage):
    began = time.monotonic()
    t = hold(stage, "--why", "a good reason")
    waiters = []
    for n in (1, 2):
        waiters.append(beside_start(stage, t, "exec", "--", "sh", "-c", f"exit {n}"))
        stage.until_waiting(n)
    out = stage.ttylock("status", "--json")
    assert out.stderr == ""
    s = json.loads(out.stdout)
    took = time.monotonic() - began
    assert list(s) == ["version", "daemon", "terminals"] and s["version"] == 1
    assert set(s["daemon"]) == {"pid", "socket", "uptime_s"}
    assert s["daemon"]["socket"] == stage.path("ttylock/ttylock.sock")
    assert is_alive(s["daemon"]["pid"]) and 0 <= s["daemon"]["uptime_s"] <= took + 0.01
    (terminal,) = s["terminals"]
    assert set(terminal) == {"terminal", "holder", "below", "waiters"}
    assert terminal["terminal"] == terminal_of(t)
    requests = [terminal["holder"], *terminal["waiters"]]
    for r in requests:
        assert set(r) == set(REQ), set(r) ^ set(REQ)
        for key, kind in REQ.items():
            assert isinstance(r[key], kind), (key, r[key])
        assert set(r["task"]) == {"name", "id"}
        assert r["uid"] == os.getuid() and r["reason"] == "command" and r["comm"] == "ttylock"
        assert r["subject_pid"] == r["pid"] and r["subject_comm"] == "ttylock"
    assert [r["pid"] for r in requests] == [t.pid, *(w.pid for w in waiters)]
    assert [r["position"] for r in requests] == [0, 1, 2]
    assert [r["text"] for r in requests] == ["a good reason", "sh -c exit 1", "sh -c exit 2"]
    ages = [r["age_s"] for r in requests]
    assert ages == sorted(ages, reverse=True) and 0 <= ages[-1] <= ages[0] <= took + 0.01, ages
    until(lambda: stage.requests()[0]["age_s"] > ages[0], "the age grows")
    t.sendeof()
    t.finish()
    for n, w in enumerate(waiters, 1):
        w.communicate(timeout=TIMEOUT)
        assert w.returncode == n


@test
def texts_cannot_steer_the_readers_terminal(stage):
    bad = ["\x1b]0;owned\x07\x1b[2J", "two\nlines\r\tand a tab", "\x9b31m c1", "\x7f\x08",
           "right\u202eto left",
           "fine: \u00e4\u4e2d"]
    for text in bad:
        t = hold(stage, "--why", text)
        for args in (["status"], ["status", "--json"]):
            out = subprocess.run([TTYLOCK, *args], env=stage.env, capture_output=True,
                                 stdin=subprocess.DEVNULL, timeout=TIMEOUT)
            assert out.returncode == 0 and out.stderr == b""
            shown = out.stdout.decode()  # it is UTF-8
            for c in shown.replace("\n", ""):
                assert c.isprintable(), (text, shown)
            if "--json" in args:
                said = json.loads(shown)["terminals"][0]["holder"]["text"]
                assert "\n" not in said and "\x1b" not in said, said
                assert ("\u4e2d" in said) == ("\u4e2d" in text), said
            else:
                assert shown.count("\n") == 2, shown
        t.sendeof()
        assert t.finish() == 0


@test
def a_text_that_is_not_utf_8(stage):
    t = stage.spawn("bash", "-c", f"exec {TTYLOCK} exec --why $'\\xff\\xfe broken' -- cat")
    holder, _ = stage.until_waiting(0)
    assert holder["text"] == "?? broken", holder
    assert "?? broken" in stage.ttylock("status").stdout
    t.sendeof()
    assert t.finish() == 0


@test
def a_very_long_text(stage):
    t = hold(stage, "--why", "\u00e4" * 1000)
    text = stage.requests()[0]["text"]
    assert 200 < len(text.encode()) <= 255 and set(text) == {"\u00e4"}, text
    t.sendeof()
    assert t.finish() == 0


main()
