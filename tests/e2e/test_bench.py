"""The benchmark still works: a quick run of it, judged by the shape of its figures alone."""
import json
import os
import subprocess
import sys

from harness import BUILD, ROOT, main, test

LOCKS = {"acquire", "cycle", "try", "status", "hand-over"}
RIVALS = {"looped-round-trip", "mutex-cycle", "flock-cycle", "flock-hand-over", "mutex-hand-over"}
WHOLE = {"exec -- true", "run -- true", "status command", "preload per exec", "crash to prompt"}


@test
def a_quick_run_measures_every_row(stage):
    out = stage.path("bench.json")
    env = {**stage.env, "BENCH_QUICK": "1", "TMPDIR": stage.dir}
    run = subprocess.run([sys.executable, os.path.join(ROOT, "tests/bench/bench.py"), BUILD, out],
                         env=env, capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stdout + run.stderr
    with open(out) as f:
        result = json.load(f)
    assert result["version"] == 1 and result["quick"] and result["machine"]["cpu"]
    for pinned in (True, False):
        found = {(r["row"], r["n"]) for r in result["rows"] if r["pinned"] == pinned}
        missing = {(row, n) for row in LOCKS for n in (1, 10)} | {(row, 0) for row in RIVALS}
        assert missing <= found, missing - found
    assert WHOLE <= {r["row"] for r in result["rows"]}
    for row in result["rows"]:
        ratio = row["ratio"]
        assert 0 <= ratio["q1"] <= ratio["median"] <= ratio["q3"], row
        assert row["reference_us"] > 0 and row["us"] >= 0 and row["reference"], row
    assert result["figures"]["restart_s"]["10"] > 0
    assert len(result["goals"]) >= 10
    for goal in result["goals"]:
        assert goal["goal"] in run.stdout and (goal["reached"] is None) == (goal["met"] is None)
    left = [name for name in os.listdir(stage.dir) if name.startswith("ttylock-bench")]
    assert not left, left


@test
def the_page_shows_the_result_that_is_kept(stage):
    run = subprocess.run([sys.executable, os.path.join(ROOT, "tests/bench/report.py"),
                          os.path.join(ROOT, "docs/performance.json"), "--check"],
                         env=stage.env, capture_output=True, text=True, timeout=30)
    assert run.returncode == 0, run.stdout + run.stderr


main()
