"""make demo: a small tree of processes, three of which crash.

On a terminal it is yours: three debuggers open on it, one at a time. Without
one the same tree runs under a scripted person, whose screen is shown.
"""
import os
import signal
import subprocess
import sys

BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build")
COMMAND = [os.path.join(BUILD, "ttylock"), "run", "--", os.path.join(BUILD, "examples", "tree")]
PROMPT = r"\(gdb\) "


def scripted():
    import pexpect

    print("demo: this needs a terminal to be yours; without one, here is what a person sees:\n",
          flush=True)
    t = pexpect.spawn(COMMAND[0], COMMAND[1:], encoding="utf-8", timeout=60, dimensions=(40, 120),
                      env={**os.environ, "TERM": "dumb"})
    t.logfile_read = sys.stdout
    t.delaybeforesend = None
    for command in ("info locals", "backtrace 3", "backtrace -3"):
        t.expect("ttylock: crash: ")
        t.expect(PROMPT)
        t.sendintr()  # harmless: the prompt comes back
        t.expect("Quit")
        t.expect(PROMPT)
        t.sendline(command)
        t.expect(PROMPT)
        t.sendline("quit")
        t.expect(r"\(y or n\) ")
        t.sendline("y")
    t.expect(pexpect.EOF)
    t.wait()
    print("\ndemo: three crashes, three debuggers, one at a time", flush=True)
    return t.exitstatus


def yours():
    print("demo: three workers of one program crash. Each gets gdb on this terminal, in turn.\n"
          "demo: try 'bt', 'info locals', Ctrl-C; 'quit' (and 'y') goes on to the next,\n"
          "demo: 'shell ttylock skip' lets all others go that crashed alike.\n"
          f"demo: $ ttylock run -- {os.path.relpath(COMMAND[-1])}", flush=True)
    # The keys are the tree's; it ends, and then so does this.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    path = os.path.dirname(COMMAND[0]) + ":" + os.environ.get("PATH", "")
    return subprocess.call(COMMAND, env={**os.environ, "PATH": path},
                           preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


status = yours() if os.isatty(0) and os.isatty(1) else scripted()
if status == 1:
    print("\ndemo: the tree has ended with status 1, as it would without ttylock", flush=True)
sys.exit(0 if status == 1 else status or 1)
