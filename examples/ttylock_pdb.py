"""breakpoint() in several Python processes: each gets pdb on the one terminal, in turn.

    PYTHONPATH=examples PYTHONBREAKPOINT=ttylock_pdb.set_trace python3 program.py

No change to the program, whether its processes come from multiprocessing, os.fork or
subprocess. A process keeps the terminal while one steps, and gives it to the next at
`continue`, at `quit` and at its end. Where there is no terminal a breakpoint is a line
on standard error, and the program goes on.

All that it needs of libttylock stands in Turn: open, acquire, take, release.
The library is $LIBTTYLOCK, else that of the checkout which this file stands in, else
the installed one.
"""
import contextlib
import ctypes
import os
import pdb
import sys
import threading

START = 1  # TTYLOCK_START
BREAKPOINT = 1  # TTYLOCK_BREAKPOINT


def library():
    built = os.path.join(os.path.dirname(__file__), "../build/libttylock.so.0")
    default = built if os.path.exists(built) else "libttylock.so.0"
    return ctypes.CDLL(os.environ.get("LIBTTYLOCK", default))


class Wish(ctypes.Structure):
    """struct ttylock_wish"""
    _fields_ = [("task_name", ctypes.c_char_p), ("task_id", ctypes.c_uint64),
                ("reason", ctypes.c_int), ("text", ctypes.c_char_p), ("subject", ctypes.c_int),
                ("nonblock", ctypes.c_bool), ("shield", ctypes.c_bool),
                ("redraw", ctypes.c_void_p), ("redraw_arg", ctypes.c_void_p)]


class Turn:
    """This process's turn at its terminal: taken with acquire(), given back with release()."""

    def __init__(self):
        self.pid = os.getpid()
        self.held = None
        self.handle = ctypes.c_void_p()
        self.lib = library()
        self.lib.ttylock_release.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
        self.lib.ttylock_take_terminal.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
        self.lib.ttylock_acquire.argtypes = [ctypes.c_void_p, ctypes.POINTER(Wish), ctypes.c_int,
                                             ctypes.POINTER(ctypes.c_uint64)]
        self._check(self.lib.ttylock_open(ctypes.byref(self.handle), -1, START))
        self.terminal = self.lib.ttylock_terminal(self.handle)

    @staticmethod
    def _check(result):
        if result < 0:
            raise OSError(-result, os.strerror(-result))

    def acquire(self, text):
        # Python would raise Ctrl-C's exception in the main thread, whoever is at the prompt.
        wish = Wish(reason=BREAKPOINT, text=text.encode(errors="replace"),
                    shield=threading.current_thread() is not threading.main_thread())
        number = ctypes.c_uint64()
        self._check(self.lib.ttylock_acquire(self.handle, ctypes.byref(wish), -1,
                                             ctypes.byref(number)))
        self.held = number.value
        try:
            self._check(self.lib.ttylock_take_terminal(self.handle, self.held))
        except OSError:
            self.release()
            raise

    def release(self):
        number, self.held = self.held, None
        self.lib.ttylock_release(self.handle, number)


@contextlib.contextmanager
def at_the_terminal(terminal):
    """Input and output are the terminal's, whatever the process has for them: readline,
    with its history and its arrow keys, is there for descriptors 0 and 1 alone."""
    files, kept = (sys.stdin, sys.stdout), [os.dup(0), os.dup(1)]
    sys.stdout.flush()
    os.dup2(terminal, 0)
    os.dup2(terminal, 1)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stdin, sys.stdout = files
        for number, descriptor in enumerate(kept):
            os.dup2(descriptor, number)
            os.close(descriptor)


class Debugger(pdb.Pdb):
    """pdb that has the terminal from the first prompt until the program goes on."""

    def __init__(self, turn):
        super().__init__(nosigint=True)  # Ctrl-C is the program's once it goes on
        self.turn = turn
        self.goes_on = False

    def set_continue(self):
        super().set_continue()
        self.goes_on = True

    def set_quit(self):
        super().set_quit()
        self.goes_on = True

    def interaction(self, frame, traceback):
        where = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
        self.goes_on = False
        first = self.turn.held is None
        if first:
            self.turn.acquire(where)
        try:
            with at_the_terminal(self.turn.terminal):
                self.stdin, self.stdout = sys.stdin, sys.stdout
                if first:
                    print(f"\nttylock: breakpoint: python (pid {os.getpid()}): {where}")
                super().interaction(frame, traceback)
        finally:
            if self.goes_on:
                self.turn.release()


_this_thread = threading.local()


def _debugger():
    """Each thread asks for itself; a child of fork() has no part in its parent's turn."""
    found = getattr(_this_thread, "debugger", None)
    if found is None or found.turn.pid != os.getpid():
        found = _this_thread.debugger = Debugger(Turn())
    return found


def set_trace():
    """What breakpoint() calls, by PYTHONBREAKPOINT."""
    frame = sys._getframe().f_back
    try:
        debugger = _debugger()
    except OSError as error:
        print(f"ttylock: no debugger for pid {os.getpid()} at {frame.f_code.co_filename}:"
              f"{frame.f_lineno}: {error}", file=sys.stderr)
        return
    debugger.set_trace(frame)
