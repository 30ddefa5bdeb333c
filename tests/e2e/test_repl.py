"""A process that talks to the person itself: examples/repl, and the calls beneath it."""
import os
import signal
import termios

from harness import BUILD, TTYLOCK, is_alive, main, proc_stat, test, until, until_key_awaited
from puppet import Puppet

REPL = os.path.join(BUILD, "examples/repl")
PROMPT = r"worker (\d)> "
MINE = r"Ctrl-C kept back: this process has the terminal\r*\n"


def settings(t):
    return termios.tcgetattr(t.child_fd)


def until_reading(p):
    """Waits until that process is in a read of its standard input."""
    def look():
        with open(f"/proc/{p.pid}/syscall") as f:
            return f.read().split()[:2] == ["0", "0x0"]
    until(look, "a process that reads")


def at_prompt(t, n):
    """The worker's number from its prompt: nobody else's may be on the screen."""
    t.expect(PROMPT)
    number = t.match[1]
    assert n is None or number == n, f"worker {number} at the prompt of {n}"
    return number


def interrupt(t, pid, n):
    """Ctrl-C at that worker's prompt: it is kept back, and the prompt is there again."""
    until_key_awaited(pid)
    t.sendintr()
    t.expect(MINE)
    at_prompt(t, n)


def line(t, typed, n):
    t.sendline(typed)
    at_prompt(t, n)
    return t.before


def talk_to_three(stage, interrupts):
    t = stage.spawn(REPL, "3")
    served = []
    for _ in range(3):
        n = at_prompt(t, None)
        served.append(n)
        holder, waiters = stage.until_waiting(3 - len(served))
        assert t.foreground() == os.getpgid(holder["pid"]) != t.pid
        assert not {os.getpgid(w["pid"]) for w in waiters} & {t.foreground()}
        for _ in range(interrupts):
            interrupt(t, holder["pid"], n)
        assert f"\n{n}\r" in line(t, "n", n)
        assert "\n42\r" in line(t, "sum 40 2", n)
        t.sendline("quit")
    assert sorted(served) == ["1", "2", "3"]
    t.expect(r"all workers have ended, 0 badly\r*\n")
    assert t.is_sane()
    assert t.finish() == 0


@test
def three_workers_one_prompt_at_a_time(stage):
    talk_to_three(stage, 0)


@test
def three_workers_and_ctrl_c(stage):
    talk_to_three(stage, 2)


@test
def ctrl_c_in_the_middle_of_a_line(stage):
    t = stage.spawn(REPL, "1")
    at_prompt(t, "1")
    t.send("sum 1 ")
    t.expect("sum 1 ")
    interrupt(t, stage.requests()[0]["pid"], "1")
    assert "\n42\r" in line(t, "sum 40 2", "1"), "the half line is gone"
    t.sendline("quit")
    assert t.finish() == 0


@test
def below_a_tree(stage):
    t = stage.run(REPL, "2")
    for left in (1, 0):
        n = at_prompt(t, None)
        holder, _ = stage.until_waiting(left)
        interrupt(t, holder["pid"], n)
        t.sendline("quit")
    assert t.finish() == 0


@test
def one_killed_at_its_prompt(stage):
    t = stage.spawn(REPL, "2")
    first = at_prompt(t, None)
    holder, _ = stage.until_waiting(1)
    assert not t.is_sane(), "readline has its own settings"
    os.kill(holder["pid"], signal.SIGKILL)
    second = at_prompt(t, None)
    assert second != first
    assert "\n42\r" in line(t, "sum 40 2", second)
    t.sendline("quit")
    t.expect(r"all workers have ended, 1 badly\r*\n")
    assert t.is_sane()
    assert t.finish() == 1


# --- the calls beneath it ----------------------------------------------------

def take(p):
    assert p.ask("open", 0) == "0"
    held = p.acquire()
    assert p.ask("take", 0, held) == "0"
    return held


@test
def everything_is_put_back(stage):
    root = Puppet(stage)
    p = root.fork()
    t = root.terminal
    assert p.ask("raw") == "0"  # a strange state is a state, too
    was, front = settings(t), t.foreground()
    held = take(p)
    assert t.is_sane() and t.foreground() == os.getpgid(p.pid) == p.pid
    assert p.ask("take", 0, held) == "EALREADY"
    assert p.ask("give", 0) == "0"
    assert (settings(t), t.foreground()) == (was, front)
    assert p.ask("give", 0) == "ENOENT"
    assert p.ask("take", 0, held) == "0"
    assert p.ask("release", 0, held) == "0", "its end gives it back as well"
    assert (settings(t), t.foreground(), os.getpgid(p.pid)) == (was, front, root.pid)
    assert p.ask("take", 0, held) == "ENOENT"


@test
def a_child_does_not_give_back_what_its_parent_took(stage):
    root = Puppet(stage)
    p = root.fork()
    held = take(p)
    t = root.terminal
    was, front = settings(t), t.foreground()
    child = p.fork()
    for command in (("give", 0), ("release", 0, held), ("cancel", 0, held), ("close", 0)):
        child.ask(*command)
        assert (settings(t), t.foreground()) == (was, front), command
    assert p.ask("status", 0, held) == "2"
    assert p.ask("give", 0) == "0"


def check_sibling(stage, root, reader, repl):
    """Scenario 22: who was in a read gets nothing of what is typed for another."""
    reader.begin("read")
    until_reading(reader)
    held = take(repl)
    repl.begin("read")
    until_reading(repl)
    root.terminal.sendline("for the prompt")
    got = repl.answer()
    assert got == "for the prompt", got
    assert reader.is_waiting()
    assert repl.ask("release", 0, held) == "0"
    root.terminal.sendline("for the sibling")
    assert reader.answer() == "for the sibling"


@test
def a_sibling_in_a_read_gets_nothing(stage):
    root = Puppet(stage)
    check_sibling(stage, root, root.fork(), root.fork())


@test
def a_sessions_leader_takes_the_terminal(stage):
    root = Puppet(stage)
    child = root.fork()
    assert os.getsid(root.pid) == root.pid
    check_sibling(stage, root, child, root)
    assert os.getpgid(root.pid) == root.pid


@test
def a_groups_leader_takes_the_terminal(stage):
    root = Puppet(stage, argv=("/bin/bash", "-mc", '"$@"; exit', "-"))
    t = root.terminal
    assert os.getpgid(root.pid) == root.pid != os.getsid(root.pid)
    assert t.foreground() == root.pid
    child = root.fork()
    held = take(root)
    assert t.foreground() == os.getpgid(root.pid) != root.pid
    assert os.getpgid(child.pid) == root.pid
    assert root.ask("release", 0, held) == "0"
    assert t.foreground() == os.getpgid(root.pid) == root.pid


@test
def killed_in_raw_mode(stage):
    root = Puppet(stage)
    root.ask("handler", "ignore")
    a, b = root.fork(), root.fork()
    t = root.terminal
    was, front = settings(t), t.foreground()
    take(a)
    a.ask("raw")
    assert not t.is_sane()
    os.kill(a.pid, signal.SIGKILL)
    held = take(b)
    assert t.is_sane() and t.foreground() == os.getpgid(b.pid)
    b.begin("read")
    t.sendline("echo and lines")
    assert b.answer() == "echo and lines"
    b.ask("release", 0, held)
    assert (settings(t), t.foreground()) == (was, front)


@test
def killed_in_raw_mode_and_the_next_one_takes_nothing(stage):
    """It was granted the terminal when it wanted it no more: it is mended by who wants it."""
    root = Puppet(stage)
    root.ask("handler", "ignore")
    a, b, c = root.fork(), root.fork(), root.fork()
    t = root.terminal
    was, front = settings(t), t.foreground()
    take(a)
    a.ask("raw")
    os.kill(a.pid, signal.SIGKILL)
    assert b.ask("open", 0) == "0"
    assert b.ask("release", 0, b.acquire()) == "0"
    assert not t.is_sane()
    held = take(c)
    assert t.is_sane() and t.foreground() == os.getpgid(c.pid)
    c.ask("release", 0, held)
    assert (settings(t), t.foreground()) == (was, front)


def until_each_has_its_line(root, holder, held, reader):
    """The holder in its turn, and the reader beside it afterwards."""
    holder.begin("read")
    until_reading(holder)
    root.terminal.sendline("for the prompt")
    assert holder.answer() == "for the prompt"
    holder.ask("release", 0, held)
    root.terminal.sendline("for the reader")
    got = reader.answer()
    assert got == "for the reader", got


@test
def a_reader_beside_the_one_that_was_killed_reads_on(stage):
    """Below `ttylock run`; in an orphaned group its read would fail with EIO, as
    the kernel has it for all in the background there."""
    root = Puppet(stage, argv=(TTYLOCK, "run", "--"))
    reader, a, b = root.fork(), root.fork(), root.fork()
    reader.begin("read")
    until_reading(reader)
    take(a)
    os.kill(a.pid, signal.SIGKILL)
    held = take(b)
    until_each_has_its_line(root, b, held, reader)
    assert is_alive(root.pid) and proc_stat(root.pid)[0] != "T"


def check_stopped_waiter(stage, *argv):
    """Its whole group is stopped for the reader's sake, with what a killed one has left in
    front; and the waiter is who ends that."""
    root = Puppet(stage, argv=argv)
    reader, a, b = root.fork(), root.fork(), root.fork()
    reader.begin("read")
    until_reading(reader)
    take(a)
    left = a.fork()
    assert os.getpgid(left.pid) == root.terminal.foreground()
    assert b.ask("open", 0) == "0"
    b.begin_acquire()
    stage.until_waiting(1)
    os.kill(a.pid, signal.SIGKILL)
    held = b.answer()
    assert b.ask("take", 0, held) == "0"
    until(lambda: not is_alive(left.pid), "the end of what was left")
    until_each_has_its_line(root, b, held, reader)


@test
def a_waiter_that_was_stopped_gets_its_turn_from_one_that_was_killed(stage):
    check_stopped_waiter(stage, TTYLOCK, "run", "--")


@test
def the_same_under_a_shell(stage):
    check_stopped_waiter(stage, "/bin/bash", "-mc", f'{TTYLOCK} run -- "$@"; exit', "-")


main()
