"""A cycle of acquire and release asks nothing of the heap, neither in the daemon nor in
the library."""
import os
import struct
import subprocess

from harness import BUILD, PROGRAMS, Skip, TIMEOUT, main, test, until

FEW, MANY = 100, 2100


class Count:
    """What a program that is started with .env asks of the heap, while it runs and after."""

    def __init__(self, stage, name):
        self.path = stage.path(name)
        with open(self.path, "wb") as f:
            f.write(bytes(8))
        self.env = {"LD_PRELOAD": os.path.join(PROGRAMS, "allocations.so"),
                    "ALLOCATIONS": self.path}

    def __int__(self):
        with open(self.path, "rb") as f:
            return struct.unpack("Q", f.read())[0]


def counted_daemon(stage):
    count, plain = Count(stage, "daemon.count"), stage.env
    stage.env = {**plain, **count.env}
    try:
        stage.serve()
    finally:
        stage.env = plain
    return count


def go_round(stage, times, daemon):
    """(the daemon's, the client's) for so many cycles; the client's with its start and end."""
    client = Count(stage, f"client.{times}")
    run = subprocess.Popen([os.path.join(BUILD, "tests/bench/locks"), "-c", str(times),
                            "1:" + stage.path("ttylock/ttylock.sock")],
                           env={**stage.env, **client.env}, stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)
    stage.pids.add(run.pid)
    assert run.stdout.readline().startswith("ready ")
    before = int(daemon)
    run.communicate("go\n", timeout=TIMEOUT)
    assert run.returncode == 0
    until(lambda: not stage.status()["terminals"], "nobody is there any more")
    return int(daemon) - before, int(client)


@test
def a_cycle_allocates_nothing(stage):
    if "san" in BUILD:
        raise Skip("a sanitizer has a heap of its own: done once, with the plain build")
    daemon = counted_daemon(stage)
    few, many = go_round(stage, FEW, daemon), go_round(stage, MANY, daemon)
    assert int(daemon) > 0 and few[1] > 0, "nothing is counted"
    # A line of the log now and then, or a look at who waits, is none of a cycle's.
    for who, a, b in zip(("daemon", "library"), few, many):
        assert b - a < (MANY - FEW) / 20, f"{who}: {a} for {FEW} cycles, {b} for {MANY}"
        print(f"{who}: {a} for {FEW} cycles, {b} for {MANY}")


main()
