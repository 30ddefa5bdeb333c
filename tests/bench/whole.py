"""What whole processes cost: fresh ones, crashes, dumps, restarts; and the system calls of
a cycle."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pexpect

from processes import until

PROMPT = r"\(gdb\) "


def rows(servers, quick):
    """Yields (row, reference, waiters, [(ns, ns of the reference) of each round])."""
    yield from commands(servers, 3 if quick else 41, 1 if quick else 5)
    yield from preload(servers, 3 if quick else 41, 1 if quick else 5)
    yield from crash(servers, 1 if quick else 9)
    yield from dump(servers, 3 if quick else 100, 1 if quick else 3)


def spawn(servers, prefix, rounds, batch, *lines):
    """Commands in turn, on a terminal: for each the nanoseconds of each round."""
    argv = [*prefix, os.path.join(servers.build, "tests/bench/spawn"), rounds, batch]
    for line in lines:
        argv += [",", *line]
    process = servers.start(argv, stdout=subprocess.PIPE, text=True, **servers.terminal())
    out, _ = process.communicate(timeout=300)
    if process.returncode:
        raise RuntimeError(f"{argv}: {process.returncode}")
    found = [[] for _ in lines]
    for line in out.splitlines():
        index, _, ns = line.split()
        found[int(index)].append(float(ns))
    return found


def commands(servers, rounds, batch):
    ttylock = os.path.join(servers.build, "ttylock")
    socket = f"TTYLOCK_SOCKET={servers.daemon('commands')}"
    bare, flock, held, run, status = spawn(
        servers, [], rounds, batch, ["true"], ["flock", servers.path("file"), "true"],
        [socket, ttylock, "exec", "--", "true"], [socket, ttylock, "run", "--", "true"],
        [socket, ttylock, "status"])
    yield "exec -- true", "flock FILE true", 0, list(zip(held, flock))
    yield "run -- true", "true", 0, list(zip(run, bare))
    yield "status command", "true", 0, list(zip(status, bare))


def preload(servers, rounds, batch):
    """Below `ttylock run`: with what it preloads, and with a library that does nothing."""
    empty = os.path.join(servers.build, "tests/bench/empty.so")
    ours, other = spawn(servers, [os.path.join(servers.build, "ttylock"), "run", "--"],
                        rounds, batch, ["true"], [f"LD_PRELOAD={empty}", "true"])
    yield "preload per exec", "empty preload", 0, list(zip(ours, other))


def prompt_ns(servers, argv):
    began = time.monotonic_ns()
    t = pexpect.spawn(argv[0], argv[1:], env=servers.env, cwd=servers.directory, timeout=60)
    try:
        t.expect(PROMPT)
        took = time.monotonic_ns() - began
        t.sendline("kill")
        t.expect(PROMPT)
        t.sendline("quit")
        t.expect(pexpect.EOF)
        return took
    finally:
        t.close(force=True)


def crash(servers, rounds):
    with open(servers.path(".gdbinit"), "w") as f:
        f.write("set pagination off\nset confirm off\nset debuginfod enabled off\n")
    program = os.path.join(servers.build, "tests/bench/segv")
    pairs = []
    for _ in range(rounds):
        ours = prompt_ns(servers, [os.path.join(servers.build, "ttylock"), "run", "--", program])
        alone = prompt_ns(servers, ["gdb", "-q", "-ex", "run", "--args", program])
        pairs.append((ours, alone))
    yield "crash to prompt", "gdb alone", 0, pairs


def dump(servers, count, rounds):
    if not shutil.which("eu-stack"):
        return
    tree = servers.start(["sh", "-c", f"for i in $(seq {count}); do sleep 600 & done; "
                                      "echo; read line"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    tree.stdout.readline()
    with open(f"/proc/{tree.pid}/task/{tree.pid}/children") as f:
        pids = f.read().split()
    until(lambda: all(os.readlink(f"/proc/{p}/exe").endswith("sleep") for p in pids), "sleep")
    pairs = []
    try:
        for _ in range(rounds):
            began = time.monotonic_ns()
            subprocess.run([os.path.join(servers.build, "ttylock"), "dump", "--tree",
                            str(tree.pid)], env=servers.env, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=True, timeout=120)
            middle = time.monotonic_ns()
            for pid in [str(tree.pid), *pids]:
                subprocess.run(["eu-stack", "-s", "-p", pid], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, check=True, timeout=60)
            pairs.append((middle - began, time.monotonic_ns() - middle))
    finally:
        for pid in pids:
            os.kill(int(pid), signal.SIGTERM)
        tree.stdin.close()
        tree.wait()
    yield f"dump of {count}", "eu-stack of each", 0, pairs


def restart(build, clients, deaths):
    """Seconds from the daemon's kill until that many who wait are back: the slowest of so
    many deaths. {clients: seconds}; the herd checks their order, too."""
    found = {}
    for n in clients:
        out = subprocess.run([os.path.join(build, "tests/chaos/herd"), str(n), str(deaths)],
                             capture_output=True, text=True, timeout=120, check=True).stdout
        found[str(n)] = max(map(int, re.findall(r"most (\d+)", out))) / 1000
    return found


def system_calls(servers, cycles):
    """By process: how many of which in one uncontended cycle; None without strace(1)."""
    if not shutil.which("strace"):
        return None
    socket = servers.daemon("calls")
    client = servers.start([os.path.join(servers.build, "tests/bench/locks"), "-c", cycles,
                            f"1:{socket}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           text=True)
    daemon = int(client.stdout.readline().split()[1])
    found = {}
    for name, pid in (("daemon", daemon), ("client", client.pid)):
        found[name] = servers.start(["strace", "-c", "-o", servers.path(f"calls-{name}"),
                                     "-p", pid])

    def traced(pid):
        with open(f"/proc/{pid}/status") as f:
            return not re.search(r"TracerPid:\s*0\n", f.read())

    until(lambda: traced(daemon) and traced(client.pid), "strace")
    client.stdin.write("\n")
    client.stdin.flush()
    client.stdout.readline()
    for tracer in found.values():
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
    client.communicate("\n", timeout=60)
    return {name: calls_of(servers.path(f"calls-{name}"), cycles) for name in found}


def calls_of(path, cycles):
    calls = {}
    with open(path) as f:
        for line in f:
            m = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
            if m and m[2] != "total" and int(m[1]) * 20 >= cycles:
                calls[m[2]] = round(int(m[1]) / cycles, 2)
    return {**calls, "total": round(sum(calls.values()), 2)}
