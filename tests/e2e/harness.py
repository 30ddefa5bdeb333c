"""A person at a terminal, for tests: a real pty, a whole transcript, deadlines.

    class or function tests live in test_*.py beside this file:

        from harness import test, main, Stage

        @test
        def a_crash_gets_the_debugger(stage):
            t = stage.run(CRASH, "segv")
            assert t.banner()["pid"] == ...
            t.quit()
            assert t.finish() == 139

        main()

    A test marked `@test(interrupts=True)` runs twice, the second time with three
    Ctrl-C at the first prompt below each banner, each answered by the prompt.

Each test has a Stage of its own: a runtime directory (so a daemon of its own)
and the processes that it started, all of which are ended, by pid, when it ends.
Nothing here sleeps to let something happen: until() waits for a state.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import pexpect

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(1, os.path.join(ROOT, "tests/model"))

import replay  # noqa: E402
BUILD = os.path.join(ROOT, os.environ.get("BUILD", "build"))
TTYLOCK = os.path.join(BUILD, "ttylock")
PARTS = ("libttylock-run.so", "libttylock-shell.so", "libttylock-preload.so")
PROGRAMS = os.path.join(ROOT, "build/tests/programs")
CRASH = os.path.join(PROGRAMS, "crash")
TIMEOUT = float(os.environ.get("TEST_TIMEOUT", "30"))

# A shell starts what is in its background with these ignored, and that lasts over execve().
signal.signal(signal.SIGINT, signal.default_int_handler)
for _ignored in (signal.SIGQUIT, signal.SIGHUP):
    signal.signal(_ignored, signal.SIG_DFL)

PROMPT = r"\(gdb\) "
BANNER = r"ttylock: (crash|debug): ([^\r\n]+) \(pid (\d+)\): ([^\r\n]*); (\w+) (?:more|else) waits?\r*\n"

# Whoever has started us may ignore some (`nohup`, `&` in a script) or block them: all that we start
# would too. Python itself ignores two.
for _signal in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
    if signal.getsignal(_signal) == signal.SIG_IGN:
        signal.signal(_signal, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, [])

_tests = []


def test(function=None, interrupts=False):
    if function is None:
        return lambda f: test(f, interrupts)
    _tests.append((function, function.__name__, 0))
    if interrupts:
        _tests.append((function, function.__name__ + "_with_ctrl_c", 3))
    return function


class Skip(Exception):
    """The machine lacks something: str(e) says what."""


def until(condition, what, timeout=TIMEOUT):
    """Waits until condition() is true and returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(0.01)  # between two looks; no state is assumed after it


def proc_stat(pid):
    """The fields of /proc/PID/stat from the state on; None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def until_stopped(pid):
    """Ctrl-Z has reached it, too. A shell asks for the next line as soon as its own child is
    stopped: whoever is in a read meanwhile and has not come to its signal takes that line."""
    until(lambda: proc_stat(pid)[0] == "T", f"{pid} is stopped")


def is_alive(pid):
    stat = proc_stat(pid)
    return stat is not None and stat[0] not in "ZX"


def tracer_of(pid):
    try:
        with open(f"/proc/{pid}/status") as f:
            return int(re.search(r"TracerPid:\s*(\d+)", f.read()).group(1))
    except (FileNotFoundError, ProcessLookupError):
        return 0


def has_reclaimed(stage, count):
    """So many have come back to the daemon that was started last."""
    with open(stage.path("ttylock/ttylockd.log")) as f:
        log = f.read()
    return log.rpartition("restored:")[2].count(" reclaimed: ") == count


def until_key_awaited(pid):
    """Waits until it sleeps for a key. What readline is told by a signal between its prompt and
    that it heeds with the next key only, as does whoever calls it."""
    def look():
        with open(f"/proc/{pid}/syscall") as f:
            return f.read().split()[:2] in (["0", "0x0"], ["270", "0x1"])  # read, pselect6
    until(look, f"{pid} reads")


class Terminal(pexpect.spawn):
    """A program on a pty of its own. Keeps all that was ever shown in .shown."""

    def __init__(self, argv, env, cwd=None, timeout=TIMEOUT, **kwargs):
        self.shown = ""
        self.interrupts = 0  # how many Ctrl-C at the prompt below each banner
        super().__init__(argv[0], argv[1:], env=env, cwd=cwd, timeout=timeout, encoding="utf-8",
                         codec_errors="replace", echo=True, dimensions=(40, 160), **kwargs)
        self.delaybeforesend = None
        self.ptyproc.delayafterclose = self.ptyproc.delayafterterminate = 0
        self.delayafterclose = self.delayafterterminate = 0

    def __str__(self):
        return f"{self.args}"  # pexpect shows it; the transcript comes after it

    def read_nonblocking(self, size=1, timeout=-1):
        text = super().read_nonblocking(size, timeout)
        self.shown += text
        return text

    def banner(self):
        """Waits for the next banner and gdb's prompt below it: a dict.

        screen is what stands between the two. No prompt may have come before
        the banner, and no second banner may stand above the prompt.
        """
        self.expect(BANNER)
        m = self.match
        assert not re.search(PROMPT, self.before), "a prompt without a banner"
        self.expect(PROMPT)
        assert not re.search(BANNER, self.before), "two banners above one prompt"
        screen = self.before
        for _ in range(self.interrupts):
            self.interrupt()
        return {"reason": m[1], "comm": m[2], "pid": int(m[3]), "what": m[4],
                "signal": m[4].split()[0], "screen": screen,
                "waiting": 0 if m[5] == "nobody" else int(m[5])}

    def banners(self):
        """The pids of all banners that were ever shown, in order."""
        return [int(m[3]) for m in re.finditer(BANNER, self.shown)]

    def gdb(self, command):
        """Types a command at the prompt; returns what it printed."""
        self.sendline(command)
        self.expect(PROMPT)
        assert not re.search(BANNER, self.before), "a banner below somebody's prompt"
        return self.before

    def debugged(self):
        """The pid that the debugger at the prompt is attached to."""
        return int(re.search(r"process (\d+)", self.gdb("info inferiors"))[1])

    def interrupt(self):
        """Ctrl-C at gdb's prompt, answered by the prompt and by nothing else."""
        self.sendintr()
        self.expect(PROMPT)
        assert re.fullmatch(r"(\^C)?Quit\r\n", self.before), self.before

    def quit(self):
        """Leaves gdb, which detaches from the process; that ends now or goes on."""
        self.sendline("quit")
        self.expect(r"Quit anyway\? \(y or n\) ")
        self.sendline("y")
        # Printed before it lets go: what the program itself says may come before the next line.
        self.expect(r"Detaching from [^\r\n]*\r\n")

    def continue_to_end(self):
        """Has the process end under gdb and leaves gdb: what it said."""
        said = self.gdb("continue")
        assert re.search(r"Program terminated with signal|exited normally|exited with code", said)
        self.sendline("quit")
        return said

    def finish(self):
        """Waits for the program's end and returns its status as a shell would."""
        self.expect(pexpect.EOF)
        self.wait()
        return self.exitstatus if self.signalstatus is None else 128 + self.signalstatus

    def modes(self):
        """The line settings that `stty -a` shows for this terminal."""
        out = subprocess.run(["stty", "-a"], stdin=self.child_fd, capture_output=True, text=True,
                             check=True, timeout=TIMEOUT)
        return out.stdout.split()

    def is_sane(self):
        modes = self.modes()
        return all(m in modes for m in ("icanon", "echo", "isig", "icrnl", "opost"))

    def foreground(self):
        return os.tcgetpgrp(self.child_fd)


class Stage:
    def __init__(self, name):
        self.name = name
        self.dir = tempfile.mkdtemp(prefix="ttylock-test-")
        self.terminals = []
        self.pids = set()
        self.interrupts = 0
        self.env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": self.dir,
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "XDG_RUNTIME_DIR": self.dir,
        }
        self.write(".gdbinit", "set pagination off\nset width 0\n", 0o644)
        for passed in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if passed in os.environ:
                self.env[passed] = os.environ[passed]

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text, mode=0o755):
        with open(self.path(name), "w") as f:
            f.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def spawn(self, *argv, env=None, cwd=None, **kwargs):
        t = Terminal([str(a) for a in argv], {**self.env, **(env or {})}, cwd or self.dir, **kwargs)
        t.interrupts = self.interrupts
        self.terminals.append(t)
        return t

    def run(self, *argv, **kwargs):
        """`ttylock run -- argv` on a terminal of its own."""
        return self.spawn(TTYLOCK, "run", "--", *argv, **kwargs)

    def sh(self, script, **kwargs):
        return self.run("/bin/sh", "-c", script, **kwargs)

    def serve(self):
        """A daemon that nobody starts anew: its pid, once it listens where it would."""
        os.makedirs(self.path("ttylock"), mode=0o700, exist_ok=True)
        out, ready = os.pipe()
        daemon = subprocess.Popen(
            [os.path.join(BUILD, "ttylockd"), "--socket", self.path("ttylock/ttylock.sock"),
             "--ready-fd", str(ready)], env=self.env, pass_fds=[ready], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=open(self.path("ttylock/ttylockd.log"), "a"))
        os.close(ready)
        with open(out, "rb") as f:
            assert f.read(1) == b"R"
        self.pids.add(daemon.pid)
        return daemon.pid

    def ttylock(self, *args, env=None, **kwargs):
        """The command without a terminal, to its end."""
        return subprocess.run([TTYLOCK, *map(str, args)], env={**self.env, **(env or {})},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=TIMEOUT, start_new_session=True, **kwargs)

    def status(self):
        out = self.ttylock("status", "--json")
        assert out.returncode == 0, out.stderr
        return json.loads(out.stdout)

    def requests(self):
        """(holder or None, waiters) of the only terminal in use."""
        terminals = self.status()["terminals"]
        if not terminals:
            return None, []
        assert len(terminals) == 1, terminals
        return terminals[0]["holder"], terminals[0]["waiters"]

    def until_waiting(self, count):
        """Waits until somebody holds the terminal and count others wait."""
        def look():
            holder, waiters = self.requests()
            return (holder, waiters) if holder and len(waiters) == count else None
        return until(look, f"a holder and {count} waiters")

    def until_free(self):
        """Waits until nobody holds or waits, as the daemon has it: nobody waits for an answer to
        a release, so whoever has ended may still be in its table, and not yet in its log."""
        until(lambda: not self.status()["terminals"], "nobody holds or waits any more")

    def daemon_pid(self):
        daemon = self.status()["daemon"]
        return daemon and daemon["pid"]

    def replay(self, whole=True):
        """Holds what the daemon has logged against the model's rules: how many grants.
        whole: nobody holds or waits any more."""
        if whole:
            self.until_free()
        with open(self.path("ttylock/ttylockd.log"), errors="replace") as log:
            return replay.check(log, whole)

    def expect_plain(self, argv, status, **kwargs):
        """Runs argv without us and checks that its status is the given one."""
        t = self.spawn(*argv, **kwargs)
        assert t.finish() == status, (t.exitstatus, t.signalstatus)

    def processes(self):
        """How each of this test's processes is now: its state, what it waits in, its signals."""
        lines = []
        for pid in sorted(self._members()):
            try:
                with open(f"/proc/{pid}/comm") as f:
                    line = f"{pid} {f.read().strip()}: "
                state, parent, group, session, _, front = proc_stat(pid)[:6]
                line += f"{state} parent {parent} group {group} session {session} front {front}"
                with open(f"/proc/{pid}/status") as f:
                    line += "".join(
                        f" {m[0]} {m[1].lstrip('0') or 0}" for m in re.findall(
                            r"^(TracerPid|SigPnd|ShdPnd):\s*(\w+)", f.read(), re.M))
                for name in ("wchan", "syscall"):
                    with open(f"/proc/{pid}/{name}") as f:
                        line += f" {name} {' '.join(f.read().split()[:2])}"
            except (OSError, TypeError):
                continue  # it has ended
            lines.append(line)
        return "\n".join(lines)

    def named(self, comm):
        """The pids of this test's live processes of that name."""
        found = []
        for pid in self._members():
            try:
                with open(f"/proc/{pid}/comm") as f:
                    if f.read().rstrip("\n") == comm:
                        found.append(pid)
            except OSError:
                pass
        return sorted(found)

    def _members(self):
        """Every process that has our runtime directory in its environment."""
        mark = f"XDG_RUNTIME_DIR={self.dir}".encode()
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/environ", "rb") as f:
                    if mark in f.read().split(b"\0"):
                        found.append(int(pid))
            except OSError:
                pass
        return [p for p in found if p != os.getpid() and is_alive(p)]

    def close(self):
        def ended():
            members = set(self._members()) | self.pids
            self.pids = set()
            for pid in members:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            return not members

        until(ended, "the end of the test's processes")
        for t in self.terminals:
            # One that is on its way out has no environment to be found by.
            until(lambda ending=t: not ending.isalive(), "the end of a terminal's program")
            t.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def _run_one(function, name, interrupts, limit):
    stage = Stage(name)
    stage.interrupts = interrupts

    def too_long(_sig, _frame):
        raise AssertionError(f"the whole test took more than {limit} s")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(limit)
    try:
        function(stage)
        return "ok", ""
    except Skip as e:
        return "skip", str(e)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: B902 - a test may fail by anything
        text = traceback.format_exc()
        text += "\n--- processes ---\n" + stage.processes()
        for t in stage.terminals:
            text += "\n--- transcript ---\n" + t.shown[-3000:]
        log = stage.path("ttylock/ttylockd.log")
        if os.path.exists(log):
            with open(log) as f:
                text += "\n--- ttylockd.log ---\n" + f.read()[-3000:]
        return "fail", text
    finally:
        signal.alarm(0)
        stage.close()


def main(limit=120):
    """Runs the tests of the calling file; names on the command line choose."""
    chosen = [t for t in _tests if not sys.argv[1:] or t[1] in sys.argv[1:]]
    counts = {"ok": 0, "fail": 0, "skip": 0}
    for function, name, interrupts in chosen:
        began = time.monotonic()
        result, text = _run_one(function, name, interrupts, limit)
        counts[result] += 1
        took = time.monotonic() - began
        name = name.replace("_", " ")
        if result == "skip":
            print(f"skipped: {name}: {text}", flush=True)
        else:
            print(f"{'ok' if result == 'ok' else 'FAILED'}: {name} ({took:.1f} s)", flush=True)
            if text:
                print(text, flush=True)
    print(f"{counts['ok']} passed, {counts['fail']} failed, {counts['skip']} skipped")
    sys.exit(1 if counts["fail"] else 0)
