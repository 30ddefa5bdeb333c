"""docs/model.md and docs/concurrency.md name files, functions and tests that there are."""
import glob
import os
import re
import subprocess

from harness import BUILD, ROOT, main, test

SPAN = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"^(?:client|daemon|proto|tests|docs)/[\w./-]*\w$")
NAMES = re.compile(r"^(?P<file>[\w./-]+\.(?:[ch]|py|pml)): (?P<names>\w+(?:, \w+)*)$")

STORED = re.compile(r"\.(t?bss|t?data)(\.rel(\.local)?)?$")
CONSTANT = {"sync_point_hook", "on_fork"}


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def full_path(name):
    return os.path.join("tests/model", name) if name.endswith(".pml") and "/" not in name else name


def check(page):
    named = 0
    for span in SPAN.findall(read(page)):
        m = NAMES.match(span)
        if not m:
            if PATH.match(span):
                assert os.path.exists(os.path.join(ROOT, span)), f"{page}: {span}"
            continue
        text = read(full_path(m["file"]))
        for name in m["names"].split(", "):
            named += 1
            # Where it is defined, not only called: at the head of a line.
            head = rf"^(?:[^\s#/*].*\W|inline |proctype )?{name}\b" if m["file"].endswith(
                (".c", ".h")) else rf"^(?:def |inline |active |proctype |.*\W)?{name}\b"
            assert re.search(head, text, re.M), f"{page}: {m['file']} has no {name}"
    return named


@test
def the_model_corresponds(stage):
    assert check("docs/model.md") > 40


@test
def each_step_and_search_that_is_told_is_there(stage):
    page = read("docs/model.md")
    model = "".join(read(f"tests/model/{f}.pml") for f in ("turns", "turns_daemon", "turns_client"))
    steps = re.findall(r"^\| `(\w+)`", page, re.M)
    assert len(steps) > 15
    for step in steps:
        assert re.search(rf"(?:inline|proctype) {step}\(", model), step
    inlines = set(re.findall(r"^inline (\w+)\(", model, re.M))
    told = set(re.findall(r"`(\w+)`", page))
    helpers = {"spend", "line_remove", "line_insert", "crash_or_not", "kill", "any", "forget_heard",
               "forget_life"}
    assert inlines - told <= helpers, inlines - told - helpers
    for other in ("rounds", "circle", "idle", "mend"):
        model = read(f"tests/model/{other}.pml")
        steps = set(re.findall(r"^(?:inline|proctype) (\w+)\(", model, re.M)) - helpers
        untold = {s for s in steps if f"`{other}.pml: {s}`" not in page}
        assert not untold, (other, untold)
    script = read("tests/model/check_model.py")
    searches = re.findall(r'^    "([^"]+)": \(\s*turns\(', script, re.M)
    assert searches == re.findall(r"^\| ([a-z, ]+?) \| \d", page, re.M), searches


@test
def the_analysis_names_what_there_is(stage):
    assert check("docs/concurrency.md") > 60


@test
def each_race_is_told_whole(stage):
    """A name of its own, a class, a trace, a remedy, and a test or that there is none."""
    page = read("docs/concurrency.md")
    classes = set(re.findall(r"\*\*([a-z/]+)\*\* \(", page.split("##")[0]))
    races = re.findall(r"^\*\*([A-Z]\d+)\. [^*]+\*\* ?([a-z/]+)\.(.*?)(?=^\*\*[A-Z]\d+\. |^#)", page,
                       re.M | re.S)
    names = [name for name, *_ in races]
    assert len(classes) == 5 and len(names) > 40 and len(set(names)) == len(names), (classes, names)
    assert len(names) == len(re.findall(r"^\*\*[A-Z]\d+\.", page, re.M)), names
    for name, kind, text in races:
        assert kind in classes, (name, kind)
        assert re.search(r"\b1\. .*\b2\. ", text, re.S), f"{name}: no trace"
        assert "Remedy:" in text and re.search(r"Test: |[Nn]o test", text), name


@test
def all_that_is_shared_is_in_the_inventory(stage):
    """What a module keeps beyond its calls, as its object has it: by name, or, where a function has
    it for itself, the file."""
    page = read("docs/concurrency.md")
    spans = [NAMES.match(span) for span in SPAN.findall(page)]
    named = {(m["file"], name) for m in spans if m for name in m["names"].split(", ")}
    objects = [path for folder in ("daemon", "client/lib", "client/crash", "client/preload")
               for path in glob.glob(os.path.join(BUILD, folder, "*.o"))
               if os.path.exists(os.path.join(ROOT, folder, os.path.basename(path)[:-1] + "c"))]
    assert len(objects) > 80, objects
    found, untold = 0, []
    for line in subprocess.check_output(["nm", "-A", "--format=sysv", *objects], text=True).splitlines():
        path, *parts = re.split(r"\s*[|:]\s*", line.strip())
        if len(parts) != 7 or not STORED.match(parts[6]) or re.match(r"__|\.", parts[0]) or parts[0] in CONSTANT:
            continue
        found += 1
        source = os.path.relpath(path, BUILD)[:-2] + ".c"
        if (source, parts[0]) not in named and (
                "." not in parts[0] or not any(file == source for file, _ in named)):
            untold.append(f"{source}: {parts[0]}")
    assert found > 40 and not untold, (found, untold)


main()
