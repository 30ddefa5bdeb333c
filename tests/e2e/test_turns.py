"""Several processes of one tree crash: one debugger at a time, first come, first served."""
from harness import *

CROWD = os.path.join(PROGRAMS, "crowd")
FAMILY = os.path.join(PROGRAMS, "family")


@test(interrupts=True)
def a_child_crashes_then_its_parent_fails_because_of_it(stage):
    stage.expect_plain([FAMILY, "fs"], 134)
    t = stage.run(FAMILY, "fs")
    child = t.banner()
    assert (child["comm"], child["signal"]) == ("level2", "SIGSEGV"), child
    assert t.debugged() == child["pid"]
    t.quit()
    parent = t.banner()
    assert (parent["comm"], parent["signal"]) == ("level1", "SIGABRT"), parent
    assert t.debugged() == parent["pid"]
    assert t.shown.index("level2: signal 11") > t.shown.index("Detaching from")
    t.quit()
    assert t.finish() == 134
    assert t.banners() == [child["pid"], parent["pid"]]


@test(interrupts=True)
def one_sibling_pauses_and_one_crashes_at_the_same_moment(stage):
    t = stage.run(CROWD, "pause", "segv")
    reasons = {}
    for _ in range(2):
        b = t.banner()
        reasons[b["reason"]] = b["pid"]
        assert t.debugged() == b["pid"]
        t.quit()
    assert reasons.keys() == {"debug", "crash"}, reasons
    t.expect(r"pause (\d+): exit 0\r\nsegv (\d+): signal 11\r\n")
    assert (int(t.match[1]), int(t.match[2])) == (reasons["debug"], reasons["crash"])
    assert t.finish() == 0
    assert len(t.banners()) == 2


@test(interrupts=True)
def four_levels_deep_each_crash_has_one_turn(stage):
    stage.expect_plain([FAMILY, "safs"], 139)
    t = stage.run(FAMILY, "safs")
    pids = []
    for turn, (comm, sig) in enumerate((("level4", "SIGSEGV"), ("level3", "SIGABRT"),
                                        ("level2", "SIGABRT"), ("level1", "SIGSEGV"))):
        b = t.banner()
        assert (b["comm"], b["signal"]) == (comm, sig), b
        assert t.debugged() == b["pid"]
        pids.append(b["pid"])
        if turn % 2 == 0:
            assert f"Program terminated with signal {sig}" in t.continue_to_end()
        else:
            t.quit()
    assert t.finish() == 139
    assert t.banners() == pids
    for line in "level4: signal 11", "level3: signal 6", "level2: signal 6":
        assert t.shown.count(line) == 1


@test
def a_process_that_is_continued_to_its_end_keeps_its_prompt(stage):
    """Its parent crashes of its end, and waits until the person has left the debugger."""
    t = stage.run(FAMILY, "fs")
    child = t.banner()
    assert "Program terminated with signal SIGSEGV" in t.gdb("continue")
    _, waiters = stage.until_waiting(1)
    assert waiters[0]["subject_comm"] == "level1"
    assert "no registers now" in t.gdb("info registers")
    assert t.banners() == [child["pid"]]
    t.sendline("quit")
    assert t.banner()["comm"] == "level1"
    t.quit()
    assert t.finish() == 134


@test
def a_part_of_the_tree_with_crash_handling_off_has_no_turn(stage):
    t = stage.sh(f"TTYLOCK_CRASH=off {FAMILY} ss; echo off: $?; {FAMILY} .s; echo on: $?;"
                 f"TTYLOCK_CRASH=off {CRASH} abort; exit 5")
    b = t.banner()
    assert "off: 139" in t.shown and "on:" not in t.shown
    assert b["comm"] == "level2"
    t.quit()
    t.expect("on: 1\r\n")
    assert t.finish() == 5
    assert t.banners() == [b["pid"]]


@test
def six_commands_typed_at_once_go_to_the_first_debugger(stage):
    t = stage.run(CROWD, "segv", "segv")
    first = t.banner()
    stage.until_waiting(1)
    t.send("info inferiors\n" * 6)
    for _ in range(6):
        t.expect(r"process (\d+)")
        assert int(t.match[1]) == first["pid"]
        t.expect(PROMPT)
    assert t.banners() == [first["pid"]]
    t.quit()
    second = t.banner()
    assert t.debugged() == second["pid"] != first["pid"]
    t.quit()
    assert t.finish() == 0


@test
def fifty_crashes_in_the_same_instant(stage):
    count, began = 50, time.monotonic()
    t = stage.run(CROWD, *["segv"] * count)
    order = [t.banner()["pid"]]
    holder, waiters = stage.until_waiting(count - 1)
    asked = time.monotonic()
    assert holder["subject_pid"] == order[0] and holder["position"] == 0
    assert [w["position"] for w in waiters] == list(range(1, count))
    queue = [holder] + waiters
    ids = [r["id"] for r in queue]
    assert ids == sorted(ids) and len(set(ids)) == count
    wanted = [r["subject_pid"] for r in queue]
    assert len(set(wanted)) == count
    for r in queue:
        assert r["reason"] == "crash" and r["text"] == "SIGSEGV (Segmentation fault)", r
        assert r["comm"] == "ttylock" and r["subject_comm"] == "crowd", r
        assert r["pid"] > 0 and r["uid"] == os.getuid() and 0 <= r["age_s"] <= asked - began, r
    table = stage.ttylock("status").stdout
    assert table.count("SIGSEGV (Segmentation fault)") == count, table
    t.quit()
    for turn in range(1, count):
        b = t.banner()
        assert b["waiting"] == count - 1 - turn, b
        order.append(b["pid"])
        t.quit()
    for _ in range(count):
        t.expect(r"segv (\d+): signal 11\r\n")
        assert int(t.match[1]) in wanted
    assert t.finish() == 0
    assert order == wanted
    assert t.banners() == wanted
    assert stage.replay() == count


@test
def the_threads_of_a_waiting_process_stand_still(stage):
    ticks = stage.path("ticks")
    t = stage.sh(f"{CRASH} segv & {CRASH} wait & wait $!; {CRASH} ticks {ticks}; echo ticks: $?; wait")
    first = t.banner()
    waiting, = until(lambda: [p for p in stage.named("crash") if p != first["pid"]], "the other")
    os.kill(waiting, signal.SIGTERM)
    _, waiters = stage.until_waiting(1)
    assert waiters[0]["subject_pid"] != waiting
    before = os.path.getsize(ticks)
    assert before > 0
    for _ in range(20):  # a gdb session takes its time, 20 commands more
        t.gdb("backtrace")
    t.quit()
    second = t.banner()
    assert second["pid"] == waiters[0]["subject_pid"]
    assert os.path.getsize(ticks) == before, "a thread went on while the process waited"
    assert re.search(r"Thread \d.*thread_tick", t.gdb("thread apply all backtrace"), re.S)
    t.quit()
    t.expect("ticks: 139\r\n")
    assert t.finish() == 0


@test
def two_trees_on_one_terminal_share_it(stage):
    t = stage.spawn("/bin/sh", "-c", f"{TTYLOCK} run -- {CRASH} segv & {TTYLOCK} run -- {CRASH} abort; wait")
    first = t.banner()
    _, waiters = stage.until_waiting(1)
    assert t.banners() == [first["pid"]]
    t.quit()
    second = t.banner()
    assert second["pid"] == waiters[0]["subject_pid"]
    assert {first["signal"], second["signal"]} == {"SIGSEGV", "SIGABRT"}
    t.quit()
    assert t.finish() == 0


main(limit=180)
