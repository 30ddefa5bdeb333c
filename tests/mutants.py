"""Mutants of the pure modules: how many do their tests kill?

Each is the source with one change: an operator, a constant or a condition turned
round, or a statement left out. It is compiled into the unit and model tests of its
module, and killed when it does not compile, or one of them fails or takes too long.
Survivors are printed. Each has its reason in docs/reliability.md, by its line: fails where
one has none, and below the limit.

  mutants.py [FILE...]      every=N: only each Nth; jobs=N
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = "build/mutants"
LIMIT = 90
SECONDS = 1  # of the processor, for each test: the longest of them needs an eighth
TABLE = ["test_locktable", "test_nested", "test_serve_first", "test_waitgraph",
         "test_unknown", "test_restore", "test_locktable_model"]
FILES = {"daemon/locktable.c": TABLE, "daemon/locktable_view.c": TABLE, "daemon/left.c": TABLE,
         "daemon/records.c": TABLE, "daemon/waitgraph.c": TABLE,
         "daemon/restore.c": TABLE, "daemon/slots.c": ["test_slots", *TABLE],
         "daemon/policy.c": ["test_policy", "test_usage"], "daemon/usage.c": ["test_usage"],
         "daemon/bucket.c": ["test_bucket", "test_usage"], "daemon/text.c": ["test_text"],
         "proto/frame.c": ["test_frame"]}
# What is found on a line, and what it becomes.
CHANGES = [(r"==", "!="), (r"!=", "=="), (r"<=", "<"), (r">=", ">"), (r" < ", " <= "),
           (r" > ", " >= "), (r"&&", "||"), (r"\|\|", "&&"), (r" \+ ", " - "), (r" - ", " + "),
           (r" / ", " * "), (r"\+\+", "--"), (r"(?<!-)--(?!-)", "++"), (r"\btrue\b", "false"),
           (r"\bfalse\b", "true"), (r"\b0\b", "1"), (r"\b1\b", "0"), (r"!(?=\w)", ""),
           (r"\? (.+) : ", None), (r"SLOT_NONE(?=[,;)])", "0")]
STATEMENT = re.compile(r"^\t+[\w>\-\.\*\(\)\[\]]+ ?([+\-|&]?= .*|\(.*\)|\+\+|--);$")


def mutants(path):
    """(line number, what was done, the new line)."""
    for number, line in enumerate(open(os.path.join(ROOT, path)).read().split("\n")):
        code = line.split("/*")[0].split("//")[0]
        if not code.strip() or code.lstrip().startswith(("*", "#", "assert")) or "_Static" in code:
            continue
        for pattern, new in CHANGES:
            for match in re.finditer(pattern, code) if new is not None else ():
                yield number, line[:match.start()] + new + line[match.end():]
        condition = re.match(r"^(\t+(?:\} else )?(?:if|while) \()(.*)(\) ?\{?)$", code)
        if condition:
            yield number, condition.expand(r"\1!(\2)\3")
        if STATEMENT.match(code) and not code.lstrip().startswith("return"):
            yield number, re.match(r"^\t+", line).group() + ";"


def run(argv):
    """Its exit status. That a machine is busy must not count as a death."""
    try:
        return subprocess.run(argv, cwd=ROOT, timeout=600, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env={**os.environ, "TTYLOCK_MODEL_STEPS": "20000",
                                   "TTYLOCK_MODEL_SEED": "7"}).returncode
    except subprocess.TimeoutExpired:
        sys.exit(f"{argv[0]} stands still")


def links(test):
    source = open(f"{ROOT}/tests/{'model' if 'model' in test else 'unit'}/{test}.c").read()
    return " ".join(re.findall(r"/\* links: *(.*?) *\*/", source)).split()


def is_killed(path, number, line, tests):
    name = path[:-2] + ".o"
    with tempfile.TemporaryDirectory() as place:
        lines = open(os.path.join(ROOT, path)).read().split("\n")
        lines[number] = line
        source, made = os.path.join(place, os.path.basename(path)), os.path.join(place, "m.o")
        open(source, "w").write("\n".join(lines))
        if run(["gcc", "-std=gnu11", "-O1", "-w", "-D_GNU_SOURCE", f"-I{ROOT}/daemon",
                f"-I{ROOT}/{BUILD}/gen", f"-I{ROOT}/proto", "-c", "-o", made, source]):
            return True
        for test in tests:
            wanted = links(test)
            if name not in wanted:
                continue
            program = os.path.join(place, test)
            objects = [made if o == name else f"{BUILD}/{o}" if o.endswith(".o") else o
                       for o in wanted]
            if run(["gcc", "-fsanitize=leak", "-o", program, f"{BUILD}/mutants/{test}.o", *objects,
                    "-lcmocka"]) or run(["prlimit", f"--cpu={SECONDS}", program]):
                return True
    return False


def explained(path):
    """The lines of it whose survivors have a reason: `locktable.c` 1, 7 to 9 (two), 12: ... 15: ..."""
    with open(f"{ROOT}/docs/reliability.md") as f:
        page = f.read()
    item = re.search(rf"^- `{os.path.basename(path)}` ((?:.|\n  )*)", page, re.M)
    lines = set()
    for told in re.findall(r"(?:^|\. )([\d ,to]*(?:\(\w+\)[\d ,to]*)*):", item[1] if item else ""):
        for first, last in re.findall(r"(\d+)(?: to (\d+))?", told):
            lines |= set(range(int(first), int(last or first) + 1))
    return lines


def prepare():
    objects = {f"{BUILD}/{o}" for tests in FILES.values() for t in tests for o in links(t)
               if o.endswith(".o")}
    subprocess.run(["make", "-s", f"BUILD={BUILD}", "OPT=-O1", *sorted(objects)], cwd=ROOT,
                   check=True)
    os.makedirs(f"{ROOT}/{BUILD}/mutants", exist_ok=True)
    for test in {t for tests in FILES.values() for t in tests}:
        kind = "model" if "model" in test else "unit"
        subprocess.run(["gcc", "-std=gnu11", "-O1", "-w", "-D_GNU_SOURCE", f"-I{BUILD}/gen",
                        "-Iproto", "-I.", "-c", "-o", f"{BUILD}/mutants/{test}.o",
                        f"tests/{kind}/{test}.c"], cwd=ROOT, check=True)


def main():
    options = dict(a.split("=") for a in sys.argv[1:] if "=" in a)
    files = [a for a in sys.argv[1:] if "=" not in a] or list(FILES)
    prepare()
    all_killed = all_made = unexplained = 0
    with concurrent.futures.ThreadPoolExecutor(int(options.get("jobs", os.cpu_count()))) as pool:
        for path in files:
            made = list(mutants(path))[::int(options.get("every", 1))]
            killed = list(pool.map(lambda m, p=path: is_killed(p, *m, FILES[p]), made))
            reasons = explained(path)
            for (number, line), dead in zip(made, killed):
                if not dead:
                    told = number + 1 in reasons
                    unexplained += not told
                    print(f"survives{'' if told else ', and docs/reliability.md does not say why'}: "
                          f"{path}:{number + 1}: {line.strip()}", flush=True)
            all_killed, all_made = all_killed + sum(killed), all_made + len(made)
            print(f"{path}: {sum(killed)} of {len(made)} killed "
                  f"({100 * sum(killed) / max(len(made), 1):.1f} %)", flush=True)
    print(f"all: {all_killed} of {all_made} killed ({100 * all_killed / all_made:.1f} %)")
    sys.exit(0 if 100 * all_killed >= LIMIT * all_made and not unexplained else 1)


main()
