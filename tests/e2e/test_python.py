"""breakpoint() in the processes of a Python program: examples/ttylock_pdb.py.

The library is always that of build/, for Debian's python cannot load one with sanitizers;
the daemon is the build's that is tested.
"""
import os
import re
import signal

from harness import ROOT, main, test, until_key_awaited

PYTHON = "/usr/bin/python3"
PDB = r"\(Pdb\) "
BREAKPOINT = r"ttylock: breakpoint: python \(pid (\d+)\): (\S+)\r*\n"
WORK = """
def work(n):
    total = n * 10
    breakpoint()
    total += 1
    return total
"""
POOL = """
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.get_context("{how}").Pool(3) as pool:
        print("sum", sum(pool.map(work, [1, 2, 3], 1)))
"""
THREADS = """
import concurrent.futures
with concurrent.futures.ThreadPoolExecutor(3) as pool:
    print("sum", sum(pool.map(work, [1, 2, 3])))
"""


def serve(stage):
    if not stage.daemon_pid():
        stage.serve()


def python(stage, text, *after, wrapper=(), env=()):
    """A program under a shell, as a person starts it; after: redirections."""
    serve(stage)
    program = stage.write("program.py", text, 0o644)
    env = {"PYTHONPATH": f"{ROOT}/examples", "PYTHONBREAKPOINT": "ttylock_pdb.set_trace",
           "PYTHONDONTWRITEBYTECODE": "1", **dict(env)}
    return stage.spawn(*wrapper, "/bin/sh", "-c", " ".join([PYTHON, program, *after]), env=env)


def at_breakpoint(t):
    """The pid of the next one that stops, whose prompt is the only one."""
    t.expect(BREAKPOINT)
    pid, where = int(t.match[1]), t.match[2]
    assert where == "program.py:5", where
    t.expect(PDB)
    assert not re.search(BREAKPOINT, t.before)
    return pid


def pdb(t, command):
    t.sendline(command)
    t.expect(PDB)
    assert not re.search(BREAKPOINT, t.before), "another one came to the prompt"
    return t.before


def three_in_turn(stage, t, threads=False):
    numbers, pids = set(), set()
    for left in (2, 1, 0):
        pid = at_breakpoint(t)
        holder, _ = stage.until_waiting(left)
        assert holder["pid"] == pid and holder["reason"] == "breakpoint"
        assert holder["text"] == "program.py:5"
        if not threads:  # Ctrl-C reaches the one at the prompt, and ends nobody
            until_key_awaited(pid)
            t.sendintr()
            t.expect("--KeyboardInterrupt--")
            t.expect(PDB)
        elif left == 2:  # the third of these within two seconds would be passed on
            t.sendintr()
            t.expect("Ctrl-C kept back: this process has the terminal")
        numbers.add(re.search(r"\((\d), (\d+)\)", pdb(t, "p n, total"))[1])
        assert "return total" in pdb(t, "next"), "whoever steps keeps the terminal"
        pids.add(pid)
        t.sendline("continue")
    t.expect("sum 63")
    assert t.finish() == 0
    assert numbers == {"1", "2", "3"}
    assert len(pids) == (1 if threads else 3)
    assert t.is_sane()


@test
def forked_workers(stage):
    three_in_turn(stage, python(stage, WORK + POOL.format(how="fork")))


@test
def spawned_workers_have_no_stdin(stage):
    three_in_turn(stage, python(stage, WORK + POOL.format(how="spawn")))


@test
def threads_of_one_process(stage):
    three_in_turn(stage, python(stage, WORK + THREADS), threads=True)


@test
def what_is_redirected_stays_so(stage):
    t = python(stage, WORK + "print('result', work(4))", "< /dev/null > out 2> err")
    at_breakpoint(t)
    assert "40" in pdb(t, "p total")
    t.sendline("continue")
    assert t.finish() == 0
    with open(stage.path("out")) as out, open(stage.path("err")) as err:
        assert out.read() == "result 41\n"
        assert err.read() == ""


@test
def keys_that_edit(stage):
    """readline's: up brings the last command back."""
    t = python(stage, WORK + "work(4)", env={"TERM": "vt100"})
    at_breakpoint(t)
    assert "41" in pdb(t, "p total + 1")
    t.send("\x1b[A\r")
    t.expect(PDB)
    assert "p total + 1" in t.before and "41" in t.before
    t.sendline("continue")
    assert t.finish() == 0


@test
def the_command_of_the_readme(stage):
    with open(f"{ROOT}/README.md") as f:
        (command,) = re.findall("^PYTHON.*", f.read(), re.M)
    serve(stage)
    program = stage.write("program.py", WORK + "print('result', work(4))", 0o644)
    t = stage.spawn("/bin/sh", "-c", command.replace("program.py", program), cwd=ROOT,
                    env={"PYTHONDONTWRITEBYTECODE": "1"})
    at_breakpoint(t)
    t.sendline("continue")
    t.expect("result 41")
    assert t.finish() == 0


@test
def killed_at_the_prompt(stage):
    """The next one has its turn, and a terminal in order."""
    t = python(stage, WORK + """
import os
if os.fork() and os.fork():
    for _ in range(2):
        print("ended", os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
else:
    os._exit(work(3))
""")
    first = at_breakpoint(t)
    stage.until_waiting(1)
    os.kill(first, signal.SIGKILL)
    assert at_breakpoint(t) != first
    assert "30" in pdb(t, "p total")
    t.sendline("continue")
    t.expect("ended 31")
    assert t.shown.count("ended -9") == 1  # anywhere: its parent may be slower than the next one
    assert t.finish() == 0
    assert t.is_sane()


@test
def without_a_terminal_it_goes_on(stage):
    t = python(stage, WORK + "print('result', work(4))", "< /dev/null > out 2> err",
               wrapper=["/usr/bin/setsid", "-w"])
    assert t.finish() == 0
    with open(stage.path("out")) as out, open(stage.path("err")) as err:
        assert out.read() == "result 41\n"
        said = err.read()
        assert re.fullmatch(r"ttylock: no debugger for pid \d+ at \S+program.py:4: "
                            r"\[Errno 25\] Inappropriate ioctl for device\n", said), said


main()
