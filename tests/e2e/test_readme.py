"""The README's commands, each of them run as it stands there."""
import os
import re
import subprocess

import pexpect
from harness import BUILD, PROMPT, ROOT, main, test

with open(os.path.join(ROOT, "README.md")) as f:
    README = f.read()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


def commands(block):
    """(command, comment) of each line of a shell block."""
    for line in block.splitlines():
        command, _, comment = line.partition(" #")
        yield command.strip(), comment.strip()


def shell_env(stage):
    return {"PATH": BUILD + ":" + stage.env["PATH"], "PS1": "shell> "}


def interactive(stage):
    t = stage.spawn("/bin/bash", "--norc", "-i", env=shell_env(stage), cwd=ROOT)
    t.expect("shell> ")
    return t


@test
def the_first_session(stage):
    block = blocks("console")[0]
    command = re.match(r"\$ (.*)", block)[1]
    t = interactive(stage)
    t.sendline(command)
    # What the README shows, each with numbers of its own.
    for line in re.findall(r"^(?:ttylock: crash.*|Program received.*)", block, re.M)[:2]:
        assert re.match(r"ttylock: crash: tree \(pid \d+\): SIGSEGV \(Segmentation fault\); "
                        r"\d more waits?|Program received signal SIGSEGV, Segmentation fault.", line)
    typed = [re.search(p, block)[1] for p in (r"\(gdb\) (\w+)", r"\(y or n\) (\w)")]
    died = []
    for _ in range(3):
        b = t.banner()
        assert b["comm"] == "tree"
        t.sendline(typed[0])
        t.expect(r"Quit anyway\? \(y or n\) ")
        t.sendline(typed[1])
        died.append(rf"worker \d \(pid {b['pid']}\): killed by {b['signal']}")
    t.expect("shell> ")
    # Each perhaps after the next one's banner.
    assert all(re.search(line, t.shown) for line in died), (died, t.shown)


@test
def the_status_from_a_second_terminal(stage):
    header = blocks("console")[1].splitlines()[1]
    t = interactive(stage)
    t.sendline("ttylock run -- build/examples/tree")
    t.banner()
    stage.until_waiting(2)
    out = stage.ttylock("status").stdout.splitlines()
    assert out[0].split() == header.split(), out[0]
    assert [line.split()[2] for line in out[1:]] == ["holds", "1", "2"], out


@test
def the_commands_to_use_it(stage):
    """Each as it stands, but for the names of files and processes."""
    sleeper = subprocess.Popen(["/bin/sleep", "1000"])
    stage.pids.add(sleeper.pid)
    stage.write("Makefile", "check:\n\t@echo checked\n", 0o644)
    expected = {
        "ttylock run -- make -j8 check": "checked",
        "ttylock run -- sh -c 'exit 7'": None,
        "ttylock status": "no terminal is held",
        "ttylock status --json": '"terminals"',
        "ttylock debug 4711": PROMPT,
        "ttylock exec -- vim notes": "~",
        "ttylock exec -n -- true": None,
        "ttylock trace -o t.json -- make check": "checked",
        "ttylock dump 4711": r"sleep \(pid \d+\)",
    }
    (block,) = [b for b in blocks("sh") if "ttylock run" in b]
    found = [c for c, _ in commands(block)]
    assert found == list(expected), "a command of the README has no test here"
    try:
        for command in found:
            t = stage.spawn("/bin/bash", "-c",
                            command.replace("4711", str(sleeper.pid)).replace("vim ", "vim.tiny "),
                            env={**shell_env(stage), "TERM": "vt100"})
            if expected[command]:
                t.expect(expected[command])
            if "vim" in command:
                t.send(":q!\r")
            elif "debug" in command:
                t.quit()
            assert t.finish() == (7 if "exit 7" in command else 0), command
    finally:
        sleeper.kill()
        sleeper.wait()


@test
def the_two_commands_are_targets(stage):
    (block,) = [b for b in blocks("sh") if "make demo" in b]
    for command, _ in commands(block):
        dry = subprocess.run([*command.split(), "-n"], cwd=ROOT, capture_output=True, timeout=60)
        assert dry.returncode == 0, command
    # `make check` runs this; the demo's own work is its script.
    out = subprocess.run(["/usr/bin/python3", "examples/demo.py", f"{ROOT}/build"], cwd=ROOT, text=True,
                         stdin=subprocess.DEVNULL, capture_output=True, timeout=100,
                         env={**stage.env, "PATH": stage.env["PATH"]}, start_new_session=True)
    assert out.returncode == 0, out.stdout + out.stderr
    assert out.stdout.count("ttylock: crash: tree") == 3
    assert "three crashes, three debuggers, one at a time" in out.stdout


@test
def the_demo_at_a_terminal(stage):
    t = stage.spawn("/usr/bin/python3", f"{ROOT}/examples/demo.py", f"{ROOT}/build", cwd=ROOT)
    first = t.banner()
    stage.until_waiting(2)
    skipped = t.gdb("shell ttylock skip")
    alike = 1 if first["signal"] == "SIGSEGV" else 0
    assert (f"{alike} cancelled" if alike else "nobody waits for that reason") in skipped, skipped
    t.quit()
    for _ in range(2 - alike):
        t.banner()
        t.quit()
    assert t.finish() == 0
    assert t.shown.endswith("demo: the tree has ended with status 1, as it would without ttylock\r\n")


def build(stage, name, text):
    source, program = stage.write(name + ".c", text, 0o644), stage.path(name)
    subprocess.run(["gcc", "-g", "-Wall", "-Werror", "-I", f"{ROOT}/client/include", "-o", program,
                    name + ".c", f"-L{ROOT}/build", "-lttylock", f"-Wl,-rpath,{ROOT}/build"],
                   check=True, timeout=60, cwd=os.path.dirname(source))
    return program


@test
def the_breakpoint(stage):
    t = stage.spawn(build(stage, "rounds", blocks("c")[0]))
    shown = blocks("console")[2].splitlines()
    for i, line in enumerate(shown):
        if line.startswith("(gdb) "):
            t.expect(PROMPT)
            t.sendline(line[6:])
        else:
            t.expect(re.escape(line).replace("4711", r"\d+"))
    t.expect(pexpect.EOF)
    t.wait()
    assert t.exitstatus == 0


@test
def the_program(stage):
    program = build(stage, "keep", blocks("c")[1])
    t = stage.spawn("/bin/sh", "-c", f"{program} & {program} & wait")
    for answer in ("this", "that"):
        t.expect("keep which\\? ")
        stage.until_waiting(1 if answer == "this" else 0)
        t.sendline(answer)
        t.expect(f"kept {answer}")
    t.expect(pexpect.EOF)


@test
def the_variables(stage):
    for name in re.findall(r"^\| `(TTYLOCK_\w+)", README, re.M):
        found = subprocess.run(["grep", "-rlw", name, "client"], cwd=ROOT, capture_output=True,
                               text=True, timeout=30)
        assert found.stdout, f"{name} is in the README and nowhere in the code"
    t = stage.run(f"{ROOT}/build/tests/programs/crash", "segv",
                  env={"TTYLOCK_DEBUGGER": "echo debugger of %p %e"})
    t.expect(r"debugger of \d+ \S+/crash")
    assert t.finish() == 139


main()
