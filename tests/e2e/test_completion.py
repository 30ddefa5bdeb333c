"""Completion: each shell is offered the commands and options that ttylock's own
help lists, all of them and no other; and they are used as a person would."""
import shutil

from harness import *

GENERATE = os.path.join(ROOT, "client/shell/completions/generate.py")


def generated(stage, name):
    directory = stage.path("completions")
    if not os.path.isdir(directory):
        out = subprocess.run([sys.executable, GENERATE, TTYLOCK, directory], env=stage.env,
                             capture_output=True, text=True, timeout=60)
        assert out.returncode == 0, out.stderr
    return os.path.join(directory, name)


def read(path):
    with open(path) as f:
        return f.read()


def commands_of(stage):
    found = re.findall(r"^  ([a-z][a-z-]*) +\S", stage.ttylock("--help").stdout, re.M)
    assert "run" in found and "status" in found, found
    return found


def options_of(stage, command):
    """A list for each option of the command's help: its names."""
    lines = re.findall(r"^ {2,}(-.*)", stage.ttylock(command, "--help").stdout, re.M)
    options = [re.findall(r"(?<![\w-])(-\w\b|--[a-z][a-z-]*)", re.split(r" {2,}", line)[0])
               for line in lines]
    return [names for names in options if "--help" not in names] + [["-h", "--help"]]


def same(what, offered, real):
    lacks, invents = set(real) - set(offered), set(offered) - set(real)
    assert not lacks and not invents, (
        f"{what}: not offered: {sorted(lacks) or '-'}; offered, but unknown: {sorted(invents) or '-'}")


def for_all_commands(stage, offered):
    """Compares offered(command) with the names of that command's options."""
    for command in commands_of(stage):
        same(f"ttylock {command}", offered(command),
             [name for names in options_of(stage, command) for name in names])


# --- bash ---------------------------------------------------------------------

def bash(stage, *words, env=None):
    """What is offered for the last of the words."""
    script = ('source "$1"; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _ttylock; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    out = subprocess.run(["/bin/bash", "-c", script, "bash", generated(stage, "ttylock.bash"), "ttylock",
                          *words], env={**stage.env, "PATH": BUILD + ":" + stage.env["PATH"],
                                        **(env or {})},
                         cwd=stage.dir, capture_output=True, text=True, timeout=TIMEOUT)
    assert out.returncode == 0 and not out.stderr, out.stderr
    return out.stdout.split()


@test
def bash_is_offered_all_commands(stage):
    same("ttylock", bash(stage, ""), commands_of(stage) + ["--help", "--version"])
    assert bash(stage, "stat") == ["status"]
    assert bash(stage, "nosuch", "") == []


@test
def bash_is_offered_all_options(stage):
    for command in commands_of(stage):
        real = [names[-1] for names in options_of(stage, command)]
        same(f"ttylock {command}", bash(stage, command, "-"), real)
    assert bash(stage, "exec", "--why", "x", "--non") == ["--nonblock"]


@test
def bash_offers_nothing_for_a_free_value(stage):
    for before in (["-w"], ["--timeout"], ["--timeout", "="], ["-n", "--why"]):
        assert bash(stage, "exec", *before, "") == [], before


def columns_of(stage):
    return re.findall(r"^  ([A-Z]+) +\S", stage.ttylock("status", "--help").stdout, re.M)


@test
def bash_completes_columns(stage):
    same("status -o", bash(stage, "status", "-o", ""), columns_of(stage))
    assert bash(stage, "status", "--output", "=", "TERM") == ["TERMINAL"]
    assert bash(stage, "status", "-o", "ID,REA") == ["ID,REASON"]
    assert bash(stage, "status", "-o", "+US") == ["+USER"]


@test
def bash_completes_the_program_and_its_arguments(stage):
    stage.write("arguments.txt", "", 0o644)
    path = {"PATH": stage.dir}  # so that there is one program alone
    stage.write("a-program", "#!/bin/sh\n")
    for before in (["run"], ["run", "--"], ["exec", "-w", "5"], ["exec", "--timeout", "=", "5", "--"]):
        assert bash(stage, *before, "a-pro", env=path) == ["a-program"], before
        assert bash(stage, *before, "a-program", "arg", env=path) == ["arguments.txt"], before
    # Its options are its own affair.
    assert "--help" not in bash(stage, "run", "a-program", "--h", env=path)
    assert "--help" not in bash(stage, "run", "--", "--h", env=path)


@test
def bash_knows_processes_and_requests(stage):
    assert str(os.getpid()) in bash(stage, "debug", str(os.getpid()))
    assert str(os.getpid()) in bash(stage, "dump", "-w", "3", "")
    stage.spawn(TTYLOCK, "exec", "sleep", "1000")
    holder = until(lambda: stage.requests()[0], "a holder")
    out = subprocess.run(["/bin/bash", "-c", 'source "$1"; _ttylock_ids', "bash",
                          generated(stage, "ttylock.bash")],
                         env={**stage.env, "PATH": BUILD + ":" + stage.env["PATH"]},
                         capture_output=True, text=True, timeout=TIMEOUT)
    assert out.stdout.split() == [str(holder["id"])], out


# --- zsh ----------------------------------------------------------------------

@test
def zsh_is_offered_all_commands_and_options(stage):
    text = read(generated(stage, "_ttylock"))
    same("ttylock", re.findall(r"^\t\t'([a-z][a-z-]*):", text, re.M), commands_of(stage))
    cases = dict(re.findall(r"^\t([a-z][a-z-]*)\)\n(.*?)\n\t\t;;", text, re.M | re.S))
    same("ttylock", cases, commands_of(stage))
    for_all_commands(stage, lambda command: re.findall(r"\)(--?[\w-]+)[=+]?\[", cases[command]))


@test
def zsh_completes(stage):
    if not shutil.which("zsh"):
        raise Skip("no zsh")
    completions = os.path.dirname(generated(stage, "_ttylock"))
    subprocess.run(["zsh", "-n", generated(stage, "_ttylock")], check=True, timeout=TIMEOUT)
    t = stage.spawn("zsh", "-f", "-i", env={"PATH": BUILD + ":" + stage.env["PATH"]})
    t.sendline(f"PS1='zs''h> '; fpath=({completions} $fpath); autoload -Uz compinit; compinit -u -D")
    t.expect("zsh> ")
    for typed, whole in (("ttylock stat\t", "status "), ("ttylock exec --nonb\t", "--nonblock "),
                         ("ttylock status -o ID,REA\t", "ID,REASON")):
        t.send(typed)
        t.expect(re.escape(whole))
        t.send("\x15")  # Ctrl-U: the line is empty again
    t.sendline("exit")
    t.expect(pexpect.EOF)


# --- fish ---------------------------------------------------------------------

@test
def fish_is_offered_all_commands_and_options(stage):
    lines = read(generated(stage, "ttylock.fish")).splitlines()
    first = [line for line in lines if line.startswith("complete -c ttylock -n '__ttylock_in' ")]
    same("ttylock", [m[1] for m in map(re.compile(r".* -a ([a-z][a-z-]*) ").match, first) if m],
         commands_of(stage))

    def offered(command):
        for line in lines:
            where, _, rest = line.partition(f"complete -c ttylock -n '__ttylock_in {command}'")
            if rest and not where:
                flags = re.split(r" -[da] ", rest)[0]
                yield from ("-" + name for name in re.findall(r" -s (\w)", flags))
                yield from ("--" + name for name in re.findall(r" -l (\S+)", flags))

    for_all_commands(stage, offered)


@test
def fish_completes(stage):
    if not shutil.which("fish"):
        raise Skip("no fish")

    def fish(line):
        out = subprocess.run(["fish", "--no-config", "-c", f"source {generated(stage, 'ttylock.fish')}; "
                              'complete -C "$argv[1]"', line],
                             env={**stage.env, "PATH": BUILD + ":" + stage.env["PATH"]},
                             cwd=stage.dir, capture_output=True, text=True, timeout=TIMEOUT)
        assert out.returncode == 0 and not out.stderr, out.stderr
        return [found.split("\t")[0] for found in out.stdout.splitlines()]

    same("ttylock", fish("ttylock "), commands_of(stage))
    for command in commands_of(stage):
        real = [name for names in options_of(stage, command) for name in names if name[:2] == "--"]
        same(f"ttylock {command}", [o.rstrip("=") for o in fish(f"ttylock {command} --")
                                    if o.startswith("--")], real)
    assert "ID,REASON" in fish("ttylock status -o ID,REA")
    assert "sleep" in fish("ttylock run slee")
    assert "sleep" in fish("ttylock exec -w 5 slee")


main()
