"""Test programs that are linked with libttylock, and what their breakpoints show."""
from harness import *

BREAKPOINT = (r"ttylock: breakpoint: ([^\r\n]+) \(pid (\d+)\): (\S+?):(\d+)(?:: ([^\r\n]*))?; "
              r"(\w+) (?:more|else) waits?\r*\n")
ANY_BANNER = r"ttylock: (?:breakpoint|crash|debug): [^\r\n]+ waits?\r*\n"
AT_TRAP = r"received signal SIGTRAP, Trace/breakpoint trap\.\r\n(?:\[Switching[^\r\n]*\r\n)?"


def plain_library():
    """Where a libttylock.so is that programs without a sanitizer can load."""
    undefined = subprocess.run(["nm", "-D", "--undefined-only", os.path.join(BUILD, "libttylock.so")],
                               capture_output=True, text=True, check=True, timeout=TIMEOUT).stdout
    return os.path.join(ROOT, "build") if "__asan_init" in undefined else BUILD


def compiled(stage, source, compiler="gcc", flags=("-O0",)):
    library = plain_library()
    program = stage.path("paused")
    if os.path.exists(program):
        return program
    subprocess.run([compiler, "-std=gnu11", "-g", *flags, "-Wall", "-Wextra", "-Werror",
                    "-D_GNU_SOURCE", "-I", os.path.join(ROOT, "client/include"), "-o", program,
                    source, "-L", library, "-lttylock", "-Wl,-rpath," + library, "-pthread"],
                   check=True, timeout=60)
    stage.env["TTYLOCK_HELPER"] = TTYLOCK
    return program


def line_of(name, source):
    with open(source) as f:
        lines = f.read().split("\n")
    return 1 + next(i for i, line in enumerate(lines) if f"here: {name} */" in line)


def pause(t):
    """Waits for the next breakpoint's banner and gdb's prompt at that line."""
    t.expect(BREAKPOINT)
    m = t.match
    assert not re.search(PROMPT, t.before), "a prompt without a banner"
    t.expect(PROMPT)
    assert not re.search(ANY_BANNER, t.before), "two banners above one prompt"
    assert re.search(AT_TRAP + rf"\S+ in \w+ \([^\r\n]*\) at {re.escape(m[3])}:{m[4]}\r\n", t.before), t.before
    for _ in range(t.interrupts):
        t.interrupt()
    return {"comm": m[1], "pid": int(m[2]), "file": m[3], "line": int(m[4]), "text": m[5],
            "waiting": 0 if m[6] == "nobody" else int(m[6])}


def leave(t):
    """Continues: gdb detaches and ends by itself (else the next pause() finds its prompt). The
    program runs on at once, so gdb's last line may stand anywhere in its output."""
    t.sendline("continue")


def quit_debugger(t):
    t.sendline("quit")
    t.expect(r"Quit anyway\? \(y or n\) ")
    t.sendline("y")


def banners(t):
    return [int(pid) for pid in re.findall(r"ttylock: \w+: [^\r\n]+? \(pid (\d+)\): [^\r\n]* waits?\r*\n", t.shown)]
