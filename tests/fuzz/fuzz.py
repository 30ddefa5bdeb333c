"""Runs the fuzzers: what they once found and their corpora first, then new inputs.

--seconds N: so long for each; --runs N: so many inputs for each (whichever comes
first; 0: any). --seed N: the same inputs as the last time, as long as nothing was
changed; 0: others each time. --engine afl: AFL++ instead of libFuzzer, over the same entry points.
--minimise: makes the corpora anew of what was learned. Names: only these fuzzers.

tests/fuzz/corpus/NAME is what is kept, a line of base64 for each input;
build/corpus/NAME/ grows from run to run. An input that fails is left in
build/found/NAME/: once it is mended, --keep NAME FILE adds it to what is kept.
"""
import argparse
import base64
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAX_LEN = {"frame": 1100, "sequence": 160, "line": 128, "status": 400, "reply": 600,
           "ledger": 300}
ENVIRONMENT = {**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1",
               "AFL_NO_UI": "1", "AFL_SKIP_CPUFREQ": "1", "AFL_NO_AFFINITY": "1",
               "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES": "1"}
for name in ("ASAN_OPTIONS", "AFL_QUIET"):
    ENVIRONMENT.pop(name, None)


def run(argv, limit):
    """(status, output) of a program that is killed with all its own after the limit."""
    process = subprocess.Popen(argv, cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True)
    try:
        output = process.communicate(timeout=limit)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output = process.communicate()[0] + b"\nnot done in time"
    return process.returncode, output.decode(errors="replace")


def kept_inputs(name):
    path = os.path.join(ROOT, "tests/fuzz/corpus", name)
    lines = open(path).read().split() if os.path.exists(path) else []
    return [base64.b64decode(line) for line in lines]


def keep(name, inputs):
    lines = sorted({base64.b64encode(data).decode() for data in inputs if data})
    with open(os.path.join(ROOT, "tests/fuzz/corpus", name), "w") as out:
        out.writelines(line + "\n" for line in lines)
    return len(lines)


def files_of(path):
    return [open(os.path.join(path, file), "rb").read() for file in sorted(os.listdir(path))]


def places(name):
    """The kept inputs as files, where new ones grow, and where those that fail go."""
    kept, grown, found = (os.path.join(ROOT, "build", what, name)
                          for what in ("kept", "corpus", "found"))
    shutil.rmtree(kept, ignore_errors=True)
    for path in (kept, grown, found):
        os.makedirs(path, exist_ok=True)
    for i, data in enumerate(kept_inputs(name)):
        with open(os.path.join(kept, f"{i:05}"), "wb") as out:
            out.write(data)
    return kept, grown, found


def libfuzzer(name, program, seconds, runs, seed):
    kept, grown, found = places(name)
    replayed = len(os.listdir(kept))
    argv = [program, f"-max_len={MAX_LEN.get(name, 256)}", f"-artifact_prefix={found}/",
            f"-seed={seed}", "-print_final_stats=1", "-timeout=60", "-rss_limit_mb=2048"]
    argv += [f"-runs={runs}"] if runs else []
    argv += [f"-max_total_time={seconds}"] if seconds else ["-runs=0"]
    status, output = run([*argv, grown, kept], seconds + 300)
    done = re.search(r"number_of_executed_units: (\d+)", output)
    print(f"{name}: {replayed} kept inputs, {done.group(1) if done else '?'} in all", flush=True)
    if status:
        print(output[-4000:])
    return status == 0


def afl(name, program, seconds, runs, seed):
    kept, _, _ = places(name)
    out = os.path.join(ROOT, "build/afl-out", name)
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(out)
    argv = ["afl-fuzz", "-i", kept, "-o", out, "-m", "none", "-V", str(seconds), "-t", "2000"]
    argv += ["-E", str(runs)] if runs else []
    argv += ["-s", str(seed)] if seed else []
    _, output = run([*argv, "--", program], seconds + 300)
    stats = os.path.join(out, "default/fuzzer_stats")
    text = open(stats).read() if os.path.exists(stats) else ""
    done = re.search(r"execs_done\s*: (\d+)", text)
    crashes = glob.glob(os.path.join(out, "default/crashes/id*"))
    hangs = glob.glob(os.path.join(out, "default/hangs/id*"))
    print(f"{name} (AFL++): {done.group(1) if done else '?'} inputs, {len(crashes)} failed, "
          f"{len(hangs)} hung", flush=True)
    if not done:
        print(output[-2000:])
    return bool(done) and not crashes and not hangs


def minimise(name, program):
    """Small inputs that reach together what all reach, by the name of their contents."""
    kept, grown, found = places(name)
    with tempfile.TemporaryDirectory() as small:
        status, output = run([program, "-merge=1", f"-max_len={MAX_LEN.get(name, 256)}",
                              f"-artifact_prefix={found}/", small, kept, grown], 3600)
        if status:
            print(output[-2000:])
            return False
        print(f"{name}: {keep(name, files_of(small))} inputs kept", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", choices=["libfuzzer", "afl"], default="libfuzzer")
    parser.add_argument("--build", default="build/fuzz")
    parser.add_argument("--minimise", action="store_true")
    parser.add_argument("--keep", nargs=2, metavar=("NAME", "FILE"))
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    if args.keep:
        name, file = args.keep
        keep(name, [*kept_inputs(name), open(file, "rb").read()])
        return
    passed = failed = 0
    for source in sorted(glob.glob(f"{ROOT}/tests/fuzz/fuzz_*.c")):
        name = os.path.basename(source)[len("fuzz_"):-2]
        program = os.path.join(args.build, "fuzz", name)
        if args.names and name not in args.names:
            continue
        if args.minimise:
            good = minimise(name, program)
        else:
            engine = afl if args.engine == "afl" else libfuzzer
            good = engine(name, program, args.seconds, args.runs, args.seed)
        passed, failed = passed + good, failed + (not good)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


main()
