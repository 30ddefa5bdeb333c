"""The protocol's models (*.pml), searched to the last state by spin: the right
model has no error, and each seeded bug is found by a property.

    check_model.py [--quick] [NAME…]    --quick: the part that `make check` runs

A search counts only if it was whole: no truncation, no limit of depth or memory.
Prints for each what was covered, states, depth, time. docs/model.md says what the
models have to do with the code."""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
JOBS = min(os.cpu_count() or 1, 4)
LIMIT = 1200  # seconds, for each search
MEMORY = 8000  # MB, for each search
DEPTH = 3000000
LIVE = ("rounds",)

ZERO = dict(CLIENTS=3, TERMINALS=1, NEST=0, DEATHS=0, CANCELS=0, KILLS=0, STOPS=0, FORCES=0,
            DOUBLES=0, TOTAL=1, IN_ORDER=1)
ALL = dict(CANCELS=1, KILLS=1, STOPS=1, FORCES=1, DOUBLES=1)


def turns(bug=0, **bounds):
    return "turns.pml", dict(ZERO, **bounds), bug


# name: (model, bounds, bug), in `make check` too?
RIGHT = {
    "any one mishap": (turns(TERMINALS=2, NEST=1, **ALL), True),
    "two deaths": (turns(DEATHS=2), True),
    "a death, any one mishap": (turns(DEATHS=1, **ALL), False),
    "a death, nested, any order": (turns(DEATHS=1, NEST=1, IN_ORDER=0), True),
    "a death, nested, any one mishap": (turns(DEATHS=1, NEST=1, **ALL), False),
    "two terminals, two deaths": (turns(TERMINALS=2, DEATHS=2), False),
    "two clients, all, two deaths, two mishaps": (
        turns(CLIENTS=2, DEATHS=2, TOTAL=2, **{k: 2 for k in ALL}), False),
    "all of it": (turns(TERMINALS=2, NEST=2, DEATHS=2, **ALL), False),
    "rounds without an end": (("rounds.pml", {}, 0), True),
    "two terminals each": (("circle.pml", {}, 0), True),
}

BUGS = {
    "told before it is recorded": turns(1, DEATHS=1),
    "the next grant is recorded before the last one is cleared": turns(2, DEATHS=1, FORCES=1),
    "a recorded holder is dropped by the time-out": turns(3, DEATHS=1),
    "a restart forgets who held": turns(4, DEATHS=1),
    "a dead waiter stays in the line": turns(5, KILLS=1),
    "the end of a grant below the topmost serves the queue": turns(6, NEST=1, IN_ORDER=0),
    "a nested request queues behind its holder": turns(7, NEST=1),
    "a cancel that crossed the grant is ignored": turns(8, CANCELS=1),
    "a release frees the terminal without handing it over": turns(9),
    "a double lock is let in": turns(10, DOUBLES=1),
    "a release that was lost with the daemon is not repeated": turns(11, DEATHS=1),
    "who comes back goes to the end of the line": turns(12, DEATHS=1),
    "death is told by the end of the connection alone": turns(13, KILLS=1),
    "a waiter that never comes back keeps its place": turns(14, DEATHS=1, STOPS=1),
    "who was never answered cannot come back": turns(15, DEATHS=1),
    "a forced release is told before it is recorded": turns(16, DEATHS=1, FORCES=1),
    "one that has not come back is recorded as granted": turns(17, DEATHS=1, STOPS=1),
    "not first come, first served": ("rounds.pml", {}, 1),
    "a late grant of an earlier request counts": ("rounds.pml", {}, 2),
    "taking back a grant that crossed is ignored, for ever": ("rounds.pml", {}, 3),
    "a request that was taken back stays in the line": ("rounds.pml", {}, 4),
    "a circle of waits is let in": ("circle.pml", {}, 1),
    "only circles of two are seen": ("circle.pml", {}, 2),
    "a second terminal is refused without need": ("circle.pml", {}, 3),
}


class Broken(Exception):
    pass


def call(argv, cwd, env=None):
    done = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, timeout=LIMIT,
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


def compile_all(work):
    """One program for each model: bounds and bug are given to it when it runs."""
    for model in ("turns", "rounds", "circle"):
        at = os.path.join(work, model)
        os.mkdir(at)
        shutil.copy(os.path.join(HERE, f"{model}.pml"), at)
        status, text = call(["spin", "-a", f"{model}.pml"], at)
        if status == 0:
            status, text = call(["gcc", "-O2", "-w", "-DCOLLAPSE", f"-DMEMLIM={MEMORY}",
                                 *(["-DNFAIR=4"] if model in LIVE else ["-DSAFETY", "-DNOCLAIM"]),
                                 "-o", "pan", "pan.c"], at)
        if status:
            raise Broken(text)


def search(work, model, bounds, bug):
    """What pan printed, of a search in a directory of its own."""
    model = model.removesuffix(".pml")
    with tempfile.TemporaryDirectory(dir=work) as at:
        env = {**os.environ, **{k: str(v) for k, v in dict(bounds, BUG=bug).items()}}
        return call([f"{work}/{model}/pan", f"-m{DEPTH}", "-n", *(["-a", "-f"] if model in LIVE else [])],
                    at, env)[1]


def number(pattern, text):
    m = re.search(pattern, text)
    if not m:
        raise Broken(text)
    return int(float(m[1]))


def verdict(text, bug):
    """(how it failed or None, one line)."""
    errors = number(r"errors: (\d+)", text)
    found = re.search(r"pan:\d+: (.*?)(?: \(at depth| *\()", text)
    found = found[1][:60] if found else ""
    line = (f"{number(r'([0-9.e+]+) states, stored', text):>9} states, "
            f"{number(r'([0-9.e+]+) transitions', text):>9} transitions, "
            f"depth {number(r'depth reached ([0-9.e+]+)', text):>5}")
    if bug:
        return (None if errors else "the bug is not found"), f"{line}: found: {found}"
    whole = not re.search(r"max search depth|Search not completed|out of memory|memory limit", text)
    if errors:
        return "the right model has an error", line + f": {found}\n{text}"
    return (None if whole else "the search was not whole"), line


def one(work, name, job):
    began = time.monotonic()
    try:
        failed, line = verdict(search(work, *job), job[2])
    except subprocess.TimeoutExpired:
        failed, line = f"not done within {LIMIT} s", ""
    except Broken as e:
        failed, line = "did not run", str(e)
    took = time.monotonic() - began
    what = f"bug: {name}" if job[2] else name
    return failed, f"{'FAILED' if failed else 'ok'}: {what}: {line} ({took:.1f} s)" + (
        f": {failed}" if failed else "")


def main():
    quick = "--quick" in sys.argv[1:]
    names = [a for a in sys.argv[1:] if not a.startswith("--")]
    jobs = [(n, job) for n, (job, fast) in RIGHT.items() if fast or not quick]
    jobs += list(BUGS.items())
    jobs = [(n, job) for n, job in jobs if not names or any(a in n for a in names)]
    failures = 0
    with tempfile.TemporaryDirectory(prefix="ttylock-model-") as work, \
            concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        compile_all(work)
        for future in concurrent.futures.as_completed([pool.submit(one, work, *j) for j in jobs]):
            failed, line = future.result()
            failures += bool(failed)
            print(line, flush=True)
    print(f"{len(jobs) - failures} passed, {failures} failed, 0 skipped")
    sys.exit(1 if failures or not jobs else 0)


main()
