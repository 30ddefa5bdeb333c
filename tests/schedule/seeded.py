"""Known bugs, put back one at a time, each caught by the schedule that is about
it; without them the same schedules pass.

    seeded.py

In a copy of the sources, so that nobody else sees them.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARTS = ("Makefile", "client", "daemon", "proto", "tests/tests.mk", "tests/schedule")
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


def copy_to(tree):
    for part in PARTS:
        source, target = os.path.join(ROOT, part), os.path.join(tree, part)
        if os.path.isdir(source):
            shutil.copytree(source, target)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy(source, target)


def make(tree, tests):
    done = subprocess.run(
        ["make", "-s", f"-j{os.cpu_count() or 1}", "BUILD=build", "OPT=-O0", "WARN=", "SAN=",
         f"CFLAGS={PATIENCE}", "build/ttylockd", "build/tests/schedule_driver.so",
         *(f"build/tests/{t}" for t in tests)],
        cwd=tree, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"make: {done.stdout}"


def failures(tree, test):
    """The schedules that failed, and all that was said."""
    done = subprocess.run([f"build/tests/{test}"], cwd=tree, text=True, errors="replace",
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=200,
                          env={**os.environ, "SCHEDULE_REPEATS": REPEATS})
    failed = set(re.findall(r"^\[  FAILED  \] (\w+)$", done.stdout, re.M))
    assert bool(failed) == (done.returncode != 0), done.stdout
    return failed, done.stdout


def check_without(tree):
    make(tree, TESTS)
    for test in TESTS:
        failed, output = failures(tree, test)
        assert not failed, f"{test} fails without a bug:\n{output}"


def check_seed(tree, file, there, bug, test, schedule):
    path = os.path.join(tree, file)
    with open(path) as f:
        mended = f.read()
    assert mended.count(there) == 1, f"{file} has changed: where is\n{there}"
    with open(path, "w") as f:
        f.write(mended.replace(there, bug))
    try:
        make(tree, [test])
        failed, output = failures(tree, test)
    finally:
        with open(path, "w") as f:
            f.write(mended)
    assert schedule in failed, f"{schedule} does not catch it:\n{output}"


def main():
    checks = [("without a bug", lambda t: check_without(t))]
    for what, *seed in SEEDS:
        checks.append((what, lambda t, seed=seed: check_seed(t, *seed)))
    bad = 0
    with tempfile.TemporaryDirectory() as tree:
        copy_to(tree)
        for what, check in checks:
            try:
                check(tree)
                print(f"ok - {what}", flush=True)
            except AssertionError as e:
                bad += 1
                print(f"not ok - {what}\n{e}", flush=True)
    print(f"{len(checks) - bad} passed, {bad} failed, 0 skipped")
    sys.exit(1 if bad else 0)


main()
