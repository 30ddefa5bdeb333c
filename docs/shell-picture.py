"""Makes docs/shell.svg: `ttylock shell` beside a tree whose workers crash.

    /usr/bin/python3 docs/shell-picture.py [BUILD [FILE]]

Runs the real thing on two pseudo terminals, types at the shell's, and draws
what its screen then shows. Pids and terminals are those of that run.
"""
import html
import os
import re
import shutil
import signal
import sys
import tempfile
import time

import pexpect
import pyte

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COLUMNS, ROWS = 100, 30
DEADLINE_S = 20
CELL_W, CELL_H, MARGIN = 8.4, 18, 14


class Window:
    def __init__(self, argv, env):
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.Stream(self.screen)
        self.child = pexpect.spawn(argv[0], argv[1:], env=env, dimensions=(ROWS, COLUMNS),
                                   encoding="utf-8", codec_errors="replace")
        self.child.delaybeforesend = None
        self.shown = ""  # since the last keys

    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def read_until(self, condition, what):
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit(f"no {what!r} on the screen:\n" + "\n".join(self.lines()))
            try:
                text = self.child.read_nonblocking(4096, 0.05)
            except pexpect.TIMEOUT:
                continue
            self.shown += text
            self.stream.feed(text)

    def wait(self, pattern):
        """Reads until the line of the cursor matches."""
        self.read_until(
            lambda: re.search(pattern, self.lines()[self.screen.cursor.y] + " "), pattern)

    def type(self, keys, pattern):
        self.shown = ""
        self.child.send(keys)
        # The prompt that stands there is not the one after the line.
        if keys.endswith("\r"):
            self.read_until(lambda: "\n" in self.shown, keys)
        self.wait(pattern)

    def close(self):
        self.child.close(force=True)


def drive(build, env):
    """What the person sees in the end, as lines."""
    shell = Window([os.path.join(build, "ttylock"), "shell"], env)
    tree = None
    try:
        shell.wait(r"\(no daemon\)> $")
        tree = Window([os.path.join(build, "ttylock"), "run", "--",
                       os.path.join(build, "examples/tree")], env)
        tree.wait(r"\(gdb\) $")
        shell.wait(r": tree \d+, 2 wait\)> $")
        shell.type("sta\t\r", r", 2 wait\)> $")
        shell.type("help status\r", r", 2 wait\)> $")
        shell.type("debug --", "--")
        # The first one is done with: the prompt changes under what is typed.
        tree.type("quit\r", r"\(y or n\) $")
        tree.type("y\r", r"\(gdb\) $")
        shell.wait(r": tree \d+, 1 wait\)> debug --$|: tree \d+, 1 wait\)> debug -- $")
        shell.type("\x03", r", 1 wait\)> $")
        shell.type("status\r", r", 1 wait\)> $")
        return shell.lines(), shell.screen.cursor
    finally:
        if tree:
            tree.close()
        shell.close()


def draw(lines, cursor):
    last = max(i for i, line in enumerate(lines) if line)
    width = COLUMNS * CELL_W + 2 * MARGIN
    height = (last + 1) * CELL_H + 2 * MARGIN
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
           f'width="{width:g}" height="{height:g}">',
           "<title>ttylock shell</title>",
           f'<rect width="{width:g}" height="{height:g}" rx="6" fill="#1c1f26"/>',
           '<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14" '
           'fill="#d7dae0" xml:space="preserve">']
    for i, line in enumerate(lines[:last + 1]):
        if not line:
            continue
        y = MARGIN + (i + 1) * CELL_H - 5
        prompt = re.match(r"ttylock \(.*?\)> ?", line)
        text = html.escape(line, quote=False)
        if prompt:
            text = (f'<tspan fill="#7fb4ff">{html.escape(prompt[0], quote=False)}</tspan>'
                    + html.escape(line[prompt.end():], quote=False))
        out.append(f'<text x="{MARGIN}" y="{y:g}" textLength="{len(line) * CELL_W:g}" '
                   f'lengthAdjust="spacingAndGlyphs">{text}</text>')
    out.append(f'<rect x="{MARGIN + cursor.x * CELL_W:g}" y="{MARGIN + cursor.y * CELL_H:g}" '
               f'width="{CELL_W:g}" height="{CELL_H:g}" fill="#d7dae0" opacity="0.7"/>')
    return "\n".join(out + ["</g>", "</svg>", ""])


def end_leftovers(place):
    """What still has our runtime directory: a tree that waits to be debugged."""
    mark = f"XDG_RUNTIME_DIR={place}".encode()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                if mark in f.read().split(b"\0"):
                    os.kill(int(pid), signal.SIGKILL)
        except OSError:
            pass


def main():
    build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build"))
    target = sys.argv[2] if len(sys.argv) > 2 else os.path.join(ROOT, "docs/shell.svg")
    place = tempfile.mkdtemp(prefix="ttylock-picture-")
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": place, "LANG": "C.UTF-8",
           "TERM": "xterm", "XDG_RUNTIME_DIR": place}
    for passed in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        if passed in os.environ:
            env[passed] = os.environ[passed]
    try:
        picture = draw(*drive(build, env))
    finally:
        end_leftovers(place)
        shutil.rmtree(place, ignore_errors=True)
    with open(target, "w") as f:
        f.write(picture)


main()
