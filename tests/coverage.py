"""Branch coverage of proto/ and of the pure modules, by their unit and model tests.

Built unoptimised and without assertions (each would count as a branch never taken).
Prints a table; fails where a module, or all of them together, are below the limit.
"""
import glob
import gzip
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = "build/coverage"
LIMIT = 95
MODULES = ["proto/frame", "daemon/locktable", "daemon/locktable_view", "daemon/left",
           "daemon/restore", "daemon/records",
           "daemon/waitgraph", "daemon/policy", "daemon/usage", "daemon/bucket", "daemon/slots",
           "daemon/text"]
TESTS = ["test_frame", "test_locktable", "test_locktable_model", "test_nested",
         "test_serve_first", "test_waitgraph", "test_policy", "test_usage", "test_bucket",
         "test_text", "test_unknown", "test_restore", "test_slots"]


def branches(module):
    """(taken, all, the lines of those that were not) of a module's own source."""
    data = os.path.join(ROOT, BUILD, module + ".gcda")
    if not os.path.exists(data):
        return 0, 1, []
    out = subprocess.run(["gcov", "--branch-probabilities", "--json-format", "--stdout", data],
                         capture_output=True, check=True, cwd=ROOT).stdout
    if out[:2] == b"\x1f\x8b":
        out = gzip.decompress(out)
    taken = every = 0
    missed = []
    for file in json.loads(out)["files"]:
        if not file["file"].endswith(module + ".c"):
            continue
        for line in file["lines"]:
            for branch in line["branches"]:
                every += 1
                taken += branch["count"] > 0
                if not branch["count"]:
                    missed.append(line["line_number"])
    return taken, every, sorted(set(missed))


def main():
    for old in glob.glob(f"{ROOT}/{BUILD}/**/*.gcda", recursive=True):
        os.unlink(old)
    tests = [t for t in TESTS if glob.glob(f"{ROOT}/tests/*/{t}.c")]
    subprocess.run(["make", "--no-print-directory", "-s", f"BUILD={BUILD}", "OPT=-O0 -g -DNDEBUG",
                    "SAN=--coverage", "CFLAGS=-Wno-unused-parameter -Wno-unused-variable "
                    "-Wno-unused-but-set-variable",
                    *(f"{BUILD}/tests/{t}" for t in tests)], cwd=ROOT, check=True)
    for test in tests:
        env = {**os.environ, "TTYLOCK_MODEL_STEPS": "200000", "TTYLOCK_MODEL_SEED": "1"}
        subprocess.run([f"{ROOT}/{BUILD}/tests/{test}"], cwd=ROOT, check=True, env=env,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    taken = every = low = 0
    for module in MODULES:
        t, e, missed = branches(module)
        low += 100 * t < LIMIT * e
        taken, every = taken + t, every + e
        lines = ", ".join(map(str, missed[:12]))
        print(f"{module + '.c':24} {t:4} of {e:4} branches {100 * t / max(e, 1):6.1f} %"
              + (f"  (lines {lines})" if missed else ""))
    print(f"{'all':24} {taken:4} of {every:4} branches {100 * taken / every:6.1f} %")
    sys.exit(1 if low or 100 * taken < LIMIT * every else 0)


main()
