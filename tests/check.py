"""make check: builds with gcc and clang, then runs every test, plainly and
under ASan and UBSan. Ends with the line `N passed, N failed, N skipped`.

Each step is a command whose closing line counts its own tests (a cmocka
program's counts as its number of tests); a step without one counts as one.
"""
import concurrent.futures
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = "/usr/bin/python3"
SAN = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
COUNTS = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
CMOCKA_RAN = re.compile(r"\[==========\].*?(\d+) test\(s\) run\.")
CMOCKA_PASSED = re.compile(r"\[  PASSED  \] (\d+) test")
TAP = re.compile(r"^(ok|not ok) - ", re.M)
JOBS = os.cpu_count() or 1
SHOWN = 6000  # the last characters of what failed; above it, lines that say why
WHY = re.compile(r"FAILED|not ok|not so|[Ee]rror|ERROR|SUMMARY")
# A shell starts what is in its background with these ignored, nohup with the last; that lasts
# over execve(), and no test means it.
DEFAULT_SIGNALS = ["env", "--default-signal=INT,QUIT,HUP"]
FAILURES = []


def counts_of(output, status):
    m = COUNTS.search(output)
    if m:
        passed, failed, skipped = map(int, m.groups())
        return passed, failed or int(status != 0), skipped
    ran = sum(map(int, CMOCKA_RAN.findall(output)))
    if ran:
        passed = sum(map(int, CMOCKA_PASSED.findall(output)))
        return passed, max(ran - passed, int(status != 0)), 0
    tap = TAP.findall(output)
    if tap:
        failed = tap.count("not ok")
        return tap.count("ok"), max(failed, int(status != 0)), 0
    return int(status == 0), int(status != 0), 0


def run(name, argv, env=None, limit=600):
    """Into a file, not a pipe: what a test leaves running must not keep us waiting."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([*DEFAULT_SIGNALS, *argv], cwd=ROOT,
                                   env={**os.environ, **(env or {})},
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   start_new_session=True)
        try:
            status, late = process.wait(limit), ""
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            status, late = process.wait(), f"\nnot done within {limit} s"
        out.seek(0)
        output = out.read().decode(errors="replace") + late
    return name, output, status, time.monotonic() - began


def report(result, totals, counted=True):
    name, output, status, took = result
    counts = counts_of(output, status) if counted else (0, int(status != 0), 0)
    for i, n in enumerate(counts):
        totals[i] += n
    verdict = "FAILED" if counts[1] else "ok"
    print(f"{verdict:6} {name}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped"
          f" ({took:.0f} s)" if counted else f"{verdict:6} {name} ({took:.0f} s)", flush=True)
    if counts[1]:
        print("\n".join(line for line in output[:-SHOWN].splitlines() if WHY.search(line))[:SHOWN])
        print(output[-SHOWN:], flush=True)
        FAILURES.append(f"FAILED {name}")
    for line in re.findall(r"^skipped: .*", output, re.M):
        print("       " + line, flush=True)
    return counts[1] == 0


def build(name, *args):
    return run(name, ["make", "-s", "--no-print-directory", f"-j{JOBS}", *args])


def steps():
    """(name, argv, environment) of every test."""
    san_env = {"BUILD": "build/san", "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0",
               "TEST_TIMEOUT": "60", "SCHEDULE_REPEATS": "50"}
    for build_dir, label, env in (("build", "", {}), ("build/san", " under ASan+UBSan", san_env)):
        for source in sorted(glob.glob(f"{ROOT}/tests/unit/test_*.c") +
                             glob.glob(f"{ROOT}/tests/model/test_*.c") +
                             glob.glob(f"{ROOT}/tests/schedule/test_*.c")):
            program = os.path.basename(source)[:-2]
            yield program + label, [f"{build_dir}/tests/{program}"], env
        for script in sorted(glob.glob(f"{ROOT}/tests/e2e/test_*.py")):
            name = os.path.basename(script)[:-3]
            yield name + label, [PYTHON, script], {"BUILD": build_dir, **env}
    yield "seeded bugs", [PYTHON, "tests/schedule/seeded.py"], {}
    yield "chaos", ["build/tests/chaos/storm", "12"], {}
    yield "herd", ["build/tests/chaos/herd", "100", "20"], {}
    yield "chaos under ASan+UBSan", ["build/san/tests/chaos/storm", "8"], {}
    yield "models", [PYTHON, "tests/model/check_model.py", "--quick"], {}
    yield "wrong traces", [PYTHON, "tests/model/replay.py", "--self-test"], {}
    yield "fault injection", ["make", "-s", "-j2", "--no-print-directory", "inject-daemon",
                              "INJECT_CALLS=0"], {}
    yield "fault injection, library", ["make", "-s", "--no-print-directory", "inject-library",
                                       "INJECT_EVERY=5"], {}
    yield "fuzzers", ["make", "-s", "--no-print-directory", "fuzz", "FUZZ_SECONDS=3",
                       "FUZZ_SEED=1"], {}


def main():
    totals = [0, 0, 0]
    began = time.monotonic()
    built = report(build("build with gcc", "all", "tests"), totals, counted=False)
    built = report(build("build with clang", "all", "tests", "BUILD=build/clang", "CC=clang"),
                   totals, counted=False) and built
    built = report(build("build with ASan and UBSan", "all", "tests", "BUILD=build/san",
                         f"SAN={SAN}"), totals, counted=False) and built
    if built:
        wanted = [s for s in steps() if not sys.argv[1:] or any(a in s[0] for a in sys.argv[1:])]
        with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            for done in concurrent.futures.as_completed(
                    [pool.submit(run, *s) for s in wanted]):
                report(done.result(), totals)
    for line in FAILURES:
        print(line, flush=True)
    print(f"in {time.monotonic() - began:.0f} s", flush=True)
    print(f"{totals[0]} passed, {totals[1]} failed, {totals[2]} skipped", flush=True)
    sys.exit(1 if totals[1] or not built else 0)


main()
