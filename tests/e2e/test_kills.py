"""kill -9 of any of the parts: the next is served at once, never two prompts, a sane terminal."""
from harness import *

CROWD = os.path.join(PROGRAMS, "crowd")


def crowd(stage, count):
    """(terminal, banner, the waiters) of count crashes, the first of them at its prompt."""
    t = stage.run(CROWD, *["segv"] * count)
    first = t.banner()
    _, waiters = stage.until_waiting(count - 1)
    return t, first, waiters


def finish_all(stage, t, served, left):
    """Each of those left has its turn, in order; then all are found to have died of their signal."""
    for request in left:
        b = t.banner()
        assert b["pid"] == request["subject_pid"]
        assert t.debugged() == b["pid"]
        t.interrupt()
        t.quit()
    assert t.finish() == 0
    assert set(re.findall(r"\nsegv \d+: (.*?)\r", t.shown)) <= {"signal 11", "signal 9"}
    assert t.banners() == served + [r["subject_pid"] for r in left]
    assert stage.requests() == (None, [])
    stage.replay()


def helper_of(stage, subject):
    """The pid of the `ttylock debug` that acts for the subject."""
    holder, waiters = stage.requests()
    found, = [r["pid"] for r in [holder] + waiters if r["subject_pid"] == subject]
    return found


@test
def the_debugger_is_killed(stage):
    t, first, waiters = crowd(stage, 3)
    os.kill(stage.named("gdb")[0], signal.SIGKILL)
    finish_all(stage, t, [first["pid"]], waiters)
    assert f"segv {first['pid']}: signal 11" in t.shown


@test
def the_holder_is_killed(stage):
    t, first, waiters = crowd(stage, 3)
    os.kill(helper_of(stage, first["pid"]), signal.SIGKILL)
    finish_all(stage, t, [first["pid"]], waiters)
    assert f"segv {first['pid']}: signal 11" in t.shown


@test
def the_only_holder_is_killed(stage):
    """Nobody comes after it: the agent mends the terminal before the shell has it back."""
    t = stage.spawn("/bin/sh", "-c", f"{TTYLOCK} run -- {CROWD} segv; echo \"status $?\"; {CRASH} wait")
    first = t.banner()
    assert not t.is_sane()  # line editing is the debugger's
    os.kill(helper_of(stage, first["pid"]), signal.SIGKILL)
    t.expect(r"status 0\r\nready (\d+)\r\n")
    assert t.is_sane(), t.modes()
    assert t.foreground() == t.pid
    until(lambda: stage.named("gdb") == [], "the debugger's end")
    t.sendintr()  # reaches the program in front
    assert t.finish() == 130
    assert t.banners() == [first["pid"]]


@test
def the_only_holder_is_killed_while_the_agent_stands_still(stage):
    """The agent hears of both deaths, the holder's and its own child's, in one go."""
    t = stage.spawn("/bin/sh", "-c", f"{TTYLOCK} run -- {CRASH} segv; echo \"status $?\"; {CRASH} wait")
    first = t.banner()
    holder = helper_of(stage, first["pid"])
    agent, = [p for p in stage.named("ttylock") if p != holder]
    os.kill(agent, signal.SIGSTOP)
    os.kill(holder, signal.SIGKILL)
    until(lambda: not is_alive(first["pid"]) and stage.requests() == (None, []), "the holder is gone")
    os.kill(agent, signal.SIGCONT)
    t.expect(r"status 139\r\nready (\d+)\r\n")
    assert t.is_sane(), t.modes()
    t.sendintr()
    assert t.finish() == 130


@test
def the_crashed_process_in_the_debugger_is_killed(stage):
    t, first, waiters = crowd(stage, 2)
    os.kill(first["pid"], signal.SIGKILL)
    assert "Program terminated with signal SIGKILL" in t.gdb("continue")
    t.sendline("quit")
    finish_all(stage, t, [first["pid"]], waiters)
    assert f"segv {first['pid']}: signal 9" in t.shown


@test
def a_waiting_process_is_killed(stage):
    t, first, waiters = crowd(stage, 4)
    os.kill(waiters[1]["subject_pid"], signal.SIGKILL)
    _, left = stage.until_waiting(2)
    assert [w["id"] for w in left] == [waiters[0]["id"], waiters[2]["id"]]
    assert t.debugged() == first["pid"]
    t.quit()
    finish_all(stage, t, [first["pid"]], left)
    assert f"segv {waiters[1]['subject_pid']}: signal 9" in t.shown


@test
def a_waiting_helper_is_killed(stage):
    t, first, waiters = crowd(stage, 4)
    os.kill(waiters[0]["pid"], signal.SIGKILL)
    _, left = stage.until_waiting(2)
    assert [w["id"] for w in left] == [waiters[1]["id"], waiters[2]["id"]]
    # It will never have a turn: it ends as it would have.
    until(lambda: not is_alive(waiters[0]["subject_pid"]), "the end of the process")
    assert t.debugged() == first["pid"]
    t.quit()
    finish_all(stage, t, [first["pid"]], left)
    assert f"segv {waiters[0]['subject_pid']}: signal 11" in t.shown


@test
def a_waiter_and_then_the_holder_are_killed(stage):
    t, first, waiters = crowd(stage, 4)
    os.kill(waiters[0]["pid"], signal.SIGKILL)
    os.kill(helper_of(stage, first["pid"]), signal.SIGKILL)
    finish_all(stage, t, [first["pid"]], waiters[1:])


@test
def the_holder_and_then_the_next_are_killed(stage):
    t, first, waiters = crowd(stage, 4)
    os.kill(helper_of(stage, first["pid"]), signal.SIGKILL)
    second = t.banner()
    assert second["pid"] == waiters[0]["subject_pid"]
    os.kill(waiters[0]["pid"], signal.SIGKILL)
    finish_all(stage, t, [first["pid"], second["pid"]], waiters[1:])


@test
def every_debugger_in_turn_is_killed(stage):
    t, first, waiters = crowd(stage, 5)
    served = [first["pid"]]
    for waiter in waiters:
        gdb, = until(lambda: stage.named("gdb"), "gdb")
        os.kill(gdb, signal.SIGKILL)
        b = t.banner()
        served.append(b["pid"])
        assert b["pid"] == waiter["subject_pid"]
        gdb, = stage.named("gdb")
    t.quit()
    finish_all(stage, t, served, [])


@test
def all_waiting_helpers_are_killed(stage):
    t, first, waiters = crowd(stage, 6)
    for waiter in waiters:
        os.kill(waiter["pid"], signal.SIGKILL)
    stage.until_waiting(0)
    assert t.debugged() == first["pid"]
    t.quit()
    finish_all(stage, t, [first["pid"]], [])


@test
def a_helper_killed_and_a_debugger_killed_by_hand_share_no_prompt(stage):
    """The debugger dies with its helper: it never reads the keyboard beside the next one."""
    t, first, waiters = crowd(stage, 2)
    gdb, = stage.named("gdb")
    os.kill(helper_of(stage, first["pid"]), signal.SIGKILL)
    second = t.banner()
    until(lambda: not is_alive(gdb), "the debugger's end")
    for _ in range(6):
        assert t.debugged() == second["pid"]
    t.quit()
    finish_all(stage, t, [first["pid"], second["pid"]], [])


@test
def an_agent_killed_leaves_a_prompt_that_works(stage):
    t = stage.spawn("/bin/sh", "-c", f"{TTYLOCK} run -- {CRASH} segv; echo \"status $?\"; {CRASH} wait")
    b = t.banner()
    agent, = [p for p in stage.named("ttylock") if p != helper_of(stage, b["pid"])]
    os.kill(agent, signal.SIGKILL)
    t.expect("status 137\r\n")
    t.expect(r"ready (\d+)\r\n")
    t.sendline("info inferiors")
    t.expect(rf"process {b['pid']}")
    t.expect(PROMPT)
    t.quit()
    until(lambda: t.is_sane() and stage.requests() == (None, []), "the terminal is given back")
    t.sendintr()
    assert t.finish() == 130


main()
