"""The protocol's models (*.pml), searched to the last state by spin: the right
model has no error, and each seeded bug is found by a property.

    check_model.py [--quick] [--table PROGRAM] [NAME…]

--quick: the part that `make check` runs. --table: beside them, the lock table against its
reference, by that program.

A search counts only if it was whole: no truncation, no limit of depth or memory.
Prints for each what was covered, states, depth and the processor's time; at the end what
all of it took, by the clock and of the processors, and what took longest.
docs/model.md says what the models have to do with the code."""
import argparse
import concurrent.futures
import glob
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
JOBS = min(os.cpu_count() or 1, 4)
LIMIT = 1200  # seconds, for each search
MEMORY = 8000  # MB, for each search
DEPTH = 100000
LIVE = ("rounds",)

KINDS = ("CANCELS", "KILLS", "STOPS", "FORCES", "DOUBLES", "MOVES", "CUTS", "QUIETS")
NONE = dict.fromkeys(("NEST", "TWINS", "DEATHS", "STRICT", "IN_ORDER", *KINDS), 0)
ANY = dict(dict.fromkeys(KINDS, 1), TOTAL=1)
ANY_TWO = dict(dict.fromkeys(KINDS, 2), TOTAL=2)


def turns(bug=0, **bounds):
    return "turns.pml", dict(NONE, CLIENTS=3, TERMINALS=1, TOTAL=1) | bounds, bug


# name: (model, bounds, bug), in `make check` too?
RIGHT = {
    "two deaths, any two mishaps": (turns(DEATHS=2, IN_ORDER=1, **ANY_TWO), False),
    "two terminals, nested, two deaths, any two mishaps": (
        turns(TERMINALS=2, NEST=2, DEATHS=2, **ANY_TWO), False),
    "two requests of one, two deaths, any two mishaps": (
        turns(TWINS=1, IN_ORDER=1, DEATHS=2, **dict(ANY_TWO, DOUBLES=1)), False),
    "two terminals, maybe nested, two deaths, any mishap": (
        turns(TERMINALS=2, NEST=1, DEATHS=2, **ANY), False),
    "two requests of one, two terminals, two deaths, any mishap": (
        turns(TERMINALS=2, TWINS=1, IN_ORDER=1, DEATHS=2, **ANY), False),
    "two deaths": (turns(DEATHS=2, IN_ORDER=1), True),
    "a death, any mishap": (turns(DEATHS=1, IN_ORDER=1, **ANY), True),
    "nested, any two mishaps": (turns(TERMINALS=2, NEST=1, **ANY_TWO), True),
    "two requests of one, a death, any mishap": (turns(TWINS=1, IN_ORDER=1, DEATHS=1, **ANY), True),
    "rounds without an end": (("rounds.pml", {}, 0), True),
    "two terminals each": (("circle.pml", {}, 0), True),
    "who waits for a tree": (("idle.pml", {}, 0), True),
    "what dead holders leave": (("mend.pml", dict(KILLS=2, DEATHS=2), 0), False),
    "what a dead holder leaves": (("mend.pml", dict(KILLS=1, DEATHS=1), 0), True),
}

# What is known not to hold: found where no exception is made for it.
GAPS = {
    "a release that a daemon never read, by one that is never heard of again":
        turns(DEATHS=1, QUIETS=1, STRICT=1),
}

BUGS = {
    "told before it is recorded": turns(1, DEATHS=1),
    "the next grant is recorded before the last one is cleared": turns(2, DEATHS=1, FORCES=1),
    "a recorded holder is dropped by the time-out": turns(3, DEATHS=1),
    "a restart forgets who held": turns(4, DEATHS=1),
    "a dead waiter stays in the line": turns(5, KILLS=1),
    "the end of a grant below the topmost serves the queue": turns(6, NEST=1),
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
    "served first is told before it is recorded": turns(18, DEATHS=1, MOVES=1),
    "served first goes before those that hold": turns(19, NEST=1, MOVES=1),
    "what a dead one holds goes before what it waits for": turns(20, TWINS=1, KILLS=1),
    "any answer is taken for a proof that a release was read": turns(21, TWINS=1, DEATHS=1),
    "a connection that fails is looked after at the next message": turns(22, CUTS=1, DEATHS=1),
    "one that has not come back is told": turns(23, TWINS=1, DEATHS=2, MOVES=1),
    "not first come, first served": ("rounds.pml", {}, 1),
    "a late grant of an earlier request counts": ("rounds.pml", {}, 2),
    "taking back a grant that crossed is ignored, for ever": ("rounds.pml", {}, 3),
    "a request that was taken back stays in the line": ("rounds.pml", {}, 4),
    "a circle of waits is let in": ("circle.pml", {}, 1),
    "only circles of two are seen": ("circle.pml", {}, 2),
    "a second terminal is refused without need": ("circle.pml", {}, 3),
    "one that comes back in another tree is not looked at": ("idle.pml", {}, 1),
    "idle between an end and the next grant": ("idle.pml", {}, 2),
    "who waits on a request is forgotten with it": ("idle.pml", {}, 3),
    "one that has not come back keeps nobody waiting": ("idle.pml", {}, 4),
    "one that comes back is not told again what was left": (
        "mend.pml", dict(KILLS=1, DEATHS=1), 1),
    "what is left is recorded behind the end": ("mend.pml", dict(KILLS=1, DEATHS=1), 2),
    "who was told is taken to have mended it": ("mend.pml", dict(KILLS=2, DEATHS=0), 3),
    "how it was is not recorded": ("mend.pml", dict(KILLS=1, DEATHS=1), 4),
    "who gives up is taken to have mended it": ("mend.pml", dict(KILLS=1, DEATHS=0), 5),
}


class Broken(Exception):
    pass


def call(argv, cwd, env=None):
    """(exit status, what it printed, seconds of the processor)"""
    with tempfile.TemporaryFile("w+", dir=cwd) as out:
        p = subprocess.Popen(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out,
                             stderr=subprocess.STDOUT)
        timer = threading.Timer(LIMIT, p.kill)
        timer.start()
        _, status, used = os.wait4(p.pid, 0)
        timer.cancel()
        p.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return p.returncode, out.read(), used.ru_utime + used.ru_stime


def build(work, model, quick):
    """One program for each model: bounds and bug are given to it when it runs."""
    at = os.path.join(work, model)
    os.mkdir(at)
    for file in glob.glob(f"{HERE}/*.pml"):
        shutil.copy(file, at)
    status, text, _ = call(["spin", "-a", f"{model}.pml"], at)
    if status == 0:
        status, text, _ = call(["gcc", "-O1" if quick else "-O2", "-w", f"-DMEMLIM={MEMORY}",
                                *(["-DNFAIR=4"] if model in LIVE else
                                  ["-DSAFETY", "-DNOCLAIM", "-DNOREDUCE"]),
                                "-o", "pan", "pan.c"], at)
    if status:
        raise Broken(text)


def search(work, model, bounds, bug):
    """What pan printed, of a search in a directory of its own, and how long it took."""
    model = model.removesuffix(".pml")
    with tempfile.TemporaryDirectory(dir=work) as at:
        env = {**os.environ, **{k: str(v) for k, v in dict(bounds, BUG=bug).items()}}
        status, text, seconds = call(
            [f"{work}/{model}/pan", f"-m{DEPTH}", "-w20", "-n",
             *(["-a", "-f"] if model in LIVE else [])], at, env)
        if status < 0:
            raise Broken(f"ended by signal {-status}, after {seconds:.0f} s\n{text}")
        return text, seconds


def number(pattern, text):
    m = re.search(pattern, text)
    if not m:
        raise Broken(text)
    return int(float(m[1]))


def verdict(text, wrong):
    """(how it failed or None, states, one line). wrong: an error is to be found."""
    errors = number(r"errors: (\d+)", text)
    found = re.search(r"pan:\d+: (?:assertion violated )?(.*) \(at depth", text)
    found = found[1][:60] if found else ""
    states = number(r"([0-9.e+]+) states, stored", text)
    line = (f"{states:>9} states, {number(r'([0-9.e+]+) transitions', text):>9} transitions, "
            f"depth {number(r'depth reached ([0-9.e+]+)', text):>5}")
    if wrong:
        return (None if errors else "it is not found"), states, f"{line}: found: {found}"
    whole = not re.search(r"max search depth|Search not completed|out of memory|memory limit", text)
    if errors:
        return "the right model has an error", states, line + f": {found}\n{text}"
    return (None if whole else "the search was not whole"), states, line


def one(work, name, job):
    states = seconds = 0
    try:
        text, seconds = search(work, *job)
        failed, states, line = verdict(text, name not in RIGHT)
    except Broken as e:
        failed, line = "did not run", str(e)
    kind = "bug: " if name in BUGS else "known gap: " if name in GAPS else ""
    return name, failed, states, seconds, (
        f"{'FAILED' if failed else 'ok'}: {kind}{name}: {line} ({seconds:.1f} s)"
        + (f": {failed}" if failed else ""))


TABLE = "the lock table against its reference"
TABLE_STEPS = 10000000


def table(work, program):
    status, text, seconds = call([program], work,
                                 {**os.environ, "TTYLOCK_MODEL_STEPS": str(TABLE_STEPS)})
    failed = "it differs" if status else None
    return TABLE, failed, 0, seconds, (
        f"{'FAILED' if failed else 'ok'}: {TABLE}: {TABLE_STEPS} steps ({seconds:.1f} s)"
        + (f"\n{text}" if failed else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__, add_help=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table", type=os.path.abspath)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    quick, names = options.quick, options.names
    jobs = {n: job for n, (job, fast) in RIGHT.items() if fast or not quick} | GAPS | BUGS
    jobs = {n: job for n, job in jobs.items() if not names or any(a in n for a in names)}
    count, failures, all_states, longest = len(jobs) + bool(options.table), 0, 0, (0, "")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ttylock-model-") as work, \
            concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        models = list(dict.fromkeys(model.removesuffix(".pml") for model, *_ in jobs.values()))
        list(pool.map(lambda m: build(work, m, quick), models))
        # The longest first, so that nothing waits for one that began late.
        futures = [pool.submit(one, work, *job) for job in jobs.items()]
        if options.table:
            futures.insert(0, pool.submit(table, work, options.table))
        for future in concurrent.futures.as_completed(futures):
            name, failed, states, seconds, line = future.result()
            failures += bool(failed)
            all_states, longest = all_states + states, max(longest, (seconds, name))
            print(line, flush=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{all_states} states; {time.monotonic() - began:.0f} s by the clock, "
          f"{used.ru_utime + used.ru_stime:.0f} s of the processors' time, compiling included, "
          f"{JOBS} at a time; the longest, {longest[1]}, took {longest[0]:.0f} s of that")
    print(f"{count - failures} passed, {failures} failed, 0 skipped")
    sys.exit(1 if failures or not count else 0)


main()
