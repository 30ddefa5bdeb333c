"""Programs that nobody here wrote, unchanged, below `ttylock run`: each crash
is one session, in the order of arrival, and the tree ends as without us."""
import re

from harness import BANNER, main, test

CRASH_PY = "/usr/bin/python3 -c 'import ctypes; ctypes.string_at(0)'"


def serve(stage, t, count, fault="SIGSEGV"):
    """Serves count crashes that all wait at the same time, in the daemon's
    order; returns their banners."""
    banners = [t.banner()]
    holder, waiters = stage.until_waiting(count - 1)
    order = [entry["subject_pid"] for entry in [holder, *waiters]]
    assert [w["position"] for w in waiters] == list(range(1, count)), waiters
    assert all(entry["reason"] == "crash" for entry in [holder, *waiters])
    ids = [entry["id"] for entry in [holder, *waiters]]
    assert ids == sorted(ids), "the queue is not in the order of arrival"
    while True:
        assert "received signal " + fault in banners[-1]["screen"], banners[-1]["screen"]
        t.quit()
        if len(banners) == count:
            break
        banners.append(t.banner())
        assert banners[-1]["waiting"] == count - len(banners), banners[-1]
    assert [b["pid"] for b in banners] == order, (banners, order)
    assert {b["signal"] for b in banners} == {fault}
    return banners


def ends_as_without(stage, t, argv, count, pattern, kinds=sorted, **kwargs):
    """The tree's status, and its lines that match pattern, are those of a run
    without us; and there were count sessions. kinds: what of the lines is compared."""
    plain = stage.spawn(*argv, **kwargs)
    status = plain.finish()
    assert t.finish() == status, (t.exitstatus, t.signalstatus, status)
    assert len(re.findall(BANNER, t.shown)) == count, "too many sessions, or too few"
    ours, theirs = (kinds(re.findall(pattern, shown, re.M)) for shown in (t.shown, plain.shown))
    assert theirs, "the pattern finds nothing in the run without us"
    assert ours == theirs, (ours, theirs)
    return status


@test
def make_over_recipes_that_crash(stage):
    names = ["one", "two", "three", "four"]
    stage.write("Makefile", f"all: {' '.join(names)}\n.PHONY: all {' '.join(names)}\n" +
                "".join(f"{n}:\n\t@{CRASH_PY}\n" for n in names))
    argv = ["make", "-j4"]
    t = stage.run(*argv)
    banners = serve(stage, t, 4)
    assert {b["comm"] for b in banners} == {"python3"}, banners
    # Without us a first failure can keep make from starting the fourth: -k.
    plain = [*argv, "-k"]
    assert ends_as_without(stage, t, plain, 4, r"^make: \*\*\* \[.*") == 2


@test
def make_goes_on_with_what_does_not_crash(stage):
    stage.write("Makefile", f"all: bad good\nbad:\n\t@{CRASH_PY}\ngood:\n\t@echo built\n")
    argv = ["make", "-k"]
    t = stage.run(*argv)
    serve(stage, t, 1)
    assert ends_as_without(stage, t, argv, 1, r"^make: .*|^built") == 2


@test
def xargs_in_parallel(stage):
    argv = ["sh", "-c", "printf '1\\n2\\n3\\n4\\n' | xargs -P 4 -n 1 "
            "/usr/bin/python3 -c 'import ctypes; ctypes.string_at(0)'"]
    t = stage.run(*argv)
    serve(stage, t, 4)
    # It says so of the first, and of as many more as have ended when it looks.
    assert ends_as_without(stage, t, argv, 4, r"^xargs: .*", kinds=set) == 125


@test
def a_pipeline_with_a_crash_in_the_middle(stage):
    # It crashes after it has passed on what it read: neither of its standard
    # streams is the terminal.
    middle = ("import sys, ctypes; sys.stdout.write(sys.stdin.read().upper()); "
              "sys.stdout.flush(); ctypes.string_at(0)")
    argv = ["bash", "-c", f"printf 'one\\ntwo\\n' | /usr/bin/python3 -c '{middle}' | cat; "
            "s=\"${PIPESTATUS[@]}\"; echo \"statuses $s\""]
    t = stage.run(*argv)
    serve(stage, t, 1)
    assert ends_as_without(stage, t, argv, 1, r"^ONE|^TWO|^statuses .*") == 0
    assert "statuses 0 139 0" in t.shown


PERL = r"""
my @pids;
for (1 .. 3) {
    my $pid = fork;
    if (!$pid) { sleep 1000 while 1 }
    push @pids, $pid;
}
kill SEGV => $pids[1];
waitpid $pids[1], 0;
printf "worker 2: signal %d\n", $? & 127;
kill TERM => @pids[0, 2];
for (0, 2) { waitpid $pids[$_], 0; printf "worker %d: signal %d\n", $_ + 1, $? & 127 }
exit 3;
"""


@test
def a_worker_of_perl_is_killed_by_segv(stage):
    argv = ["perl", stage.write("workers.pl", PERL)]
    t = stage.run(*argv)
    serve(stage, t, 1)
    assert ends_as_without(stage, t, argv, 1, r"^worker .*") == 3


PYTHON = """
import os, signal
workers = []
for n in range(3):
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGSEGV)
        os._exit(9)
    workers.append(pid)
for n, pid in enumerate(workers):
    print(f"worker {n}: status {os.waitpid(pid, 0)[1] & 127}", flush=True)
raise SystemExit(4)
"""


@test
def workers_of_python_kill_themselves(stage):
    argv = ["/usr/bin/python3", stage.write("workers.py", PYTHON)]
    t = stage.run(*argv)
    serve(stage, t, 3)
    assert ends_as_without(stage, t, argv, 3, r"^worker .*") == 4


MULTIPROCESSING = """
import ctypes, multiprocessing
def work(n):
    if n % 2:
        ctypes.string_at(0)
if __name__ == "__main__":
    workers = [multiprocessing.Process(target=work, args=(n,)) for n in range(4)]
    for w in workers: w.start()
    for w in workers: w.join()
    print("exit codes", [w.exitcode for w in workers], flush=True)
"""


@test
def workers_of_multiprocessing(stage):
    argv = ["/usr/bin/python3", stage.write("workers.py", MULTIPROCESSING)]
    t = stage.run(*argv)
    serve(stage, t, 2)
    assert ends_as_without(stage, t, argv, 2, r"^exit codes .*") == 0
    assert "exit codes [0, -11, 0, -11]" in t.shown


main()
