"""Fault injection into the client library: every call that can fail does, in each way.

inject.py BUILD library [EVERY [FROM]]: first that calls.py knows all calls, then act by act;
only each EVERY-th call from the FROM-th on. What its functions returned is held against
the manual page.

Fails where anything went wrong, and where a place was not reached, or not with each of its
errors (which a sample only says).
"""
import glob
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from places import Seen, places_of

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CALLS = [sys.executable, os.path.join(HERE, "calls.py")]
SHARES = 2

# The longest first.
ACTS = """silence hook readers leader repair threads restart mended pair vfork outlived turn
terminal shield breakpoint reading traced crash async fork start owner home assert dump trap interrupted
asked-to-end deaf contest console yama installs guard unaided install command""".split()


def objects_of(build, *directories):
    return [o for d in directories for o in glob.glob(f"{ROOT}/{build}/{d}/*.o")]


def run(argv):
    ended = subprocess.run(argv, capture_output=True, text=True, errors="replace", check=False)
    said = re.sub("^not ok -", f"not ok - {argv[1]}:", ended.stdout, flags=re.M)
    return said + ended.stderr + ("" if ended.returncode in (0, 1) else f"not ok - {argv}: exit\n")


# --- what the library's functions may return ------------------------------------------

def paragraphs():
    """(functions, text) of the manual page's list of errors."""
    with open(f"{ROOT}/client/lib/libttylock.3") as f:
        text = re.search(r"^\.Sh ERRORS\n(.*?)^\.Sh ", f.read(), re.M | re.S).group(1)
    parts = re.split(r"^(?:\.It )?(Fn ttylock_\w+(?: , Fn ttylock_\w+)*)$"
                     r"|^\.Fn (ttylock_\w+)(?= [:,]$)", text, flags=re.M)
    for item, name, body in zip(parts[1::3], parts[2::3], parts[3::3]):
        yield re.findall(r"ttylock_\w+", item or name), body


def documented():
    """Function: (errors, whether those of system calls as well)."""
    own, cited = {}, {}
    for functions, body in paragraphs():
        for function in functions:
            own[function] = set(re.findall(r"\bEr -(E[A-Z]+)", body))
            cited[function] = set(re.findall(r"^\.Fn (ttylock_\w+) \.$|^\.Fn (ttylock_\w+) ;$",
                                             body, re.M))
            cited[function] = {a or b for a, b in cited[function]}

    def all_of(function):
        names, system = set(own[function]), function == "ttylock_open"
        for other in cited[function]:
            more, of_system = all_of(other)
            names |= more
            system |= of_system
        return names, system
    return {function: all_of(function) for function in own}


def check_errors(output):
    allowed = documented()
    codes = {name: set(re.findall(r"E[A-Z]+", errors)) for name, errors in
             re.findall(r"(\w+)\([^|]*\| [^|]*\|(.*)", calls_source())}
    bad = []
    for function, error, failed, act in sorted(set(re.findall(
            r"^returned (\w+) (\w+) by (\w+ \w+) in (\w+)$", output, re.M))):
        names, system = allowed.get(function, (set(), False))
        # All that a child does with its parent's handle.
        of_child = act == "fork" and error == "ECONNRESET"
        if error not in names and not of_child and not (system and any(
                error in codes.get(by, ()) for by in failed.split())):
            bad.append(f"not ok - {function} returns -{error}, which its page does not list"
                       f" ({failed} failed, in {act})")
    return bad


def calls_source():
    with open(os.path.join(HERE, "calls.py")) as f:
        return re.search(r'CALLS = """(.*?)"""', f.read(), re.S).group(1)


# --- all of it ------------------------------------------------------------------------

def play(build, every, first):
    plays = [[f"{ROOT}/{build}/inject_library", act, str((first + every * i) % (every * 2)),
              str(every * 2)] for act in ACTS for i in range(2)]
    with ThreadPoolExecutor(SHARES) as pool:
        return "".join(pool.map(run, plays))


def lacks(places, seen):
    """Of which places something was not seen."""
    for place in places:
        tried, codes = seen.errors_of(place) or (0, 0)
        if not codes or tried < codes:
            yield (f"{tried} of {codes} errors: {place}" if codes else
                   f"never failed: {place}" if seen.errors_of(place) else
                   f"never reached: {place}")


def main():
    build = sys.argv[1]
    every, first = (int(a) for a in [*sys.argv[3:], 1, 0][:2]) if len(sys.argv) > 4 else (1, 0)
    directories = ["client/lib", "client/crash", "proto"]
    objects = objects_of(build, *directories)
    known = subprocess.run([*CALLS, "check", *objects], check=False).returncode == 0
    output = play(build, every, first)
    wrong = [line for line in output.splitlines() if line.startswith(("not ok", "#", "=="))]
    wrong += check_errors(output)
    print("\n".join(wrong[-200:]))
    if every > 1:
        print(f"each {every}th call, from {first} on")
    places = places_of(f"{ROOT}/{build}/inject_library", directories)
    seen = Seen(output)
    seen.add_callbacks(places)
    bad = list(lacks(places, seen))
    reached = [p for p in places if seen.errors_of(p)]
    print("\n".join(bad if every == 1 else ()))
    print(f"{len({p.name for p in reached})} of {len({p.name for p in places})} functions, "
          f"{len(reached)} of {len(places)} places, {seen.failures} failures injected")
    failed = sum(line.startswith("not ok") for line in wrong) + (not known)
    failed += len(bad) if every == 1 else 0
    print(f"{int(not failed)} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


main()
