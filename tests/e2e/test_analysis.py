"""docs/model.md and docs/concurrency.md name files, functions and tests that there are."""
import os
import re

from harness import ROOT, main, test

SPAN = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"^(?:client|daemon|proto|tests|docs)/[\w./-]*\w$")
NAMES = re.compile(r"^(?P<file>[\w./-]+\.(?:[ch]|py|pml)): (?P<names>\w+(?:, \w+)*)$")


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


main()
