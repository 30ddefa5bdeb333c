"""Fault injection into the daemon: every place that calls what can fail, each of its errors.

daemon.py BUILD CALLS: first that calls.py knows all calls, then BUILD/injected/ttylockd, in
two halves at a time. CALLS: a place fails in so many of its calls in each scene, spread
evenly; 0: once in each scene, with each of its errors in the first that comes to it.

Fails where anything went wrong, and where a place was not reached, or not with each of its
errors, unless it is named below with the reason.
"""
import glob
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from places import Seen, places_of  # pylint: disable=wrong-import-position

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CALLS = [sys.executable, f"{ROOT}/tests/inject/calls.py"]
SHARES = 2

# Place: why no scene comes to it.
UNREACHED = {}


def run(argv):
    ended = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           errors="replace", check=False)
    return ended.stdout + ("" if ended.returncode in (0, 1) else f"not ok - {argv}: exit\n")


def named(line, places):
    """What went wrong, with the names of the places that failed."""
    by_site = {site: place for place in places for site in place.sites}

    def name(match):
        place = by_site.get(int(match.group(1), 16))
        return f"{match.group(0)} ({place})" if place else match.group(0)
    return re.sub(r"\b([0-9a-f]+)/\d+/\d+", name, line)


def lacks(places, seen):
    """Of which places something was not seen."""
    for place in places:
        tried, codes = seen.errors_of(place) or (0, 0)
        whole = codes > 0 and tried == codes
        if whole and str(place) in UNREACHED:
            yield f"reached, though there is a reason why not: {place}"
        elif not whole and str(place) not in UNREACHED:
            yield (f"{tried} of {codes} errors: {place}" if codes else f"never reached: {place}")


def main():
    build, calls = sys.argv[1:3]
    program = f"{ROOT}/{build}/injected/ttylockd"
    objects = glob.glob(f"{ROOT}/{build}/injected/daemon/*.o") + \
        glob.glob(f"{ROOT}/{build}/proto/*.o")
    known = subprocess.run([*CALLS, "check", *objects], check=False).returncode == 0
    places = places_of(program, ("daemon", "proto"))
    with ThreadPoolExecutor(SHARES) as pool:
        output = "".join(pool.map(run, ([program, calls, str(i), str(SHARES)]
                                        for i in range(SHARES))))
    seen = Seen(output)
    wrong = [named(line, places) for line in output.splitlines()
             if line.startswith(("not ok", "#", "=="))]
    skipped = sorted(set(re.findall("^skipped .*$", output, re.M)))
    print("\n".join(skipped))
    bad = [] if skipped else list(lacks(places, seen))
    print("\n".join(wrong[-200:] + bad))
    whole = [p for p in places if seen.errors_of(p)]
    print(f"{len({p.name for p in whole})} of {len({p.name for p in places})} functions, "
          f"{len(whole)} of {len(places)} places, {seen.failures} failures injected")
    failed = sum(line.startswith("not ok") for line in wrong) + len(bad) + (not known)
    print(f"{int(not failed)} passed, {failed} failed, {len(skipped)} skipped")
    sys.exit(1 if failed else 0)


main()
