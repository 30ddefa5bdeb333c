"""Clients that speak the protocol by hand, for what no program of ours would send."""
import contextlib
import os
import socket

from harness import TIMEOUT


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def frame(tag, body):
    envelope = field(tag, body)
    return varint(len(envelope)) + envelope


def lock_request(number, text=b"", name=b"t"):
    task = field(1, name) + field(2, number)
    return frame(4, field(1, number) + field(2, 0) + field(3, task) + field(4, 3) + field(5, text))


@contextlib.contextmanager
def client(stage, tty):
    """A connection that has said Hello and shown that terminal."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(TIMEOUT)
        s.connect(stage.status()["daemon"]["socket"])
        s.sendall(frame(1, field(1, 1)))
        assert s.recv(4096)
        fd = os.open(tty, os.O_RDWR | os.O_NOCTTY)
        try:
            socket.send_fds(s, [frame(3, field(1, 0))], [fd])
        finally:
            os.close(fd)
        yield s
