"""ttylock shell, as a person sees it: what is on the screen, key by key."""
import re
import shutil
import signal
import stat

import pexpect
import pyte

from harness import *
from rawclient import HOSTILE_ENTRY, false_daemon

UP, TAB, CTRL_A, CTRL_C, CTRL_D, CTRL_U, CTRL_Z = "\x1b[A", "\t", "\x01", "\x03", "\x04", "\x15", "\x1a"
FREE = r"^ttylock \(free\)> "
ABSENT = r"^ttylock \(no daemon\)> "


class Screen:
    """What a terminal shows, kept by reading what its program writes."""

    def __init__(self, terminal, columns=160):
        self.terminal = terminal
        self.screen = pyte.Screen(columns, 40)
        self.stream = pyte.Stream(self.screen)
        self.fed = 0

    def read(self):
        try:
            self.terminal.read_nonblocking(4096, 0.02)
        except (pexpect.TIMEOUT, pexpect.EOF):
            pass
        self.stream.feed(self.terminal.shown[self.fed:])
        self.fed = len(self.terminal.shown)

    def line(self):
        """The one that the cursor is in, up to its end."""
        return self.screen.display[self.screen.cursor.y].rstrip()

    def text(self):
        return "\n".join(l.rstrip() for l in self.screen.display)

    def has(self, pattern):
        """Waits for the cursor's line, with a blank for its end, to have it."""
        def look():
            self.read()
            return re.search(pattern, self.line() + " ")
        try:
            return until(look, pattern)
        except AssertionError as e:
            raise AssertionError(f"{e}; the screen:\n{self.text()}") from None

    def shows(self, pattern):
        """Waits for it anywhere on the screen."""
        def look():
            self.read()
            return re.search(pattern, self.text(), re.M)
        try:
            return until(look, pattern)
        except AssertionError as e:
            raise AssertionError(f"{e}; the screen:\n{self.text()}") from None

    def until_shown(self, text, since):
        """Waits until its program has written that, behind what was shown before."""
        def look():
            self.read()
            return text in self.terminal.shown[since:]
        until(look, repr(text))

    def types(self, keys, pattern):
        since = len(self.terminal.shown)
        self.terminal.send(keys)
        # The prompt that stands there is not the one after the line.
        if keys.endswith("\r"):
            self.until_shown("\n", since)
        return self.has(pattern)

    def until_cursor_at_end(self):
        """It is where one types; what is read may be half of a redrawn line."""
        def look():
            self.read()
            return self.screen.cursor.x == len(self.line())
        until(look, "the cursor behind the line")


def shell(stage, *args, term="xterm", columns=160, env=None, argv=None):
    """A shell on a terminal of its own, and its screen."""
    # ptyprocess sets the pty's size before the program's start and once more after it.
    gate = stage.path("gate")
    if not os.path.exists(gate):
        os.mkfifo(gate)
    t = stage.spawn("/bin/sh", "-c", ': <"$0"; exec "$@"', gate,
                    *(argv or (TTYLOCK, "shell", *args)), env={"TERM": term, **(env or {})})
    t.setwinsize(40, columns)
    with open(gate, "w"):
        pass
    return t, Screen(t, columns)


def leave(t, s, status=0):
    """From its prompt: what is typed before that is read as a line, where Ctrl-D is no key."""
    s.has(r"> $")
    s.terminal.send(CTRL_D)
    assert t.finish() == status, (t.exitstatus, t.signalstatus)
    assert t.shown.endswith("\r\n") and not t.shown.endswith("\n\r\n"), repr(t.shown[-40:])


def hold(stage, *args):
    """Somebody has a terminal; returns it and the request."""
    t = stage.spawn(TTYLOCK, "exec", *args, "--", "cat")
    def look():
        held = [x["holder"] for x in stage.status()["terminals"] if x["holder"]]
        return [h for h in held if h["pid"] == t.pid]
    return t, until(look, "a holder")[0]


def finish_cat(t):
    t.sendeof()
    assert t.finish() == 0


@test
def alone_on_a_terminal(stage):
    t, s = shell(stage, argv=(TTYLOCK,))
    s.has(ABSENT)
    leave(t, s)
    out = stage.ttylock()
    assert out.returncode == 64 and out.stdout == ""
    assert re.fullmatch(r"ttylock: which command\?[^\n]*\n", out.stderr), out
    out = stage.ttylock("shell", "--frob")
    assert out.returncode == 64 and out.stderr.count("\n") == 1, out
    out = stage.ttylock("shell", "word")
    assert out.returncode == 64 and out.stderr.count("\n") == 1, out


def check_live_prompt(stage, term):
    t, s = shell(stage, term=term)
    s.has(ABSENT)
    s.types("sta", ABSENT + "sta $")
    crashed = stage.run(CRASH, "segv")
    b = crashed.banner()
    s.has(rf"^ttylock \(pts/\d+: crash {b['pid']}, 0 wait\)> sta $")
    s.until_cursor_at_end()
    other, held = hold(stage)
    s.has(rf"^ttylock \(pts/\d+: \w+ \d+, 0 wait; \+1\)> sta $")
    finish_cat(other)
    s.has(rf"^ttylock \(pts/\d+: crash {b['pid']}, 0 wait\)> sta $")
    s.types("tus\r", rf"^ttylock \(pts/\d+: crash {b['pid']}, 0 wait\)>  ?$")
    s.shows(rf"^/dev/pts/\d+ .* {b['pid']} .*SIGSEGV")
    s.types("half a line", "> half a line $")
    crashed.quit()
    assert crashed.finish() == 139
    s.has(FREE + "half a line $")
    s.types(CTRL_A + "not ", FREE + "not half a line $")
    s.types(CTRL_U, FREE + "half a line $")
    assert stage.status()["terminals"] == [], "the shell asks for nothing"
    assert len(re.findall("half a line", s.text())) == 1, "redrawn in place\n" + s.text()
    s.types(CTRL_C, FREE + "$")
    leave(t, s)


@test
def the_prompt_follows_the_locks(stage):
    check_live_prompt(stage, "xterm")


@test
def the_prompt_on_a_dumb_terminal(stage):
    check_live_prompt(stage, "dumb")


@test
def the_number_of_waiters(stage):
    t, s = shell(stage)
    tree = stage.sh(f"{CRASH} segv & {CRASH} abort & {CRASH} fpe & wait")
    for waiting in (2, 1, 0):
        b = tree.banner()
        s.has(rf": crash {b['pid']}, {waiting} wait\)> ")
        tree.quit()
    assert tree.finish() == 0
    s.has(FREE)
    leave(t, s)


@test
def a_holder_below_another_does_not_wait(stage):
    t, s = shell(stage)
    nested = stage.spawn(TTYLOCK, "exec", "--", TTYLOCK, "exec", "--", "cat")
    until(lambda: stage.status()["terminals"] and stage.status()["terminals"][0]["below"],
          "a nested holder")
    top = stage.requests()[0]
    s.has(rf": ttylock {top['pid']}, 0 wait\)> $")
    finish_cat(nested)
    s.has(FREE)
    leave(t, s)


@test
def completion_of_commands_and_options(stage):
    t, s = shell(stage)
    s.has(ABSENT)
    for typed, shown in (("sta", "status"), ("ttylock sta", "ttylock status"),
                         ("help deb", "help debug"), ("exec --no", "exec --nonblock"),
                         ("exec --he", "exec --help"), ("dump --tim", "dump --timeout"),
                         ("exec -- /bin/fals", "exec -- /bin/false"), ("wat", "watch")):
        s.types(typed + TAB, ABSENT + re.escape(shown) + " $")
        s.types("x", ABSENT + re.escape(shown) + " x $")
        s.types(CTRL_U, ABSENT + "$")
    t.send("ex" + TAB + TAB)
    s.shows(r"^exec +exit *$")
    s.types("\x15", ABSENT + "$")
    leave(t, s)


@test
def completion_of_pids_ids_and_terminals(stage):
    holder, held = hold(stage)
    t, s = shell(stage)
    s.has(rf": ttylock {held['pid']}, 0 wait\)> ")
    wanted = [("debug ", held["pid"]), (f"cancel {held['pid'] // 10}", held["pid"]),
              (f"cancel {held['id']}", held["id"]), ("status --pid ", held["pid"])]
    for typed, value in wanted:
        s.types(typed + TAB, rf"> {typed.split()[0]}.* {value} $")
        s.types(CTRL_U, "> $")
    path = stage.status()["terminals"][0]["terminal"]
    s.types("status --tty /dev/" + TAB, f"> status --tty {path} $")
    s.types(CTRL_U, "> $")
    finish_cat(holder)
    s.has(FREE)
    crashed = stage.run(CRASH, "segv")
    subject = crashed.banner()["pid"]
    asker = stage.requests()[0]["pid"]
    s.has(f"crash {subject}, 0 wait")
    for pid in (subject, asker):  # whole, so that nothing but a blank is added
        s.types(f"status --pid {pid}" + TAB + "x", f"> status --pid {pid} x $")
        s.types(CTRL_U, "> $")
    crashed.quit()
    crashed.finish()
    s.has(FREE)
    leave(t, s)


@test
def history_lasts(stage):
    state = stage.path("state")
    for env, path in (({"XDG_STATE_HOME": state}, "state/ttylock/history"),
                      ({}, ".local/state/ttylock/history"),
                      ({"XDG_STATE_HOME": "relative"}, ".local/state/ttylock/history")):
        t, s = shell(stage, env=env)
        s.has(ABSENT)
        s.types("help status\r", ABSENT + "$")
        s.types("help status\r", ABSENT + "$")
        s.types(" help exec\r", ABSENT + "$")
        s.types("help dump\r", ABSENT + "$")
        s.shows("Usage: ttylock dump")
        leave(t, s)
        mode = os.stat(stage.path(path)).st_mode
        assert stat.S_IMODE(mode) == 0o600, oct(mode)
        t, s = shell(stage, env=env)
        s.has(ABSENT)
        s.types(UP, ABSENT + "help dump $")
        s.types(UP, ABSENT + "help status $")
        s.types(CTRL_C, ABSENT + "$")
        leave(t, s)
    with open(stage.path("state/ttylock/history")) as f:
        assert f.read().split("\n") == ["help status", "help dump", ""]
    # One that is too open is closed; one that cannot be kept is no error.
    os.chmod(stage.path("state/ttylock/history"), 0o644)
    t, s = shell(stage, env={"XDG_STATE_HOME": state})
    s.has(ABSENT)
    leave(t, s)
    assert stat.S_IMODE(os.stat(stage.path("state/ttylock/history")).st_mode) == 0o600
    t, s = shell(stage, env={"XDG_STATE_HOME": "/dev/null"})
    s.has(ABSENT)
    s.types("help dump\r", ABSENT + "$")
    s.types(UP, ABSENT + "help dump $")
    s.types(CTRL_U, ABSENT + "$")
    leave(t, s)


@test
def ctrl_c_clears_and_ctrl_d_leaves(stage):
    for term in ("xterm", "dumb"):
        t, s = shell(stage, term=term)
        s.has(ABSENT)
        s.types("some words", ABSENT + "some words $")
        s.types(CTRL_C, ABSENT + "$")
        s.shows(r"> some words\^C$")
        s.types("\x12quo", r"i-search")  # within a search, too
        s.types(CTRL_C, ABSENT + "$")
        s.types("word" + CTRL_D, ABSENT + "word $")
        s.types(CTRL_U, ABSENT + "$")
        leave(t, s)
        assert t.is_sane()


@test
def commands_that_leave(stage):
    for word in ("quit", "exit"):
        t, s = shell(stage)
        s.has(ABSENT)
        t.send(word + "\r")
        assert t.finish() == 0
    t, s = shell(stage)
    s.has(ABSENT)
    os.kill(t.pid, signal.SIGTERM)
    assert t.finish() > 128
    assert t.is_sane()


@test
def half_a_line_is_not_run_when_the_window_closes(stage):
    t, s = shell(stage)
    s.has(ABSENT)
    s.types(f"exec -- touch {stage.path('x')}", "> exec -- touch .*x $")
    pid = t.pid
    t.ptyproc.fileobj.close()
    until(lambda: not is_alive(pid), "the shell's end")
    until(lambda: not stage.named("touch"), "nothing runs")
    assert not os.path.exists(stage.path("x"))


@test
def commands_have_the_terminal(stage):
    t, s = shell(stage)
    s.has(ABSENT)
    t.send("exec --why 'two words' -- sh -c 'echo \"a  b\" c\\ d; cat; exit 3'\r")
    s.shows("^a  b c d$")
    holder = until(lambda: stage.requests()[0], "a holder")
    assert holder["text"] == "two words" and holder["comm"] == "ttylock", holder
    t.send("typed\r")
    s.shows("^typed\ntyped$")
    s.types(CTRL_Z, "> $")
    s.shows("^stopped; fg lets it go on$")
    until_stopped(stage.named("cat")[0])
    s.types("status\r", "> $")
    s.shows(f"stopped .* {holder['pid']} ")
    t.send("fg\r")
    # What is typed while readline still has the terminal in its own mode, cat never gets as a line.
    until(lambda: [os.getpgid(p) for p in stage.named("cat")] == [t.foreground()], "its cat")
    until(t.is_sane, "the command's own settings")
    t.send("again\r")
    s.shows("^again\nagain$")
    assert "stopped" not in stage.requests()[0]
    t.send(CTRL_D)
    s.has(r"^ttylock \((free|no daemon)\)> $")
    since = len(t.shown)
    t.send("exec -- cat\r")
    s.until_shown("\n", since)  # or Ctrl-C's prompt would be the one before it
    until(lambda: [os.getpgid(p) for p in stage.named("cat")] == [t.foreground()], "its cat")
    s.types(CTRL_C, r"^ttylock \((free|no daemon)\)> $")
    t.send("fg\r")
    s.shows("^ttylock: nothing is stopped$")
    leave(t, s)


@test
def a_crash_below_the_shell(stage):
    t, s = shell(stage, term="dumb")
    s.has(ABSENT)
    t.send(f"run -- {CRASH} segv\r")
    b = t.banner()
    assert b["signal"] == "SIGSEGV"
    t.interrupt()
    t.quit()
    s.has(r"^ttylock \((free|no daemon)\)> $")
    leave(t, s)


def watch(t, s):
    """The command, once it has the keys: what an earlier one showed stands there still."""
    since = len(t.shown)
    t.send("watch\r")
    s.until_shown("\x1b[?1049h", since)


@test
def watch_shows_changes(stage):
    t, s = shell(stage)
    s.has(ABSENT)
    watch(t, s)
    holder, held = hold(stage)
    s.shows(rf"\b{held['pid']}\b")
    t.send(CTRL_C)
    s.has(rf": ttylock {held['pid']}, 0 wait\)> $")
    watch(t, s)
    s.types("q", rf": ttylock {held['pid']}, 0 wait\)> $")
    finish_cat(holder)
    s.has(FREE)
    leave(t, s)


@test
def help_inline(stage):
    t, s = shell(stage)
    s.has(ABSENT)
    t.send("help\r")
    for name in ("run", "exec", "debug", "status", "dump", "help", "watch", "quit"):
        s.shows(rf"^  {name} +[A-Z]")
    s.types("help quit\r", ABSENT + "$")
    s.shows("^Usage: quit")
    s.types("help frob\r", ABSENT + "$")
    s.shows("^ttylock: no command 'frob'")
    leave(t, s)


@test
def lines_that_are_none(stage):
    t, s = shell(stage)
    s.has(ABSENT)
    for line in ("help 'x", "help \"x", "help | cat", "help $(id)", "help `id`", "help; help",
                 "help >x", "frob", "help $NO_SUCH_VARIABLE"):
        t.send(line + "\r")
        s.shows(re.escape("> " + line) + "\nttylock: [^\n]*\n" + "ttylock .no daemon.>")
    for line in ("", "  ", "# help"):
        s.types(line + "\r", ABSENT + "$")
    leave(t, s)
    assert not os.path.exists(stage.path("x"))


def piped(stage, text, *args, **kwargs):
    return subprocess.run([TTYLOCK, "shell", *args], env=stage.env, input=text, text=True,
                          capture_output=True, timeout=TIMEOUT, start_new_session=True, **kwargs)


@test
def from_a_pipe(stage):
    out = piped(stage, "help run\nfrob\n# nothing\n\nhelp dump\n")
    assert out.returncode == 0 and out.stderr.count("\n") == 1, out
    assert out.stdout.startswith("Usage: ttylock run") and "Usage: ttylock dump" in out.stdout
    assert "> " not in out.stdout.split("Usage")[0] and "\x1b" not in out.stdout
    out = piped(stage, "help run\nfrob\nhelp dump\n", "-e")
    assert out.returncode == 64 and "Usage: ttylock dump" not in out.stdout, out
    out = piped(stage, "exec -- true\nhelp dump\n", "-e")  # it has no terminal
    assert out.returncode == 125 and out.stdout == "", out
    out = piped(stage, "help 'x\nhelp dump", "-e")
    assert out.returncode == 64 and out.stdout == "", out
    out = piped(stage, "help run\nexec -- true")
    assert out.returncode == 125, "without -e the last one's"
    out = piped(stage, "quit\nfrob\n", "-e")
    assert out.returncode == 0 and out.stderr == "", out
    out = piped(stage, "status\0x\n")
    assert out.returncode == 64 and out.stdout == "", out
    out = piped(stage, "", "-e")
    assert out.returncode == 0 and out.stdout == out.stderr == ""
    out = piped(stage, "", "-c", "status")
    assert out.returncode == 0 and out.stdout.startswith("no terminal is held"), out
    out = piped(stage, "help run\n", "-c", "frob")
    assert out.returncode == 64 and out.stdout == "", out
    assert not os.path.exists(stage.path(".local")), "a pipe leaves no history"


@test
def hostile_names(stage):
    for name in ("\x1b]0;own\x07", "\x1b[31m)> rm", "a\nb\rc", "\x01\x02x", "\x9b31m", "\u202ex"):
        shutil.copy(CRASH, stage.path(name))
        crashed = stage.run(stage.path(name), "segv")
        crashed.expect(PROMPT)
        holder, _ = stage.until_waiting(0)
        t, s = shell(stage)
        s.has(rf"^ttylock \(pts/\d+: .*[?\\].* {holder['subject_pid']}, 0 wait\)> $")
        s.types("typed", "> typed $")
        s.until_cursor_at_end()
        assert s.screen.title == "" and "\x1b]0" not in t.shown and "\x1b[31m" not in t.shown
        assert "\u202e" not in t.shown and "\x9b" not in t.shown and "\x01" not in t.shown
        s.types(CTRL_U, "> $")
        leave(t, s)
        crashed.quit()
        assert crashed.finish() == 139
        until(lambda: stage.status()["terminals"] == [], "the end")


@test
def not_even_a_daemon_steers_the_prompt(stage):
    with false_daemon(stage.path("s"), HOSTILE_ENTRY):
        t, s = shell(stage, env={"TTYLOCK_SOCKET": stage.path("s")})
        s.has(r"^ttylock \(pts/0.*: \) 1 \(.* 1, 0 wait\)> $")
        s.types("typed", "> typed $")
        s.until_cursor_at_end()
        assert s.screen.title == "" and not re.search("\x1b(\\]0|\\[31m)|[\u202e\u2066\x9b]", t.shown)
        s.types(CTRL_U, "> $")
        leave(t, s)


@test
def windows_of_any_width(stage):
    holder, held = hold(stage)
    prompts = {100: r"^ttylock \(pts/\d+: ttylock \d+, 0 wait\)> ", 34: r"^\(\d+, 0 wait\)> ",
               12: r"^\(0\)> ", 4: "^> "}
    for term in ("xterm", "dumb"):
        for columns, prompt in prompts.items():
            if (term, columns) == ("dumb", 4):
                continue  # readline's own scrolling has no room left for a prompt
            t, s = shell(stage, term=term, columns=columns)
            s.has(prompt + "$")
            t.send("x" * 2 * columns)
            s.has(r"x$|x $")
            s.types(CTRL_A, prompt + "x")
            s.types(CTRL_C, prompt + "$")
            leave(t, s)
    # One that changes while one types.
    t, s = shell(stage, columns=34)
    s.has(prompts[34] + "$")
    t.send("word")
    t.setwinsize(40, 100)
    s.screen.resize(40, 100)
    s.has(prompts[100] + "word $")
    s.types(CTRL_C, "> $")
    leave(t, s)
    finish_cat(holder)


@test
def the_daemon_goes_and_comes(stage):
    t, s = shell(stage)
    s.has(ABSENT)
    s.types("word", ABSENT + "word $")
    for _ in range(3):
        holder, held = hold(stage)
        s.has(rf": ttylock {held['pid']}, 0 wait\)> word $")
        os.kill(held["pid"], signal.SIGSTOP)  # it would have it started again
        os.kill(stage.daemon_pid(), signal.SIGKILL)
        s.has(ABSENT + "word $")
        os.kill(held["pid"], signal.SIGCONT)
        s.has(rf": ttylock {held['pid']}, 0 wait\)> word $")
        holder.sendeof()
        holder.finish()
        s.has(r"free\)> word $")
        os.kill(stage.daemon_pid(), signal.SIGKILL)
        s.has(ABSENT + "word $")
    s.types(CTRL_U, ABSENT + "$")
    s.types("status\r", ABSENT + "$")
    leave(t, s)


@test
def the_picture_is_made(stage):
    out = stage.path("shell.svg")
    build = os.path.join(ROOT, "build")  # the examples crash otherwise under a sanitizer
    subprocess.run(["/usr/bin/python3", os.path.join(ROOT, "docs/shell-picture.py"), build, out],
                   env={**stage.env, "BUILD": build}, check=True, timeout=90, cwd=stage.dir)
    with open(out) as f:
        svg = f.read()
    assert svg.startswith("<svg") and "<text" in svg
    for text in ("ttylock", "status", "wait)", "SIGSEGV"):
        assert text in svg, text


main(limit=240)
