"""Clients that speak the protocol by hand, for what no program of ours would send."""
import contextlib
import os
import socket
import threading

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


def lock_request(number, text=b"", name=b"t", reason=3, terminal=0):
    task = field(1, name) + field(2, number)
    return frame(4, field(1, number) + field(2, terminal) + field(3, task) + field(4, reason) +
                 field(5, text))


@contextlib.contextmanager
def client(stage, *ttys):
    """A connection that has said Hello and shown those terminals: 0, 1..."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(TIMEOUT)
        s.connect(stage.status()["daemon"]["socket"])
        s.sendall(frame(1, field(1, 1)))
        assert s.recv(4096)
        for n, tty in enumerate(ttys):
            fd = os.open(tty, os.O_RDWR | os.O_NOCTTY)
            try:
                socket.send_fds(s, [frame(3, field(1, n))], [fd])
            finally:
                os.close(fd)
        yield s


def _frames(peer):
    """The (tag, body) of each frame that comes; of those alone that are short."""
    data = b""
    while True:
        while len(data) > 1 and len(data) > data[0]:
            envelope, data = data[1:1 + data[0]], data[1 + data[0]:]
            yield envelope[0] >> 3, envelope[2:]
        more = peer.recv(1024)
        if not more:
            return
        data += more


REFUSAL = field(1, 6)  # Error: ERROR_QUOTA


def _serve(peer, entry, behind):
    with contextlib.suppress(OSError), peer:
        for tag, body in _frames(peer):
            if tag == 1:  # Hello
                peer.sendall(frame(2, field(1, 1) + field(2, 1)))
            elif entry is None:
                peer.sendall(frame(14, REFUSAL))
            elif tag == 9:  # StatusQuery
                query = body[:2]
                peer.sendall(frame(10, query + field(2, entry)) + frame(10, query + field(3, 1)) + behind)
            elif tag == 11:  # Watch
                peer.sendall(frame(12, field(1, 2) + field(2, entry)))


@contextlib.contextmanager
def false_daemon(path, entry, behind=b""):
    """One that has always the same to tell: that entry, and an event that it was granted.
    None: it refuses whatever it is asked. behind: what comes in one piece with each list."""
    def accept(server):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = server.accept()
                threading.Thread(target=_serve, args=(peer, entry, behind), daemon=True).start()

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        thread = threading.Thread(target=accept, args=(server,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(TIMEOUT)


# What the real one would never say: it cleans all texts before.
HOSTILE_TEXT = b"\x1b]0;owned\x07 \xc2\x9b31m\nrow\r\xff" + "\u202eowned\u2066".encode()
HOSTILE_COMM = b") 1 (\x1b[31m" + "\u202e".encode()
HOSTILE_ENTRY = (field(1, 1) + field(2, 1) + field(4, HOSTILE_COMM) + field(6, 2) +
                 field(7, HOSTILE_TEXT) + field(9, HOSTILE_COMM) + field(13, b"/dev/pts/0\x1b[2J"))
