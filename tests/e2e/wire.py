"""A client that speaks the daemon's frames itself (proto/ttylock.proto), for what
the library would never send."""
import array
import contextlib
import ctypes
import os
import pickle
import re
import signal
import socket
import struct
import subprocess
import tempfile
import traceback

from harness import BUILD, TIMEOUT, proc_stat, until

# Envelope's fields.
HELLO, WELCOME, TERMINAL_OPEN, LOCK_REQUEST, LOCK_STATUS, LOCK_RELEASE, LOCK_CANCEL = range(1, 8)
STATUS_QUERY, STATUS_REPORT, WATCH, EVENT = range(9, 13)
FORCE_RELEASE, ERROR, WAIT_IDLE, SERVE_FIRST = range(13, 17)
QUEUED, GRANTED, RELEASED, CANCELLED, REFUSED = range(1, 6)
BUSY, DEADLOCK, DENIED, TERMINAL, QUOTA = range(2, 7)


libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWPID = 0x20000, 0x20000000


def call(function, *args):
    """A function of libc's, which returns less than 0 with errno set when it fails."""
    if function(*args) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def varint(n):
    out = b""
    while n > 0x7f:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def message(fields):
    """{number: int, bytes, str or dict} encoded."""
    out = b""
    for number, value in fields.items():
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            data = message(value) if isinstance(value, dict) else \
                value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def frame(kind, fields):
    data = message({kind: fields})
    return varint(len(data)) + data


def parse(data):
    """The fields of a message: {number: int or bytes}; the last one of each counts."""
    fields, at = {}, 0

    def number():
        nonlocal at
        n = shift = 0
        while True:
            n |= (data[at] & 0x7f) << shift
            shift += 7
            at += 1
            if data[at - 1] < 0x80:
                return n

    while at < len(data):
        key = number()
        if key & 7 == 0:
            fields[key >> 3] = number()
        else:
            size = number()
            fields[key >> 3] = data[at:at + size]
            at += size
    return fields


def lock_request(request=1, task=1, terminal=0, **fields):
    return frame(LOCK_REQUEST, {1: request, 2: terminal, 3: {1: "task", 2: task}, 4: 3,
                                5: fields.get("text", "why")})


class Wire:
    def __init__(self, path, tty=None, hello=True):
        self.socket = socket.socket(socket.AF_UNIX)
        # In line, as the library does: Python's own time-out gives up at a full backlog.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO,
                               struct.pack("ll", int(TIMEOUT), 0))
        self.socket.connect(path)
        self.socket.settimeout(TIMEOUT)
        self.buffer = b""
        if hello:
            self.send(HELLO, {1: 1})
            assert self.receive()[0] == WELCOME
        if tty is not None:
            self.open(tty)

    def fileno(self):
        return self.socket.fileno()

    def close(self):
        self.socket.close()

    def send(self, kind, fields):
        self.socket.sendall(frame(kind, fields))

    def open(self, tty, number=0):
        self.socket.sendmsg([frame(TERMINAL_OPEN, {1: number})],
                            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [tty]))])

    def receive(self):
        """(kind, fields) of the next frame, None at the end of the connection."""
        while True:
            size = at = 0
            while at < len(self.buffer):
                size |= (self.buffer[at] & 0x7f) << 7 * at
                at += 1
                if self.buffer[at - 1] < 0x80:
                    break
            else:
                size = None
            if size is not None and len(self.buffer) >= at + size:
                fields, self.buffer = parse(self.buffer[at:at + size]), self.buffer[at + size:]
                (kind, data), = fields.items()
                return kind, parse(data)
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return None
            self.buffer += more

    def expect(self, kind):
        got = self.receive()
        assert got and got[0] == kind, (got, kind)
        return got[1]

    def lock(self, request=1, task=1, **fields):
        """The LockStatus that answers."""
        self.socket.sendall(lock_request(request, task, **fields))
        return self.expect(LOCK_STATUS)

    def release(self, request=1):
        self.send(LOCK_RELEASE, {1: request})

    def status(self):
        """The entries of all requests."""
        self.send(STATUS_QUERY, {1: 7})
        entries = []
        while True:
            report = self.expect(STATUS_REPORT)
            if report.get(3):
                return entries
            entries.append(parse(report[2]))

    def is_closed(self):
        """Whether the daemon has hung up; what it says before is read away."""
        self.socket.setblocking(False)
        try:
            while self.socket.recv(65536):
                pass
            return True
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True
        finally:
            self.socket.settimeout(TIMEOUT)


def in_child(function, uid=None):
    """What function() returns in a forked child, of another user if one is given."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if uid is not None:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            result = True, function()
        except BaseException:  # noqa: B902 - the parent reports it
            result = False, traceback.format_exc()
        with os.fdopen(write_end, "wb") as f:
            pickle.dump(result, f)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as f:
        data = f.read()
    os.waitpid(pid, 0)
    good, result = pickle.loads(data) if data else (False, "the child has died")
    assert good, result
    return result


class Daemon:
    """A daemon for everybody, as the system's is; `with Daemon(stage) as d:`."""

    def __init__(self, stage, *prefix, level="info"):
        os.chmod(stage.dir, 0o755)
        self.place = tempfile.mkdtemp(prefix="public-", dir=stage.dir)
        os.chmod(self.place, 0o755)
        self.path = os.path.join(self.place, "s")
        self.log_path = os.path.join(self.place, "log")
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(
                [*prefix, os.path.join(BUILD, "ttylockd"), "--socket", self.path,
                 "--log-level", level], env=stage.env, stdin=subprocess.DEVNULL, stderr=log)

    def __enter__(self):
        def serves():
            assert self.process.poll() is None, self.log()
            return "serves " in self.log()

        until(serves, "the daemon's socket")
        os.chmod(self.path, 0o666)
        # Below a prefix that forks it is another process than ours.
        below = [int(p) for p in os.listdir("/proc") if p.isdigit() and self._is_it(int(p))]
        self.pid = min(below, default=self.process.pid)
        return self

    def _is_it(self, pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                argv = f.read().split(b"\0")
            return argv[0].endswith(b"ttylockd") and self.path.encode() in argv
        except OSError:
            return False

    def __exit__(self, *_):
        for pid in {self.pid, self.process.pid}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(TIMEOUT)

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def cpu(self):
        """Seconds that it has run."""
        stat = proc_stat(self.pid)
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def rss(self):
        """KiB that it has in memory."""
        with open(f"/proc/{self.pid}/status") as f:
            return int(re.search(r"VmRSS:\s*(\d+)", f.read())[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))
