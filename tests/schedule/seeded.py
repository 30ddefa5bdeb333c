"""Known bugs, put back one at a time, each caught by the schedule that is about
it; without them the same schedules pass.

    seeded.py
"""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import seeds

PARTS = ("Makefile", "client", "daemon", "proto", "tests/tests.mk", "tests/schedule",
         "tests/outside.c", "tests/outside.h")
TESTS = ("test_shield", "test_handover", "test_link")
# Short: a lost wake-up shows by nothing coming.
PATIENCE = "-DSCHEDULE_PATIENCE_MS=3000"
REPEATS = "5"

# What it is, the file, what stands there, the bug, who catches it.
SEEDS = [
    ("the end of one shield takes down all", "client/lib/sigint.c",
     "\tif (__atomic_sub_fetch(&count, 1, __ATOMIC_RELAXED) == 0)\n\t\tuninstall();\n",
     "\t__atomic_sub_fetch(&count, 1, __ATOMIC_RELAXED);\n\tuninstall();\n",
     "test_shield", "end_of_another"),
    ("the terminal is handed over to a dead waiter", "daemon/broker.c",
     "\t\tif (!k->caller->gone && cred_alive(&k->caller->cred))\n\t\t\treturn;\n",
     "\t\tif (k)\n\t\t\treturn;\n",
     "test_handover", "first_is_dead"),
    ("a waiter is woken before the state is set", "client/lib/lock.c",
     "\t__atomic_store_n(&t->interrupted, 1, __ATOMIC_SEQ_CST);\n"
     "\tSYNC_POINT(\"interrupt.half\");\n"
     "\tlink_stir(t->link);\n",
     "\tlink_stir(t->link);\n"
     "\tSYNC_POINT(\"interrupt.half\");\n"
     "\t__atomic_store_n(&t->interrupted, 1, __ATOMIC_SEQ_CST);\n",
     "test_link", "interrupted_by_halves"),
    ("who reads for all leaves without a word", "client/lib/hearing.c",
     "\tif (!l->led)\n\t\trequests_wake_one(&l->requests);\n", "",
     "test_link", "leader_leaves"),
]


def make(copy, tests):
    copy.make("OPT=-O0", f"CFLAGS={PATIENCE}", "build/ttylockd", "build/tests/schedule_driver.so",
              *(f"build/tests/{t}" for t in tests))


def failures(copy, test):
    """The schedules that failed, and all that was said."""
    done = copy.run([f"build/tests/{test}"], 200, SCHEDULE_REPEATS=REPEATS)
    failed = set(re.findall(r"^\[  FAILED  \] (\w+)$", done.stdout, re.M))
    assert bool(failed) == (done.returncode != 0), done.stdout
    return failed, done.stdout


def check_without(copy):
    make(copy, TESTS)
    for test in TESTS:
        failed, output = failures(copy, test)
        assert not failed, f"{test} fails without a bug:\n{output}"


def check_seed(copy, file, there, bug, test, schedule):
    with copy.bug(file, there, bug):
        make(copy, [test])
        failed, output = failures(copy, test)
    assert schedule in failed, f"{schedule} does not catch it:\n{output}"


def main():
    with seeds.Copy(*PARTS) as copy:
        return seeds.check_all([
            ("without a bug", lambda: check_without(copy)),
            *((what, lambda seed=seed: check_seed(copy, *seed)) for what, *seed in SEEDS)])


sys.exit(main())
