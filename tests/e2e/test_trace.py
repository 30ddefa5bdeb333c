"""`ttylock trace`: its events against docs/trace.schema.json and against each other;
what they tell of a tree's crashes, of a daemon that runs, and of its end."""
import contextlib
import json
import os
import re
import signal
import subprocess
import time

from harness import CRASH, ROOT, TIMEOUT, TTYLOCK, has_reclaimed, main, test, until, until_stopped
from rawclient import HOSTILE_ENTRY, client, false_daemon, field, frame, lock_request
from schema import complaints
from users import OURS, as_user, open_daemon, somebody

with open(os.path.join(ROOT, "docs/trace.schema.json"), encoding="utf-8") as f:
    SCHEMA = json.load(f)


def terminal_of(t):
    return os.readlink(f"/proc/{t.pid}/fd/0")


def hold(stage, *args):
    t = stage.spawn(TTYLOCK, "exec", *args, "--", "cat")
    t.sendline("mine")
    t.expect(r"mine\r\nmine\r\n")
    return t


def queue_up(stage, t, *args):
    return subprocess.Popen([TTYLOCK, "exec", *args, "--", "true"],
                            env={**stage.env, "TTYLOCK_TTY": terminal_of(t)},
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, start_new_session=True)


# --- what every trace is ---------------------------------------------------------------

class Trace:
    """The events of a trace that was well made."""

    def __init__(self, text, ended=True):
        # All but the bracket at the end may be relied on at any moment.
        assert text.endswith("\n]\n") == ended and text.startswith("[\n"), text[-100:]
        self.events = json.loads(text if ended else text + "]")
        self.check_each()
        self.check_names()
        self.check_rows(ended)
        self.check_holds()
        self.check_flows()

    def check_each(self):
        for e in self.events:
            wrong = list(complaints([e], SCHEMA))
            assert not wrong, (e, wrong)
        begins, *_, = [e["name"] for e in self.events if e["ph"] != "M"]
        assert begins == "trace begins"

    def check_names(self):
        named = {}
        for e in self.events:
            key = ("process", e["pid"]) if e["name"] == "process_name" else (e["pid"], e["tid"])
            if e["ph"] == "M":
                assert key not in named, e
                named[key] = e["args"]["name"]
            else:
                assert ("process", e["pid"]) in named and key in named, e
        self.names = named
        terminals = [n for k, n in named.items() if k[0] == "process"]
        assert len(set(terminals)) == len(terminals), terminals

    def check_rows(self, ended):
        """In the order of time; each row does one thing at a time, and ends it."""
        last, doing = {}, {}
        for e in (e for e in self.events if e["ph"] != "M"):
            key = e["pid"], e["tid"]
            assert e["ts"] >= last.get(key, e["ts"]), e
            last[key] = e["ts"]
            if e["ph"] == "B":
                assert key not in doing, e
                doing[key] = e["name"]
            elif e["ph"] == "E":
                assert doing.pop(key) == e["name"], e
            elif e["ph"] in "sf":
                assert doing[key] == "holds", e
            elif e["s"] == "t":
                assert key in doing, e
        assert not (doing and ended), doing

    def check_holds(self):
        """One holder of a terminal at a time, or one on top of the other."""
        holders = {}
        for e in (e for e in self.events if e["name"] == "holds"):
            held = holders.setdefault(e["pid"], [])
            if e["ph"] == "B":
                assert not held or e["args"]["under"] in [i for _, i in held], (e, held)
                held.append((e["tid"], e["args"].get("id")))
            else:
                held[:] = [h for h in held if h[0] != e["tid"]]

    def check_flows(self):
        began = [e["id"] for e in self.events if e["ph"] == "s"]
        arrived = [e["id"] for e in self.events if e["ph"] == "f"]
        assert len(set(began)) == len(began), began
        assert began[:len(arrived)] == arrived and len(began) - len(arrived) <= 1, (began, arrived)

    def of(self, **wanted):
        """The events that have all of these: of(name="holds", ph="B")."""
        return [e for e in self.events if all(e.get(k) == v for k, v in wanted.items())]

    def instants(self):
        return [e["name"] for e in self.events if e["ph"] == "i"]

    def story(self, pid):
        """What became of the requests of that process, in order."""
        rows = {(e["pid"], e["tid"]) for e in self.of(ph="B") if e["args"].get("pid") == pid}
        told = []
        for e in self.events:
            if (e["pid"], e["tid"]) in rows and e["ph"] in "BEi":
                told.append(e["args"]["ended"] if e["ph"] == "E" else e["name"])
        return told

    def row_name(self, e):
        return self.names[e["pid"], e["tid"]]

    def terminal(self, e):
        return self.names["process", e["pid"]]


class Tracer:
    """`ttylock trace` of the daemon that runs, for as long as a test wants."""

    def __init__(self, stage, *args, argv=(TTYLOCK,), **kwargs):
        self.path = stage.path("trace.json")
        self.process = subprocess.Popen([*argv, "trace", "-o", self.path, *args], env=stage.env,
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                        **kwargs)
        stage.pids.add(self.process.pid)
        self.until("daemon found")

    def text(self):
        with contextlib.suppress(FileNotFoundError), open(self.path, encoding="utf-8") as f:
            return f.read()
        return ""

    def until(self, name, count=1, **args):
        """Waits for so many events of that name, ends aside, with these of their args."""
        def look():
            with contextlib.suppress(json.JSONDecodeError):  # we may read amid a write
                found = [e for e in json.loads((self.text() or "[") + "]")
                         if e["name"] == name and e["ph"] != "E"
                         and all(e.get("args", {}).get(k) == v for k, v in args.items())]
                return found if len(found) >= count else None
        return until(look, f"{count} of {name} {args}")

    def finish(self, sig=signal.SIGTERM, status=0):
        if sig:
            self.process.send_signal(sig)
        _, err = self.process.communicate(timeout=TIMEOUT)
        assert self.process.returncode == status and err == "", (self.process.returncode, err)
        return Trace(self.text())


# --- with a command ------------------------------------------------------------------

@test
def five_crashes(stage):
    path = stage.path("trace.json")
    signals = ["segv", "abort", "fpe", "ill", "bus"]
    script = " & ".join(f"{CRASH} {s}" for s in signals) + " & wait; exit 7"
    t = stage.spawn(TTYLOCK, "trace", "-o", path, "--", "/bin/sh", "-c", script)
    pids = []
    for n in range(5):
        pids.append(t.banner()["pid"])
        if n == 0:
            stage.until_waiting(4)

            def halfway():
                with contextlib.suppress(json.JSONDecodeError), open(path, encoding="utf-8") as f:
                    return len(Trace(f.read(), ended=False).of(name="waits", ph="B")) == 4

            until(halfway, "the four who wait: one can look meanwhile")
        t.quit()
    assert t.finish() == 7
    with open(path, encoding="utf-8") as f:
        trace = Trace(f.read())
    holds = trace.of(name="holds", ph="B")
    assert [h["args"]["subject_pid"] for h in holds] == pids
    assert [trace.row_name(h) for h in holds] == [f"crash ({pid})" for pid in pids]
    assert {h["args"]["reason"] for h in holds} == {"crash"}
    assert {h["args"]["text"].split()[0] for h in holds} == {"SIG" + s.upper() for s in signals} - {
        "SIGABORT"} | {"SIGABRT"}
    assert len({h["pid"] for h in holds}) == 1 and trace.terminal(holds[0]).startswith("/dev/pts/")
    assert [e["args"]["ended"] for e in trace.of(name="holds", ph="E")] == ["released"] * 5
    assert [e["args"]["ended"] for e in trace.of(name="waits", ph="E")] == ["granted"] * 4
    # Each arrow goes from the end of one hold to the begin of the next.
    for phase, rows in (("s", holds[:4]), ("f", holds[1:])):
        assert [e["tid"] for e in trace.of(ph=phase)] == [h["tid"] for h in rows]
    assert not stage.named("ttylock"), "the tracer has ended"


@test
def the_commands_end_is_its_own(stage):
    path = stage.path("trace.json")
    for argv, status in ((["true"], 0), (["sh", "-c", "exit 3"], 3), (["sh", "-c", "kill -9 $$"], 137),
                         ([CRASH, "none"], None), (["no-such-command"], 127)):
        t = stage.spawn(TTYLOCK, "trace", "-o", path, "--", *argv)
        plain = stage.run(*argv)
        assert t.finish() == plain.finish() and status in (None, t.exitstatus, 137), argv
        with open(path, encoding="utf-8") as f:
            trace = Trace(f.read())
        assert trace.instants() == ["trace begins", "daemon found", "trace ends"], trace.events
    # It cannot be killed with its file half done, and leaves nobody behind.
    t = stage.spawn(TTYLOCK, "trace", "-o", path, "--", TTYLOCK, "exec", "--", "cat")
    until(lambda: stage.requests()[0], "a holder")
    os.kill(t.pid, signal.SIGKILL)
    until(lambda: open(path, encoding="utf-8").read().endswith("\n]\n"), "the tracer's end")
    with open(path, encoding="utf-8") as f:
        assert Trace(f.read()).of(name="holds", ph="E")


@test
def the_file_is_whole_before_the_end_is_told(stage):
    path, go = stage.path("trace.json"), stage.path("go")
    os.mkfifo(go)
    t = subprocess.Popen([TTYLOCK, "trace", "-o", path, "--", "cat", go], env=stage.env,
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, start_new_session=True)
    # Before the command there may be one more for a moment, on its way to be the daemon.
    until(lambda: stage.named("cat"), "the command")
    tracer, = (p for p in stage.named("ttylock") if p != t.pid and os.getsid(p) == p)
    with open(go, "w", encoding="ascii"):
        os.kill(tracer, signal.SIGSTOP)
    until(lambda: not stage.named("cat"), "the command's end")
    with contextlib.suppress(subprocess.TimeoutExpired):
        t.wait(0.3)  # for nothing: it has no file to show yet
        raise AssertionError("it has ended before its tracer")
    os.kill(tracer, signal.SIGCONT)
    assert t.wait(TIMEOUT) == 0
    with open(path, encoding="utf-8") as f:
        Trace(f.read())


@test
def keys_go_to_the_command(stage):
    path = stage.path("trace.json")
    t = stage.spawn("/bin/bash", "--norc", "-i", env={"PS1": "shell> "})
    t.expect("shell> ")
    t.sendline(f"{TTYLOCK} trace -o {path} -- sh -c 'echo ready; cat'")
    t.expect("ready\r\n")
    until(lambda: stage.named("cat"), "cat")
    t.send("\x1a")
    t.expect("Stopped")
    t.expect("shell> ")
    until_stopped(stage.named("cat")[0])
    t.sendline("fg")
    until(lambda: t.foreground() != t.pid, "the command is in front again")
    t.sendline("word")
    t.expect("word\r\nword\r\n")
    t.sendintr()
    t.expect("shell> ")
    t.sendline("echo status $?")
    t.expect("status 130\r\n")
    with open(path, encoding="utf-8") as f:
        assert Trace(f.read()).instants()[-1] == "trace ends"


@test
def without_a_terminal_it_runs_all_the_same(stage):
    path = stage.path("trace.json")
    out = stage.ttylock("trace", "-o", path, "--", "sh", "-c", "echo done; exit 4")
    assert out.returncode == 4 and out.stdout == "done\n", out
    assert out.stderr.startswith("ttylock: running without crash handling: no terminal"), out
    with open(path, encoding="utf-8") as f:
        Trace(f.read())


# --- of a daemon that runs --------------------------------------------------------------

@test
def every_kind_of_event(stage):
    t = hold(stage, "--why", "the first")
    tracer = Tracer(stage)
    queue = []
    for count, why in enumerate("abc", 1):
        queue.append(queue_up(stage, t, "--why", why))
        tracer.until("waits", count)
    a, b, c = queue
    ids = {e["args"]["pid"]: e["args"]["id"] for e in tracer.until("waits", 3)}
    assert stage.ttylock("next", "--id", ids[c.pid]).returncode == 0
    tracer.until("moved", position=1)
    assert stage.ttylock("cancel", "--id", ids[a.pid]).returncode == 0
    tracer.until("forced cancel", id=ids[a.pid])
    b.kill()
    tracer.until("died", id=ids[b.pid])
    holder, _ = stage.until_waiting(1)
    assert stage.ttylock("release", "-fy", holder["id"]).returncode == 0
    t.finish()
    for p in (a, b, c):
        p.wait(TIMEOUT)
    second = stage.spawn(TTYLOCK, "exec", "--", TTYLOCK, "exec", "--", "cat")
    tracer.until("holds", 2 + 2)
    killed = until(lambda: len(stage.status()["terminals"][0]["below"]) == 1 and
                   stage.requests()[0]["pid"], "a nested holder")
    os.kill(killed, signal.SIGKILL)
    tracer.until("died", pid=killed)
    second.finish()
    trace = tracer.finish(signal.SIGINT)
    by = r" by ttylock \(pid \d+\), uid \d+"
    assert re.fullmatch("holds forced release released" + by, " ".join(trace.story(t.pid)))
    assert re.fullmatch("waits forced cancel cancelled" + by, " ".join(trace.story(a.pid)))
    assert trace.story(b.pid) == ["waits", "died", "died"]
    assert trace.story(c.pid) == ["waits", "moved", "granted", "holds", "released"]
    assert trace.story(killed) == ["holds", "died", "died"]
    outer, = [e for e in trace.of(name="holds", ph="B") if e["args"]["pid"] == second.pid]
    inner, = [e for e in trace.of(name="holds", ph="B") if e["args"]["pid"] == killed]
    assert inner["args"]["under"] == outer["args"]["id"]
    first = trace.of(name="holds", ph="B")[0]
    assert first["args"]["before"] and first["args"]["text"] == "the first", first
    assert len(trace.of(ph="s")) == len(trace.of(ph="f")) == 1, "one terminal was handed over"
    assert trace.instants()[:2] == ["trace begins", "daemon found"]


@test
def what_was_there_before_and_goes_on_afterwards(stage):
    t = hold(stage)
    w = queue_up(stage, t)
    _, (waiter,) = stage.until_waiting(1)
    until(lambda: stage.requests()[1][0]["age_s"] > 0.2, "it has waited for a while")
    tracer = Tracer(stage, "--timeout", "0.3")
    trace = tracer.finish(sig=None)
    assert trace.story(t.pid) == ["holds", "open: the trace ended"]
    assert trace.story(w.pid) == ["waits", "open: the trace ended"]
    waits, = trace.of(name="waits", ph="B")
    begins, = trace.of(name="trace begins")
    assert begins["ts"] - waits["ts"] > 200_000, "it began before the trace did"
    assert waits["args"]["id"] == waiter["id"] and "before" not in waits["args"]
    assert abs(begins["args"]["time"] - time.time()) < 3600
    t.sendeof()
    w.wait(TIMEOUT)


@test
def a_daemon_that_goes_and_comes_back(stage):
    t = hold(stage)
    tracer = Tracer(stage)
    tracer.until("holds")
    os.kill(stage.daemon_pid(), signal.SIGKILL)
    tracer.until("daemon lost")
    t.sendeof()
    t.finish()
    t = hold(stage)
    tracer.until("daemon back")
    tracer.until("holds", 2)
    t.sendeof()
    t.finish()
    trace = tracer.finish()
    # The first one's end may be what the next daemon finds first, or is told by him, or by nobody.
    instants = [name for name in trace.instants() if name != "died"]
    assert instants == ["trace begins", "daemon found", "daemon lost", "daemon back",
                        "trace ends"], trace.instants()
    ends = [e["args"]["ended"] for e in trace.of(name="holds", ph="E")]
    assert len(ends) == 2 and ends[0] in ("unknown: the daemon was gone", "died", "released"), ends


@test
def what_outlives_the_daemon_goes_on(stage):
    t = hold(stage)
    w = queue_up(stage, t)
    stage.until_waiting(1)
    tracer = Tracer(stage)
    tracer.until("waits")
    os.kill(stage.daemon_pid(), signal.SIGKILL)
    tracer.until("daemon back")
    until(lambda: has_reclaimed(stage, 2), "both have come back")
    t.sendeof()
    t.finish()
    w.wait(TIMEOUT)
    trace = tracer.finish()
    assert trace.story(t.pid) == ["holds", "released"], trace.story(t.pid)
    assert trace.story(w.pid) == ["waits", "granted", "holds", "released"], trace.story(w.pid)


@test
def events_that_were_missed(stage):
    """A tracer that was stopped is told so, and finds its way again."""
    t = hold(stage)
    tracer = Tracer(stage)
    tracer.until("holds")
    with client(stage, terminal_of(t)) as s:
        tracer.process.send_signal(signal.SIGSTOP)
        s.sendall(lock_request(1, b"goes unseen"))
        stage.until_waiting(1)
        ids = []
        for n in range(2, 4002):  # each queued and cancelled; the one that is kept first
            s.sendall(lock_request(n) + frame(7, field(1, n)))
            ids.append(n)
            with contextlib.suppress(BlockingIOError):
                s.setblocking(False)
                s.recv(1 << 20)
            s.setblocking(True)
        s.sendall(lock_request(9999, b"stays"))

        def both():
            with contextlib.suppress(BlockingIOError):
                s.setblocking(False)
                s.recv(1 << 20)
            return [w["text"] for w in stage.requests()[1]] == ["goes unseen", "stays"]

        until(both, "two that wait")
        s.setblocking(True)
        s.sendall(frame(7, field(1, 1)))
        stage.until_waiting(1)
        tracer.process.send_signal(signal.SIGCONT)
        tracer.until("events missed")
        tracer.until("waits", text="stays")
        trace = tracer.finish()
        rows = {e["args"]["text"]: e["tid"] for e in trace.of(name="waits", ph="B")}
        ends = {e["tid"]: e["args"]["ended"] for e in trace.of(name="waits", ph="E")}
        assert ends[rows["goes unseen"]] == "unknown: events were missed", ends[rows["goes unseen"]]
        assert ends[rows["stays"]] == "open: the trace ended"
        assert trace.instants().count("events missed") >= 1
    t.sendeof()
    t.finish()


@test
def an_event_that_comes_with_the_list(stage):
    """It has been read already: no poll tells of it."""
    released = frame(12, field(1, 3) + field(2, HOSTILE_ENTRY))
    with false_daemon(stage.path("s"), HOSTILE_ENTRY, released):
        stage.env["TTYLOCK_SOCKET"] = stage.path("s")
        tracer = Tracer(stage)
        until(lambda: '"ended":"released"' in tracer.text().replace(": ", ":"), "its end")
        tracer.finish()


@test
def hostile_names(stage):
    t = hold(stage, "--why", "ä" * 2048)
    bad = [b"\x1b]0;owned\x07\x1b[2J", b"two\nlines\r\tand", b"\xc2\x9b31m", b"\x7f\x08",
           "right\u202eto left".encode(), b"\xff\xfe broken", b") 1 (", b'"},{"ph":"E', b"\\",
           b"x" * 255, "\u4e2d\u00e4 fine".encode()]
    tracer = Tracer(stage)
    with client(stage, terminal_of(t)) as s:
        for n, text in enumerate(bad, 1):
            s.sendall(lock_request(n, text, text[:63]))
        tracer.until("waits", len(bad))
        crashed = stage.run("/usr/bin/python3", "-c", "import os;"
                            "open('/proc/self/comm', 'wb').write(b') 1 (\\x1b\\n');"
                            "os.kill(os.getpid(), 11)")
        crashed.banner()
        tracer.until("holds", 2)
        crashed.quit()
        crashed.finish()
        trace = tracer.finish()
    with open(tracer.path, encoding="utf-8") as f:
        shown = f.read()
    assert all(c.isprintable() for c in shown.replace("\n", "")), [
        c for c in shown if not c.isprintable()]
    assert shown.count("\n") == len(trace.events) + 2, "one line each"
    texts = [e["args"]["text"] for e in trace.of(name="waits", ph="B")]
    assert len(texts) == len(bad) and bad[6].decode() in texts and bad[7].decode() in texts, texts
    assert "\u4e2d\u00e4 fine" in texts
    assert any(n.startswith(") 1 (") for n in trace.names.values()), trace.names
    t.sendeof()
    t.finish()
    with false_daemon(stage.path("s"), HOSTILE_ENTRY):
        out = stage.ttylock("trace", "-o", "-", "-w", "0.2", env={"TTYLOCK_SOCKET": stage.path("s")})
        assert out.returncode == 0 and "owned" in out.stdout, out
        assert all(c.isprintable() for c in out.stdout.replace("\n", "")), out.stdout
        assert len(Trace(out.stdout).of(name="holds", ph="B")) == 1


@test
def of_other_users_only_that_they_are_there(stage):
    program = somebody(stage)
    with open_daemon(stage):
        t = hold(stage, "--why", "secret")
        os.chmod(stage.dir, 0o777)
        tracer = Tracer(stage, argv=(program,), user=OURS, group=OURS, extra_groups=[])
        w = queue_up(stage, t, "--why", "secret")
        tracer.until("waits")
        t.sendeof()
        t.finish()
        w.wait(TIMEOUT)
        mine = as_user(stage, OURS, program, "status")
        assert mine.returncode == 0
        until(lambda: tracer.text().count('"ended":') == 2, "the end of both")
        trace = tracer.finish()
    assert "secret" not in tracer.text() and str(t.pid) not in re.findall(r"\d+", tracer.text())
    assert {e["args"]["hidden"] for e in trace.of(ph="B")} == {True}
    assert {trace.row_name(e) for e in trace.of(ph="B")} == {"another user"}
    assert trace.terminal(trace.of(ph="B")[0]).startswith("/dev/pts/")


# --- its file ------------------------------------------------------------------------------

@test
def killed_it_leaves_a_file_that_loads(stage):
    t = hold(stage)
    tracer = Tracer(stage)
    w = queue_up(stage, t)
    tracer.until("waits")
    tracer.process.kill()
    tracer.process.wait(TIMEOUT)
    tracer.process.stderr.close()
    trace = Trace(tracer.text(), ended=False)
    assert trace.story(t.pid) == ["holds"] and trace.story(w.pid) == ["waits"]
    t.sendeof()
    t.finish()
    w.wait(TIMEOUT)


@test
def to_standard_output(stage):
    t = hold(stage)
    out = stage.ttylock("trace", "-o", "-", "-w", "0")
    assert out.returncode == 0 and out.stderr == "", out
    assert Trace(out.stdout).instants()[-1] == "trace ends"
    out = stage.ttylock("trace", "-o", "-", "--", "true")
    assert out.returncode == 0 and Trace(out.stdout), out
    # Whoever reads it may go.
    tracer = subprocess.Popen([TTYLOCK, "trace", "-o", "-"], env=stage.env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    while "holds" not in tracer.stdout.readline():
        pass
    tracer.stdout.close()
    t.sendeof()
    t.finish()
    assert re.fullmatch(r"ttylock: trace: -: Broken pipe\n", tracer.stderr.read())
    assert tracer.wait(TIMEOUT) == 125
    tracer.stderr.close()


@test
def files_that_cannot_be_written(stage):
    t = hold(stage)
    ran = stage.path("ran")
    table = [(stage.path("no/such/file"), "No such file"), (stage.dir, "Is a directory"),
             ("", "No such file"), ("/dev/full", "No space left")]
    for name, error in table:
        out = stage.ttylock("trace", "-o", name, "-w", "0")
        assert out.returncode == 125 and out.stdout == "", out
        assert re.fullmatch(rf"ttylock: trace: {re.escape(name)}: {error}[^\n]*\n", out.stderr), out
        if name == "/dev/full":
            continue
        out = stage.ttylock("trace", "-o", name, "--", "touch", ran)
        assert out.returncode == 125 and out.stderr.count("\n") == 1, out
        assert not os.path.exists(ran), "the command is not begun"
    # One that fails later costs the command nothing.
    late = stage.spawn(TTYLOCK, "trace", "-o", "/dev/full", "--", "sh", "-c", "exit 6")
    assert late.finish() == 6
    assert late.shown == "ttylock: trace: /dev/full: No space left on device\r\n", late.shown
    t.sendeof()
    t.finish()
    # With no daemon a file of before is not emptied.
    until(lambda: not stage.named("ttylockd"), "the daemon's end")
    kept = stage.write("kept", "before", 0o644)
    assert stage.ttylock("trace", "-o", kept).returncode == 1
    with open(kept, encoding="ascii") as f:
        assert f.read() == "before"


main()
