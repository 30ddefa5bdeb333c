"""Who runs below the holder of the terminal is served on top of it, not behind it."""
import os
import signal
import subprocess

from harness import CRASH, PROMPT, TTYLOCK, main, replay, test, until
from schema import check_event


@test
def exec_inside_exec(stage):
    t = stage.spawn(TTYLOCK, "exec", "--", TTYLOCK, "exec", "--", TTYLOCK, "exec", "--",
                    "sh", "-c", "echo inside; exit 9")
    assert t.finish() == 9
    assert "inside" in t.shown


@test
def a_crash_below_exec(stage):
    """The holder waits for the one that crashed: queued behind it, nobody would ever go on."""
    t = stage.run(TTYLOCK, "exec", "--", "sh", "-c", f"{CRASH} segv; echo went on $?")
    b = t.banner()
    assert b["comm"] == "crash" and b["signal"] == "SIGSEGV"
    t.interrupt()
    t.quit()
    t.expect("went on 139")
    assert t.finish() == 0


@test
def last_in_first_out_before_the_queue(stage):
    """A stranger who has waited longer is served after the whole nest."""
    t = stage.run("sh", "-c", "mkfifo held; "
                  f"{TTYLOCK} exec -- sh -c 'echo >held; read line; {CRASH} segv; read line; "
                  "echo outer done' </dev/tty & "
                  f"read line <held; {TTYLOCK} exec -- echo the stranger; wait")
    stage.until_waiting(1)
    t.sendline("")
    b = t.banner()
    holder, waiters = stage.requests()
    assert holder["subject_pid"] == b["pid"]
    assert [w["text"] for w in waiters] == ["echo the stranger"], waiters
    below = stage.status()["terminals"][0]["below"]
    assert [e["text"].startswith("sh -c") for e in below] == [True], below
    table = stage.ttylock("status").stdout.splitlines()
    assert [row.split()[2] for row in table[1:]] == ["holds", "below", "1"], table
    t.quit()
    until(lambda: stage.requests()[0]["subject_pid"] != b["pid"], "the outer one has it again")
    t.sendline("")
    t.expect("outer done")
    t.expect("the stranger")
    assert t.finish() == 0
    assert stage.replay() == 3


@test
def whoever_watches_sees_that_it_goes_by_the_rules(stage):
    """The lines that a watcher gets say under which grant each was asked for."""
    t = stage.run("sh", "-c", f"read line; {TTYLOCK} exec -- {TTYLOCK} exec -- true")
    until(stage.daemon_pid, "a daemon")
    watcher = subprocess.Popen([TTYLOCK, "status", "--watch", "--json"], env=stage.env, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        lines = [watcher.stdout.readline()]
        assert '"back"' in lines[0], lines
        t.sendline("")
        while sum('"released"' in line for line in lines) < 2:
            lines.append(watcher.stdout.readline())
            assert lines[-1], "it watches on"
    finally:
        watcher.kill()
        watcher.communicate()
    assert t.finish() == 0
    counts = replay.follow(lines).counts
    assert (counts["granted"], counts["nested"]) == (2, 1), lines
    for line in lines:
        check_event(line)


@test
def the_nested_debugger_is_killed(stage):
    t = stage.run(TTYLOCK, "exec", "--", "sh", "-c", f"{CRASH} segv; echo went on $?; read line; "
                  "echo got $line")
    t.banner()
    os.kill(t.foreground(), signal.SIGKILL)
    t.expect("went on 139")
    until(t.is_sane, "a sane terminal")
    t.sendline("typed")
    t.expect("got typed")
    assert t.finish() == 0


@test
def the_holder_ends_before_the_one_on_top(stage):
    """exec's command has ended; the debugger of what it left behind keeps the terminal."""
    t = stage.run("sh", "-c", f"{TTYLOCK} exec -- sh -c '{CRASH} segv & echo $! >pid; "
                  "read line </dev/tty'; echo exec ended $?; wait")
    until(lambda: stage.requests()[0], "exec holds")
    b = t.banner()
    outer, = stage.status()["terminals"][0]["below"]
    os.kill(outer["pid"], signal.SIGTERM)
    t.expect(r"exec ended \d+")
    t.sendline("print 6 * 7")
    t.expect(r"\$1 = 42")
    t.expect(PROMPT)
    assert stage.requests()[0]["subject_pid"] == b["pid"]
    t.quit()
    assert t.finish() == 0
    assert t.shown.count("ttylock: crash:") == 1


main()
