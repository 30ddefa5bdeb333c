"""Stack dumps: every thread of every process of a tree, from outside and by SIGUSR1; nobody is disturbed."""
from harness import *

STACKS = os.path.join(PROGRAMS, "stacks")
GROVE = os.path.join(PROGRAMS, "grove")
BUSY = os.path.join(PROGRAMS, "busy")
LIBTTYLOCK = os.path.join(BUILD, "libttylock.so")

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
    out = stage.ttylock("dump", "--json", *args)
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
    the next one, as it works out from the callers' debug information; only libraries have them here."""
    tail_calls = 0
    for f in thread["frames"]:
        ours = f"{f['file']}:{f['line']}" if "file" in f else None
        while True:
            function, line, pc = expected.get(f["n"] + tail_calls, (None, None, None))
            same = f.get("function") == function or f["module"] != "stacks" and \
                is_alias(f.get("function"), function)
            if same and line == ours:
                break
            tail_calls += 1
            assert tail_calls < 3 and not (line or "").startswith("stacks.c"), \
                (thread["name"], f, function, line)
        assert pc is None or pc == int(f["pc"], 16), (f, pc)
    assert max(expected) == thread["frames"][-1]["n"] + tail_calls, thread["name"]
    return len(thread["frames"])


def state_of(pid):
    stat = proc_stat(pid)
    return stat and stat[0]


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
    text = stage.ttylock("dump", pid).stdout
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
    os.kill(pid, signal.SIGCONT)
    release(t)


# --- who is dumped ----------------------------------------------------------

@test
def a_hundred_processes_of_four_threads_in_one_command(stage):
    t = stage.run(GROVE, 9, 10, 4)
    t.expect(r"ready 100\r\n")
    d = dump_json(stage, "--tree", t.pid)
    assert d["of"] == "tree" and d["pid"] == t.pid
    processes = d["processes"]
    assert len(processes) == 100 and len({p["pid"] for p in processes}) == 100
    check_order(processes)
    assert [p["depth"] for p in processes] == [0] + ([1] + [2] * 10) * 9
    for p in processes:
        assert len(p["threads"]) == 4, p
        for th in p["threads"]:
            calls = functions(th)
            assert "wait_for_ever" in calls or "main" in calls, calls
    assert stage.ttylock("dump", "--tree", t.pid).stdout.count("(grove), ") == 400
    release(t)


@test
def sigusr1_to_run_dumps_the_tree_to_the_terminal_and_a_file(stage):
    t = stage.run(GROVE, 4, 4, 4)
    t.expect(r"ready 21\r\n")
    os.kill(t.pid, signal.SIGUSR1)
    shown = report_shown(t)
    assert f"of the tree of pid {t.pid}" in shown and "21 processes" in shown, shown[:200]
    assert shown.count("(grove), ") == 84
    assert shown == report_file(stage, t.pid)
    release(t)


@test
def the_tree_is_dumped_from_within_it_without_a_pid(stage):
    t = stage.sh(f"{BUSY} handler & b=$!; {TTYLOCK} dump; kill $b; wait $b; exit 3")
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
    t = stage.spawn("/bin/sh", "-c", f"{BUSY} & b=$!; {TTYLOCK} dump; kill $b; wait $b")
    shown = report_shown(t)
    assert re.search(r"stack dump of /dev/pts/\d+, .*, 2 processes", shown), shown[:300]
    assert t.finish() == 0


main(limit=180)
