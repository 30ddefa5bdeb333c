"""Stack dumps: every thread of every process of a tree, from outside and by SIGUSR1; nobody is disturbed."""
from harness import *

STACKS = os.path.join(PROGRAMS, "stacks")
GROVE = os.path.join(PROGRAMS, "grove")
BUSY = os.path.join(PROGRAMS, "busy")
# As the programs, never built for a sanitizer.
LIBTTYLOCK = {"LIBTTYLOCK": os.path.join(ROOT, "build/libttylock.so"), "TTYLOCK_HELPER": TTYLOCK}

# A dump that is to be complete has more time than the usual, which a busy machine may need.
PATIENT = "-w60"

THREADS = "lock nanosleep condition deep epoll sigwait receive semop spin".split()
HEAD = r"ttylock: stack dump[^\r\n]*\r*\n"
END = r"ttylock: end of the stack dump\r*\n"


# --- helpers ----------------------------------------------------------------

def start(stage, *argv, **kwargs):
    """A program on a terminal of its own that has said that it is ready: (terminal, what it said)."""
    t = stage.spawn(*argv, **kwargs)
    t.expect(r"ready (\d+)\r\n")
    return t, int(t.match[1])


def dump_json(stage, *args, status=0):
    out = stage.ttylock("dump", PATIENT, "--json", *args)
    assert out.returncode == status, (out.returncode, out.stderr)
    d = json.loads(out.stdout)
    assert d["version"] == 1, d
    return d


def functions(thread):
    return [f.get("function") for f in thread["frames"]]


def threads_of(process):
    assert "error" not in process, process
    return {t["name"]: t for t in process["threads"]}


def check_order(processes):
    """Parents stand before their children, which follow them at one more depth."""
    path = []
    for p in processes:
        path = path[:p["depth"]]
        assert len(path) == p["depth"], "a process without its parent above it"
        assert p["ppid"] == (path[-1] if path else 0), p
        path.append(p["pid"])


def report_shown(t):
    """Waits for the next report on the terminal: its text."""
    t.expect(HEAD)
    head = t.after
    t.expect(END)
    return (head + t.before + t.after).replace("\r", "")


def report_file(stage, pid):
    with open(stage.path(f"ttylock/stack-{pid}.txt")) as f:
        return f.read()


def release(t):
    """The program ends; whoever came back from his wait is named."""
    t.sendline("")
    t.expect(r"(undisturbed|\d+ alive, 0 returned)\r\n")
    assert t.finish() == 0, t.exitstatus


def gdb_frames(pid):
    """{lwp: {n: (function, file:line or None, pc or None)}} by gdb's thread apply all bt."""
    out = subprocess.run(["gdb", "-nx", "-batch", "-p", str(pid), "-iex", "set debuginfod enabled off",
                          "-ex", "set width 0", "-ex", "set print frame-arguments none",
                          "-ex", "set backtrace past-main on", "-ex", "set backtrace past-entry on",
                          "-ex", "thread apply all bt"],
                         capture_output=True, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL).stdout
    found, frames = {}, None
    for line in out.splitlines():
        m = re.match(r"Thread \d+ \(.*?LWP (\d+)|Thread \d+ \(process (\d+)", line)
        if m:
            frames = found[int(m[1] or m[2])] = {}
            continue
        m = re.match(r"#(\d+)\s+(?:(0x[0-9a-f]+) in )?(<signal handler called>|[^ ]+)(?:.*? at (\S+))?", line)
        if m and frames is not None:
            frames[int(m[1])] = (m[3], os.path.basename(m[4]) if m[4] else None, m[2] and int(m[2], 16))
    assert found, out
    return found


def is_alias(ours, gdbs):
    """Of several names for one place in a library's symbol table, which one is a matter of taste."""
    plain = [re.sub(r"^_*(GI_+)?|@.*", "", name or "") for name in (ours, gdbs)]
    return plain[0] == plain[1]


def compare_with_gdb(thread, expected):
    """Frame by frame; how many. gdb also shows functions that have left the stack by a tail call into
    the next one, as it works out from the callers' debug information; only libraries have them here.
    Of an instruction in a library with several lines, where a signal struck, it may choose another."""
    tail_calls, interrupted = 0, False
    for f in thread["frames"]:
        ours = f"{f['file']}:{f['line']}" if "file" in f else None
        while True:
            function, line, pc = expected.get(f["n"] + tail_calls, (None, None, None))
            lenient = f["module"] != "stacks"
            same = f.get("function") == function or lenient and is_alias(f.get("function"), function)
            if same and (line == ours or lenient and interrupted):
                break
            tail_calls += 1
            assert tail_calls < 3 and not (line or "").startswith("stacks.c"), \
                (thread["name"], f, function, line)
        assert pc is None or pc == int(f["pc"], 16), (f, pc)
        interrupted = f.get("function") == "<signal handler called>"
    assert max(expected) == thread["frames"][-1]["n"] + tail_calls, thread["name"]
    return len(thread["frames"])


def state_of(pid):
    stat = proc_stat(pid)
    return stat and stat[0]


def memory_of(pid):
    stat = proc_stat(pid)
    return int(stat[20]) if stat else 0


def uid_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"^Uid:\s*(\d+)", f.read(), re.M)[1])


def pending(pid, sig):
    with open(f"/proc/{pid}/status") as f:
        text = f.read()
    return any(int(re.search(rf"^{name}:\s*(\w+)", text, re.M)[1], 16) >> sig - 1 & 1
               for name in ("SigPnd", "ShdPnd"))


def stop(pid):
    os.kill(pid, signal.SIGSTOP)
    until(lambda: state_of(pid) == "T", "the stop")


# --- what a dump says -------------------------------------------------------

@test
def every_kind_of_wait_is_dumped_and_none_is_disturbed(stage):
    t, pid = start(stage, STACKS, *THREADS, "vfork", "malloc")
    for _ in range(3):
        d = dump_json(stage, "--tree", pid)
        check_order(d["processes"])
        first, parent, child = d["processes"]
        threads = threads_of(first)
        assert set(threads) == {"stacks", "malloc", *THREADS}, set(threads)
        for name in THREADS + ["malloc"]:
            calls = functions(threads[name])
            assert f"way_{name}" in calls and "thread_main" in calls, (name, calls)
        assert "___pthread_mutex_lock" in " ".join(map(str, functions(threads["lock"])))
        assert any("nanosleep" in f for f in functions(threads["nanosleep"]))
        calls = functions(threads["malloc"])
        assert calls.index("<signal handler called>") < calls.index("_int_malloc"), calls
        assert parent["state"] == "D" and threads_of(parent)["vfork"]["guessed"]
        assert "way_vfork" in functions(threads_of(parent)["vfork"]), parent
        assert child["ppid"] == parent["pid"]
        assert functions(threads_of(child)["vfork"])[1:3] == ["stay_in_vfork_child", "way_vfork"]
    release(t)


@test
def a_deep_recursion_is_bounded_with_top_and_bottom_shown(stage):
    t, pid = start(stage, STACKS, "deep")
    deep = threads_of(dump_json(stage, pid)["processes"][0])["deep"]
    numbers = [f["n"] for f in deep["frames"]]
    assert deep["depth"] >= 10000 and len(numbers) == 250
    assert numbers[:200] == list(range(200)) and numbers[-1] == deep["depth"] - 1, numbers[-1]
    assert "bottom_of_recursion" in functions(deep)[:3]
    assert functions(deep)[100] == "recurse" and "thread_main" in functions(deep)[-5:]
    text = stage.ttylock("dump", PATIENT, pid).stdout
    assert f"... {deep['depth'] - 250} frames left out ..." in text
    release(t)


@test
def names_and_lines_agree_with_gdb(stage):
    t, pid = start(stage, STACKS, *THREADS, "malloc")
    stop(pid)
    d = dump_json(stage, pid)
    assert state_of(pid) == "T", "the dump has let it go on"
    expected = gdb_frames(pid)
    threads = d["processes"][0]["threads"]
    assert {th["tid"] for th in threads} == set(expected)
    compared = 0
    for th in threads:
        compared += compare_with_gdb(th, expected[th["tid"]])
    assert compared > 300, compared
    os.kill(pid, signal.SIGKILL)  # SIGSTOP itself has broken some waits off
    assert t.finish() == 137


@test
def no_signal_is_lost_while_a_process_is_dumped(stage):
    t, pid = start(stage, BUSY, "handler")
    dumps = subprocess.Popen(["/bin/sh", "-c", f"while {TTYLOCK} dump {pid} >/dev/null; do :; done"],
                             env=stage.env, start_new_session=True)
    stage.pids.add(dumps.pid)
    until(lambda: tracer_of(pid), "the first dump")
    count = 2000
    for _ in range(count):
        os.kill(pid, signal.SIGUSR1)
        until(lambda: not pending(pid, signal.SIGUSR1), "the signal's delivery")
    dumps.kill()
    dumps.wait()
    until(lambda: not tracer_of(pid), "the last dump")
    os.kill(pid, signal.SIGTERM)
    t.expect(rf"wrong 0, failed 0, [^\r]* own handler {count}\r\n")
    assert t.finish() == 0


@test
def a_dump_that_is_killed_lets_the_process_go_on(stage):
    t, pid = start(stage, STACKS, "lock", "nanosleep", "condition", "deep", "spin")
    for _ in range(10):
        p = subprocess.Popen([TTYLOCK, "dump", str(pid)], env=stage.env, stdout=subprocess.DEVNULL)
        until(lambda: tracer_of(pid) or p.poll() is not None, "the dump")
        p.kill()
        p.wait()
        until(lambda: not tracer_of(pid), "the end of the trace")
        assert state_of(pid) in "SR"
    release(t)


# --- who is dumped ----------------------------------------------------------

@test
def a_hundred_processes_of_four_threads_in_one_command(stage):
    t = stage.run(GROVE, 9, 10, 4)
    t.expect(r"ready 100\r\n")
    # Seconds of processor time, on a machine that may be busy with other tests.
    def dump(*args):
        return subprocess.run([TTYLOCK, "dump", PATIENT, *args, "--tree", str(t.pid)], env=stage.env, text=True,
                              capture_output=True, timeout=80, check=True).stdout
    d = json.loads(dump("--json"))
    assert d["of"] == "tree" and d["pid"] == t.pid
    processes = d["processes"]
    assert len(processes) == 100 and len({p["pid"] for p in processes}) == 100
    check_order(processes)
    assert [p["depth"] for p in processes] == [0] + ([1] + [2] * 10) * 9
    for p in processes:
        assert len(p["threads"]) == 4, p
        for th in p["threads"]:
            calls = functions(th)
            # Down to where it began; it may be on its way from the barrier to its wait.
            assert "thread_main" in calls or "main" in calls, calls
    assert dump().count("(grove), ") == 400
    release(t)


@test
def sigusr1_to_run_dumps_the_tree_to_the_terminal_and_a_file(stage):
    t = stage.run(GROVE, 4, 4, 4)
    t.expect(r"ready 21\r\n")
    os.kill(t.pid, signal.SIGUSR1)
    shown = report_shown(t)
    assert f"of the tree of pid {t.pid}" in shown and "21 processes" in shown, shown[:200]
    # Who could not be stopped in time, on a machine that is very busy, has a line that says so.
    late = len(re.findall(r"grove \(pid \d+\): no answer in time", shown))
    assert late < 21 and shown.count("(grove), ") == 84 - 4 * late
    assert shown == report_file(stage, t.pid)
    release(t)


@test
def the_tree_is_dumped_from_within_it_without_a_pid(stage):
    t = stage.sh(f"mkfifo said; {BUSY} handler >said & b=$!; exec 9<said; read ready <&9;"
                 f"{TTYLOCK} dump {PATIENT}; kill $b; wait $b; exit 3")
    shown = report_shown(t)
    names = re.findall(r"^(?:[|` -]*)(\w+) \(pid \d+\): ", shown, re.M)
    assert names == ["sh", "busy"], shown
    assert t.finish() == 3


@test
def a_process_without_a_handler_is_not_killed_by_it(stage):
    """Scenario 16. One has a handler of its own, one ours, one none; one ignores the signal."""
    t = stage.sh(f"TTYLOCK_STACK_DUMP=off {BUSY} & {BUSY} handler & {BUSY} &"
                 f"(trap '' USR1; exec {BUSY}) & wait")
    for _ in range(4):
        t.expect(r"ready \d+\r\n")
    os.kill(t.pid, signal.SIGUSR1)
    shown = report_shown(t)
    root = next(p for p in stage.named("sh"))
    assert re.search(rf"^sh \(pid {root}\)", shown, re.M), shown
    assert shown.index("sh (pid") < shown.index("busy (pid")
    assert len(stage.named("busy")) == 4 and shown.count("busy (pid") == 4
    for pid in stage.named("busy"):
        os.kill(pid, signal.SIGTERM)
    for _ in range(4):
        t.expect(r"wrong 0, failed 0, [^\r]* own handler 0\r\n")
    t.finish()


@test
def outside_of_a_tree_the_terminals_processes_are_dumped(stage):
    t = stage.spawn("/bin/sh", "-c", f"mkfifo said; {BUSY} >said & b=$!; exec 9<said; read ready <&9;"
                    f"{TTYLOCK} dump {PATIENT}; kill $b; wait $b")
    shown = report_shown(t)
    assert re.search(r"stack dump of /dev/pts/\d+, .*, 2 processes", shown), shown[:300]
    assert t.finish() == 0


# --- whoever cannot be dumped costs a line -----------------------------------

@test
def a_process_in_the_debugger_is_shown_with_the_debuggers_pid(stage):
    t = stage.sh(f"mkfifo said; {BUSY} >said & exec 9<said; read ready <&9; {CRASH} segv & {CRASH} abort & wait")
    first = t.banner()
    _, waiters = stage.until_waiting(1)
    second = waiters[0]["subject_pid"]
    debugger = tracer_of(first["pid"])
    d = dump_json(stage, "--tree", t.pid)
    processes = {p["pid"]: p for p in d["processes"]}
    held, waits = processes[first["pid"]], processes[second]
    assert held["tracer"] == {"pid": debugger, "comm": "gdb"} and "threads" not in held, held
    assert held["requests"][0]["state"] == "holds" and held["requests"][0]["reason"] == "crash"
    assert waits["requests"][0]["state"] == "waits" and waits["requests"][0]["position"] == 1
    assert waits["requests"][0]["holder"] == {"pid": first["pid"], "comm": "crash"}, waits
    assert len(waits["threads"]) >= 1
    assert processes[debugger]["error"].startswith("it is the debugger"), processes[debugger]
    busy, = stage.named("busy")
    assert all(th["frames"] for th in processes[busy]["threads"]), processes[busy]
    text = stage.ttylock("dump", PATIENT, "--tree", t.pid).stdout
    assert re.search(rf"crash \(pid {first['pid']}\): in the debugger: gdb \(pid {debugger}\); "
                     r"HOLDS /dev/pts/\d+: crash: SIG", text), text
    assert re.search(rf"crash \(pid {second}\): .*; WAITS at position 1 for /dev/pts/\d+: crash: SIG.*"
                     rf"; held for crash \(pid {first['pid']}\)\n", text), text
    one = stage.ttylock("dump", first["pid"])
    assert one.returncode == 125 and f"gdb (pid {debugger})" in one.stdout
    assert tracer_of(first["pid"]) == debugger
    t.gdb("info inferiors")
    t.quit()
    assert t.banner()["pid"] == second
    t.quit()
    os.kill(busy, signal.SIGTERM)
    t.finish()


@test
def bad_children_cost_one_line_each(stage):
    """Stopped, ended and not reaped, traced by somebody, another user's, and one that is well."""
    script = stage.write("bad.py", """
import os, sys, time, signal
def child(f):
    pid = os.fork()
    if pid == 0:
        f()
        while True: time.sleep(1000)
    return pid
pids = {
    "stopped": child(lambda: os.kill(os.getpid(), signal.SIGSTOP)),
    "ended": child(lambda: os._exit(0)),
    "well": child(lambda: None),
}
if os.getuid() == 0:
    pids["nobody"] = child(lambda: os.setuid(65534))
print("pids", pids, flush=True)
sys.stdin.readline()
for pid in pids.values(): os.kill(pid, signal.SIGKILL)
""")
    t = stage.run("/usr/bin/python3", script)
    t.expect(r"pids (\{.*?\})\r\n")
    pids = eval(t.match[1])
    until(lambda: state_of(pids["stopped"]) == "T" and state_of(pids["ended"]) == "Z", "their states")
    if "nobody" in pids:
        until(lambda: uid_of(pids["nobody"]) == 65534, "its other user")
    traced = subprocess.Popen(["gdb", "-nx", "-q", "-p", str(pids["well"])], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stage.pids.add(traced.pid)
    until(lambda: tracer_of(pids["well"]), "gdb")
    d = dump_json(stage, "--tree", t.pid)
    processes = {p["pid"]: p for p in d["processes"]}
    assert processes[pids["stopped"]]["state"] == "T" and processes[pids["stopped"]]["threads"]
    assert state_of(pids["stopped"]) == "T"
    assert "has ended" in processes[pids["ended"]]["error"]
    assert processes[pids["well"]]["tracer"] == {"pid": traced.pid, "comm": "gdb"}
    text = stage.ttylock("dump", PATIENT, "--tree", t.pid).stdout
    for bad in ("ended", "well"):
        assert len(re.findall(rf"\(pid {pids[bad]}\): ", text)) == 1 and f"thread {pids[bad]} " not in text
    if "nobody" in pids:
        assert processes[pids["nobody"]]["uid"] == 65534
    gone = stage.ttylock("dump", pids["ended"])
    assert gone.returncode == 125, gone
    traced.kill()
    traced.wait()
    t.sendline("")
    t.finish()
    none = stage.ttylock("dump", pids["well"])
    assert none.returncode == 125 and re.search("no such process|has ended", none.stderr + none.stdout)


@test
def another_users_process_costs_a_line(stage):
    if os.getuid() != 0:
        raise Skip("not root")
    if subprocess.run(["test", "-x", TTYLOCK], user=65534, group=65534, extra_groups=[]).returncode != 0:
        raise Skip("another user cannot execute the build")
    t, pid = start(stage, BUSY)
    os.chmod(stage.dir, 0o755)
    out = subprocess.run([TTYLOCK, "dump", str(pid)], user=65534, group=65534, extra_groups=[],
                         env={**stage.env, "XDG_RUNTIME_DIR": "/nonexistent"}, capture_output=True,
                         text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL)
    assert out.returncode == 125 and "ptrace is not permitted" in out.stdout, out
    os.kill(pid, signal.SIGTERM)
    assert t.finish() == 0


@test
def stripped_and_interpreted_programs_give_module_and_offset(stage):
    stripped = stage.path("stripped")
    subprocess.run(["strip", "-o", stripped, STACKS], check=True, timeout=TIMEOUT)
    t, pid = start(stage, stripped, "nanosleep")
    thread = threads_of(dump_json(stage, pid)["processes"][0])["nanosleep"]
    ours = [f for f in thread["frames"] if f["module"] == "stripped"]
    assert len(ours) == 2 and all("function" not in f and int(f["offset"], 16) > 0 for f in ours), ours
    named = subprocess.run(["addr2line", "-f", "-e", STACKS, *(hex(int(f["offset"], 16) - 1) for f in ours)],
                           capture_output=True, text=True, timeout=TIMEOUT, check=True).stdout.split("\n")
    assert named[0] == "way_nanosleep" and named[2] == "thread_main", named
    release(t)
    t = stage.spawn("/usr/bin/python3", "-c", "import time; print('ready', flush=True); time.sleep(1000)")
    t.expect("ready")
    frames = dump_json(stage, t.pid)["processes"][0]["threads"][0]["frames"]
    assert len(frames) > 5 and all("module" in f and "offset" in f for f in frames), frames


@test
def a_program_that_was_replaced_or_built_by_clang_keeps_its_names(stage):
    source = os.path.join(ROOT, "tests/e2e/programs/stacks.c")
    for compiler in ("gcc", "clang"):
        path = stage.path(compiler)
        subprocess.run([compiler, "-g", "-O1", "-D_GNU_SOURCE", "-pthread", "-o", path, source], check=True,
                       timeout=TIMEOUT)
        t, pid = start(stage, path, "nanosleep")
        os.unlink(path)
        stage.write(compiler, "another program\n")
        frames = threads_of(dump_json(stage, pid)["processes"][0])["nanosleep"]["frames"]
        mine = [(f["function"], f["file"]) for f in frames if f.get("file") == "stacks.c"]
        assert mine == [("way_nanosleep", "stacks.c"), ("thread_main", "stacks.c")], frames
        release(t)


@test
def a_process_that_never_stops_costs_its_line_within_the_deadline(stage):
    """The parent of a vfork child cannot be stopped: it is shown by what is known without."""
    t, pid = start(stage, STACKS, "vfork")
    parent = next(p for p in stage.named("vfork") if state_of(p) == "D")
    deadline, began = 15, time.monotonic()
    process = dump_json(stage, "-w", deadline, parent)["processes"][0]
    assert time.monotonic() - began < deadline
    assert process["threads"][0]["guessed"] and state_of(parent) == "D"
    assert until(lambda: tracer_of(parent) == 0, "the end of the trace")
    release(t)


# --- SIGUSR1 ----------------------------------------------------------------

def patient_helper(stage):
    """For the environment of whoever dumps himself on SIGUSR1."""
    return "TTYLOCK_HELPER=" + stage.write("helper", f'#!/bin/sh\nshift\nexec {TTYLOCK} dump {PATIENT} "$@"\n')


@test
def sigusr1_dumps_a_process_of_the_tree(stage):
    t = stage.run("/usr/bin/env", patient_helper(stage), STACKS, *THREADS, "malloc")
    t.expect(r"ready (\d+)\r\n")
    pid = int(t.match[1])
    os.kill(pid, signal.SIGUSR1)
    shown = report_shown(t)
    assert "(SIGUSR1)" in shown and f"stacks (pid {pid})" in shown, shown[:300]
    for name in THREADS + ["malloc"]:
        assert f" in way_{name} at stacks.c:" in shown, name
    assert shown == report_file(stage, pid)
    release(t)


def is_of_busy(text):
    """Whether a dump shows what the program is at. It starts threads without end, and nobody can tell from
    within clone3() what called it; but our handler's own clone() must never be met."""
    assert not re.search(r" in (__)?clone\b", text), text
    return " in compute at busy.c:" in text


@test
def sigusr1_dumps_a_program_that_has_installed_it_without_run(stage):
    t, pid = start(stage, BUSY, "install", env=LIBTTYLOCK)
    for _ in range(10):
        until(lambda: not stage.named("ttylock"), "the end of the dump before it")
        os.kill(pid, signal.SIGUSR1)
        shown = report_shown(t)
        assert f"busy (pid {pid})" in shown, shown
        if is_of_busy(shown):
            break
    else:
        raise AssertionError(shown)
    os.kill(pid, signal.SIGTERM)
    assert t.finish() == 0, t.before


@test
def a_signal_after_the_end_of_a_dump_is_one_more(stage):
    """Also while who made it is on its way out: without memory, and no zombie yet."""
    # The kernel needs some time for the end of a watch, and only then makes a zombie of who had it.
    helper = stage.write("helper", f"""#!/usr/bin/python3
import ctypes, os, subprocess, sys
subprocess.run([{TTYLOCK!r}, *sys.argv[1:]], pass_fds=[3])
libc = ctypes.CDLL(None)
libc.inotify_add_watch(libc.inotify_init(), {stage.dir.encode()!r}, 0x100)
print("helper", os.getpid(), file=sys.stderr, flush=True)
open("go").close()
os._exit(0)
""")
    os.mkfifo(stage.path("go"))
    t, pid = start(stage, BUSY, "install", env={**LIBTTYLOCK, "TTYLOCK_HELPER": helper})
    for _ in range(4):
        os.kill(pid, signal.SIGUSR1)
        report_shown(t)
        t.expect(r"helper (\d+)\r\n")
        open(stage.path("go"), "w").close()
        while memory_of(int(t.match[1])):  # no pause between two looks: it is a matter of ms
            pass
    os.kill(pid, signal.SIGTERM)
    assert t.finish() == 0


@test
def without_a_terminal_it_goes_to_standard_error(stage):
    p = subprocess.Popen([BUSY, "install"], env={**stage.env, **LIBTTYLOCK}, text=True,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         start_new_session=True)
    stage.pids.add(p.pid)
    assert p.stdout.readline() == f"ready {p.pid}\n"
    for _ in range(10):
        until(lambda: not stage.named("ttylock"), "the end of the dump before it")
        p.send_signal(signal.SIGUSR1)
        lines = []
        while not lines or not re.fullmatch(END, lines[-1]):
            lines.append(p.stderr.readline())
            assert lines[-1], lines
        assert re.fullmatch(HEAD, lines[0]), lines
        if is_of_busy("".join(lines)):
            break
    else:
        raise AssertionError(lines)
    p.terminate()
    out, err = p.communicate(timeout=TIMEOUT)
    assert p.returncode == 0 and not err, (out, err)


@test
def a_host_handler_wins_and_off_is_off(stage):
    t = stage.run(BUSY, "handler")
    t.expect(r"ready (\d+)\r\n")
    pid = int(t.match[1])
    os.kill(pid, signal.SIGUSR1)
    os.kill(pid, signal.SIGTERM)
    t.expect(r"wrong 0, failed 0, [^\r]* own handler 1\r\n")
    t.finish()
    assert "stack dump" not in t.shown
    t = stage.sh(f"trap '' USR1; exec {BUSY}")
    t.expect(r"ready (\d+)\r\n")
    with open(f"/proc/{t.match[1]}/status") as f:
        assert int(re.search(r"SigIgn:\s*(\w+)", f.read())[1], 16) >> signal.SIGUSR1 - 1 & 1
    os.kill(int(t.match[1]), signal.SIGTERM)
    t.finish()
    t = stage.run(BUSY, env={"TTYLOCK_STACK_DUMP": "off"})
    t.expect(r"ready (\d+)\r\n")
    os.kill(int(t.match[1]), signal.SIGUSR1)
    assert t.finish() == 128 + signal.SIGUSR1


@test
def a_thousand_signals_leave_a_busy_program_as_it_was(stage):
    t = stage.run(BUSY)
    t.expect(r"ready (\d+)\r\n")
    pid = int(t.match[1])
    helpers = []
    for i in range(1000):
        os.kill(pid, signal.SIGUSR1)
        # What is pending is not sent again: each of them is to be handled.
        until(lambda: not pending(pid, signal.SIGUSR1), "the signal's delivery")
        if i % 50 == 49:
            helpers.append(len(stage.named("ttylock")))
    report_shown(t)
    os.kill(pid, signal.SIGTERM)
    t.expect(r"rounds (\d+), wrong 0, failed 0, descriptors 0 more, heap 0 more, children 0")
    assert int(t.match[1]) > 0
    assert t.finish() == 0
    # What comes while one is being made is one with it: `run`, one dump, its worker.
    assert max(helpers) <= 4, helpers


@test
def dumps_of_several_processes_do_not_interleave(stage):
    """Each is larger than what a terminal takes at once."""
    count = 8
    t = stage.sh(f"export {patient_helper(stage)}; for i in $(seq {count}); do sleep 1000 | {STACKS} deep & done; wait")
    pids = []
    for _ in range(count):
        t.expect(r"ready (\d+)\r\n")
        pids.append(int(t.match[1]))
    for pid in pids:
        os.kill(pid, signal.SIGUSR1)
    dumped = []
    for _ in range(count):
        shown = report_shown(t)
        assert shown.count("stack dump") == 2 and len(shown) > 8192, shown  # head and end
        pid, = re.findall(r"^stacks \(pid (\d+)\)", shown, re.M)
        assert shown == report_file(stage, int(pid))
        dumped.append(int(pid))
    assert sorted(dumped) == sorted(pids)


# --- hangs ------------------------------------------------------------------

@test
def a_hanging_tree_is_dumped_once(stage):
    t = stage.spawn(TTYLOCK, "run", "--dump-on-hang", 1, "--", STACKS, "lock", "vfork")
    t.expect(r"ready (\d+)\r\n")
    shown = report_shown(t)
    assert "no output and no end of a process for 1 s" in shown and "way_lock" in shown, shown
    t.expect_exact([pexpect.TIMEOUT, "ttylock: stack dump"], timeout=4)
    assert t.match is pexpect.TIMEOUT, "dumped again in the same quiet"
    release(t)


@test
def a_tree_that_writes_is_not_dumped(stage):
    """One that writes, and one whose processes come and go; a tenth of the limit between two events."""
    for script in ("exec /usr/bin/python3 -c 'import time\nfor i in range(14): print(i, flush=True); time.sleep(.4)'",
                   "for i in $(seq 14); do sleep 0.4; done"):
        t = stage.spawn(TTYLOCK, "run", "--dump-on-hang", 4, "--", "/bin/sh", "-c", script)
        assert t.finish() == 0
        assert "stack dump" not in t.shown


@test
def nobody_in_the_debugger_is_written_over(stage):
    t = stage.spawn(TTYLOCK, "run", "--dump-on-hang", 1, "--", CRASH, "segv")
    t.banner()
    t.expect_exact([pexpect.TIMEOUT, "stack dump"], timeout=4)
    assert t.match is pexpect.TIMEOUT, "a dump into the person's debugger"
    t.quit()
    assert t.finish() == 139


# --- the daemon -------------------------------------------------------------

@test
def the_daemon_logs_what_it_knows(stage):
    t = stage.sh(f"{CRASH} segv & {CRASH} abort & wait")
    first = t.banner()
    stage.until_waiting(1)
    log = stage.path("ttylock/ttylockd.log")
    os.kill(stage.daemon_pid(), signal.SIGUSR1)

    def text():
        with open(log) as f:
            return f.read()
    until(lambda: "dump: end" in text(), "the dump")
    said = text()
    assert re.search(r"SIGUSR1: the stack:\n(?:[^ ]*\n)*?\S*ttylockd\(", said), said
    assert re.search(r"dump: up \d+ s, 2 of \d+ requests, 1 of \d+ terminals .* \d+ peers", said), said
    assert re.search(rf"dump: /dev/pts/\d+: request \d+ holds: .* for pid {first['pid']} \(crash\)", said)
    assert re.search(r"dump: /dev/pts/\d+: request \d+ waits at 1: ", said)
    assert re.search(r"dump: peer \d+: pid \d+ \(ttylock\), uid \d+, tree \w+, 0 bytes unsent", said)
    t.quit()
    t.banner()
    t.quit()
    t.finish()


@test
def old_files_are_removed(stage):
    """By the next dump: those of processes that are gone, after a week."""
    t = stage.run("sleep", "1000")
    until(stage.daemon_pid, "the runtime directory")
    gone, week = 2**22 + 1, 7 * 24 * 3600  # no pid is so large

    def leave(name, age):
        path = stage.write("ttylock/" + name, "", 0o600)
        os.utime(path, (time.time() - age,) * 2)
        return path

    old = [leave(f"stack-{gone}.txt", week + 100), leave(f".stack-{gone}.{gone}", week + 100)]
    kept = [leave(f"stack-{gone + 1}.txt", week - 100), leave(f"stack-{os.getpid()}.txt", week + 100),
            leave(f"stack-{gone}.txt.gz", week + 100), leave("stack-x.txt", week + 100),
            leave("notes", week + 100)]
    os.kill(t.pid, signal.SIGUSR1)
    report_shown(t)
    until(lambda: not any(map(os.path.exists, old)), "they are gone")
    assert all(map(os.path.exists, kept)) and report_file(stage, t.pid)
    os.kill(t.pid, signal.SIGTERM)
    t.finish()


main(limit=180)
