"""The public API: api.c beside this file, compiled against the header and the
shared library alone, and what each of its calls must return."""
import os
import re
import shutil
import signal
import socket
import subprocess
import threading

from harness import BUILD, ROOT, Skip, TIMEOUT, main, test, until

HEADERS = os.path.join(ROOT, "client/include")
SOURCE = os.path.join(ROOT, "tests/e2e/api.c")
LIBRARY = os.path.join(BUILD, "libttylock.so")
VERSIONS = os.path.join(ROOT, "client/lib/libttylock.map")


def compiled(stage):
    program = stage.path("api")
    # A library with a sanitizer in it needs a program with its runtime.
    undefined = subprocess.run(["nm", "-D", "--undefined-only", LIBRARY], capture_output=True,
                               text=True, check=True, timeout=TIMEOUT).stdout
    sanitizers = ["-fsanitize=address,undefined"] if "__asan_init" in undefined else []
    subprocess.run(["gcc", "-std=gnu11", "-g", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE",
                    *sanitizers, "-I", HEADERS, "-o", program, SOURCE, "-L", BUILD, "-lttylock",
                    "-Wl,-rpath," + BUILD], check=True, timeout=60)
    return program


def start(stage, mode, env=None):
    return stage.spawn(compiled(stage), mode, env=env)


def check(t, expected):
    """What it printed, line by line, and that it ended well."""
    assert t.finish() == 0, (t.exitstatus, t.signalstatus, t.shown)
    got = t.shown.splitlines()
    want = [line.strip() for line in expected.strip().splitlines()]
    for a, b in zip(got, want):
        assert a == b, f"{a!r} is not {b!r}, in:\n{t.shown}"
    assert len(got) == len(want), t.shown


@test
def opening(stage):
    check(start(stage, "opening"), """
        open without a daemon: ENOENT
        open /dev/null: ENOTTY
        open a closed descriptor: ENOTTY
        open read-only: EACCES
        untouched: 1
        open: 0
        acquire: 0
        descriptor is inherited: 0
        open without a terminal: 0
        count: 0
        acquire without a terminal: ENOTTY""")


@test
def without_a_terminal(stage):
    out = subprocess.run([compiled(stage), "no-terminal"], env=stage.env, capture_output=True,
                         stdin=subprocess.DEVNULL, text=True, timeout=TIMEOUT,
                         start_new_session=True)
    assert (out.returncode, out.stdout, out.stderr) == (0, "open: ENOTTY\n", ""), out


@test
def what_a_false_daemon_is_told_by(stage):
    for name, answer, error in (("version", b"\x04\x72\x02\x08\x01", "EPROTONOSUPPORT"),
                                ("denied", b"\x04\x72\x02\x08\x04", "EACCES"),
                                ("quota", b"\x04\x72\x02\x08\x06", "EUSERS"),
                                ("garbage", b"\0\0\0\0", "EPROTO")):
        path = stage.path(name)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen()

            def serve(server=server, answer=answer):
                peer, _ = server.accept()
                with peer:
                    peer.recv(1024)
                    peer.sendall(answer)
                    peer.recv(1024)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            check(start(stage, "only-open", env={"TTYLOCK_SOCKET": path}), f"open: {error}")
            thread.join(TIMEOUT)
    check(start(stage, "only-open", env={"TTYLOCK_SOCKET": stage.path("x" * 120)}),
          "open: ENAMETOOLONG")


@test
def blocking_with_deadlines(stage):
    check(start(stage, "blocking"), """
        acquire: 0
        state: GRANTED -
        rival nonblock: EBUSY
        rival 100 ms: ETIMEDOUT
        rival 0 ms: ETIMEDOUT
        count: 1
        rival: 0
        rival: QUEUED 1, behind 1 api for a test
        state: GRANTED -
        release: 0
        release again: ENOENT
        cancel: ENOENT
        state: ENOENT
        acquire with defaults: 0
        cancel a grant: 0
        count: 0""")


@test
def tasks_and_double_locks(stage):
    check(start(stage, "tasks"), """
        first: 0
        first again: EDEADLK
        first: GRANTED -
        second: 0
        second: QUEUED 1, behind 1 api for a test
        second again: EDEADLK
        third: EBUSY
        count: 2
        release: 0
        second: GRANTED -
        first: 0
        first: QUEUED 1, behind 1 api for a test
        cancel: 0
        first: ENOENT
        count: 1
        other: 0
        other: QUEUED 1, behind 1 api for a test
        other: GRANTED -""")


@test
def an_id_is_its_handles(stage):
    check(start(stage, "handles"), """
        acquire: 0
        queue: 0
        other: QUEUED 1, behind 1 api for a test
        release by the other: ENOENT
        state: GRANTED -
        cancel by the other: ENOENT
        other: QUEUED -""")


@test
def fields_out_of_range(stage):
    check(start(stage, "ranges"), """
        64 byte name: EINVAL
        63 byte name: 0
        release: 0
        reason 4: EINVAL
        reason -1: EINVAL
        subject -1: EINVAL
        breakpoint: 0
        count: 1""")


@test
def listing(stage):
    check(start(stage, "listing"), """
        last: QUEUED 3, behind 1 api for a test
        entry: 1 1 1 task 1 3 for a test 1 0 1 0
        entry: 1 1 1 task 2 3 for a test 1 1 1 0
        entry: 1 1 1 task 3 3 for a test 1 2 1 0
        list: 42
        count: 4""")


@test
def a_forked_child_is_inert(stage):
    # But with a handle of its own it is served on top of its parent's grant.
    check(start(stage, "forking"), """
        acquire: 0
        child acquire: ECONNRESET
        child release: ECONNRESET
        child dispatch: ECONNRESET
        child of its own: 0
        state: GRANTED -
        count: 1
        release: 0""")


@test
def a_wait_that_a_signal_interrupts(stage):
    check(start(stage, "interrupted"), """
        acquire: 0
        wait: EINTR
        count: 1""")


@test
def the_daemon_is_killed_for_good(stage):
    daemon = stage.serve()
    t, waiting = start(stage, "lost"), start(stage, "lost-waiting")
    t.expect("kill it\r\n")
    waiting.expect("kill it\r\n")
    os.kill(daemon, signal.SIGKILL)
    check(waiting, """
        acquire: 0
        kill it
        wait: ECONNRESET""")
    t.expect("cancel: ECONNRESET\r\n")  # a daemon that it starts before would be for both
    t.sendline("start the next")
    check(t, """
        acquire: 0
        queue: 0
        kill it
        dispatch: ECONNRESET
        held: LOST -
        waits: LOST -
        dispatch again: ECONNRESET
        fd: 0
        acquire: ECONNRESET
        list: ECONNRESET
        release: ECONNRESET
        release again: ENOENT
        cancel: ECONNRESET
        start the next
        with the next daemon: 0""")


@test
def the_header_is_cplusplus(stage):
    if not shutil.which("g++"):
        raise Skip("no g++")
    source = stage.write("api.cc", "#include <ttylock.h>\n#include <ttylock.h>\n"
                         "int main() { ttylock_wish wish = {}; ttylock_close(nullptr); "
                         "return wish.nonblock; }\n")
    for standard in ("c++11", "c++20"):
        subprocess.run(["g++", f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                        "-I", HEADERS, "-o", stage.path("cc"), source, "-L", BUILD, "-lttylock",
                        "-Wl,--allow-shlib-undefined"],
                       check=True, timeout=60)


@test
def the_header_stands_alone(stage):
    for standard in ("c99", "gnu11", "c17"):
        subprocess.run(["gcc", f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
                        "-fsyntax-only", "-x", "c", os.path.join(HEADERS, "ttylock.h")],
                       check=True, timeout=60)


@test
def exported_symbols(stage):
    with open(VERSIONS) as f:
        listed = set(re.findall(r"^\s*(\w+);", f.read(), re.M)) - {"local"}
    header = subprocess.run(["gcc", "-E", "-P", "-x", "c", os.path.join(HEADERS, "ttylock.h")],
                            capture_output=True, text=True, check=True, timeout=TIMEOUT).stdout
    declared = set(re.findall(r"\b(ttylock_\w+)\(", header))
    out = subprocess.run(["nm", "-D", "--defined-only", LIBRARY], capture_output=True, text=True,
                         check=True, timeout=TIMEOUT).stdout
    exported = {line.split()[2].split("@")[0] for line in out.splitlines()
                if line.split()[1] != "A"}
    if "__asan" in out or "__asan_init" in subprocess.run(
            ["nm", "-D", LIBRARY], capture_output=True, text=True, timeout=TIMEOUT).stdout:
        exported = {name for name in exported if not name.startswith(("__asan", "__odr", "_Z"))}
    assert exported == listed, exported ^ listed
    assert declared == listed, declared ^ listed
    soname = subprocess.run(["objdump", "-p", LIBRARY], capture_output=True, text=True, check=True,
                            timeout=TIMEOUT).stdout
    assert re.search(r"SONAME\s+libttylock\.so\.0$", soname, re.M), soname


main()
