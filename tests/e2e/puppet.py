"""A program that does with the library what a test tells it to: see
tests/library/puppet.c for its commands."""
import os
import select
import socket
import time

from harness import BUILD, TIMEOUT, until

PROGRAM = os.path.join(BUILD, "tests/library/puppet")


class Thread:
    """One thread of a puppet: ask() waits for its answer, begin() does not."""

    def __init__(self, connection):
        self.connection = connection
        self.buffer = b""
        self.pid, self.tid = map(int, self.answer().split())

    def begin(self, *words):
        self.connection.sendall((" ".join(map(str, words)) + "\n").encode())

    def answer(self, timeout=TIMEOUT):
        deadline = time.monotonic() + timeout
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.connection], [], [], left)[0]:
                raise AssertionError(f"no answer within {timeout:g} s")
            got = self.connection.recv(4096)
            if not got:
                raise EOFError("it has ended")
            self.buffer += got
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode()

    def is_waiting(self):
        """No answer is there yet."""
        return not self.buffer and not select.select([self.connection], [], [], 0)[0]

    def ask(self, *words):
        self.begin(*words)
        return self.answer()

    def fork(self):
        """A child of this one; of a puppet's first thread alone."""
        return self.puppet.adopt(int(self.ask("fork")))

    def acquire(self, handle=0, timeout=-1, flags="-", text="-", task=""):
        """The id of a request that is granted, or the error's name."""
        return self.ask("acquire", handle, timeout, flags, text, task)

    def begin_acquire(self, handle=0, timeout=-1, flags="-", text="-", task=""):
        self.begin("acquire", handle, timeout, flags, text, task)

    def seen(self):
        """What the host's handlers have seen: a dict of numbers."""
        return {k: int(v) for k, v in (f.split("=") for f in self.ask("seen").split())}

    def until_asked(self, thread):
        """Waits until that thread's acquire() has an id for others to use."""
        return until(lambda: int(self.ask("asked", thread)), "the request's id")


class Puppet(Thread):
    """A process, alone on a new terminal or beside others on an old one.

    .threads are all its threads, itself the first; .terminal is where it runs.
    """
    _count = 0

    def __init__(self, stage, threads=1, argv=(), env=None, **kwargs):
        Puppet._count += 1
        self.path = stage.path(f"puppet-{Puppet._count}")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(20)
        self.terminal = stage.spawn(*argv, PROGRAM, self.path, threads, env=env, **kwargs)
        self.children = []
        self.join(threads)

    def join(self, threads):
        found = sorted((self.accept() for _ in range(threads)), key=lambda t: t.tid)
        self.threads = [self] + found[1:]
        self.connection, self.buffer = found[0].connection, b""
        self.pid, self.tid = found[0].pid, found[0].tid

    def accept(self):
        """The next thread or process that joins."""
        assert select.select([self.listener], [], [], TIMEOUT)[0], "nobody joined"
        return Thread(self.listener.accept()[0])

    def fork(self):
        """A child of the puppet, to be told what to do like any other."""
        return self.adopt(int(self.ask("fork")))

    def adopt(self, pid):
        child = self.accept()
        assert pid in (None, child.pid)
        child.puppet = self
        self.children.append(child)  # it ends with its connection
        return child
