"""The daemons, servers and measuring programs of one part of the benchmark: started
here, on one processor if wanted, and ended here, by pid."""
import fcntl
import os
import shutil
import signal
import subprocess
import termios
import time

DEADLINE_S = 30


def pin():
    """The last processor: the first ones have the interrupts."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def until(condition, what):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.005)


class Servers:
    """A context. redis: a socket; etcd: a port; None where it is not installed or not wanted."""

    def __init__(self, build, directory, pinned, rivals):
        self.build, self.directory, self.pinned = build, directory, pinned
        self.running, self.ptys = [], []
        self.env = {**{k: v for k, v in os.environ.items() if not k.startswith("TTYLOCK_")},
                    "XDG_RUNTIME_DIR": directory, "HOME": directory, "TERM": "dumb",
                    "PATH": f"{build}:{os.environ['PATH']}:/usr/sbin"}
        self.rivals = rivals
        self.redis = self.etcd = None

    def __enter__(self):
        os.makedirs(self.directory, mode=0o700)
        try:
            if self.rivals and shutil.which("redis-server"):
                self.redis = self._start_redis()
            if self.rivals and shutil.which("etcd"):
                self.etcd = self._start_etcd()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.running:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for fd in self.ptys:
            os.close(fd)

    def path(self, name):
        return os.path.join(self.directory, name)

    def start(self, argv, **kwargs):
        with open(self.path("log"), "ab") as log:
            process = subprocess.Popen(
                [str(a) for a in argv], env=self.env, cwd=self.directory,
                **{"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log,
                   "preexec_fn": pin if self.pinned else None, **kwargs})
        self.running.append(process)
        return process

    def daemon(self, name):
        """Starts a ttylockd and returns its socket."""
        socket = self.path(f"{name}.sock")
        self.start([os.path.join(self.build, "ttylockd"), "--socket", socket])
        until(lambda: os.path.exists(socket), "ttylockd")
        return socket

    def run(self, program, *argv, timeout=600):
        """A measuring program to its end: what it printed."""
        process = self.start([os.path.join(self.build, "tests/bench", program), *argv],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        out, said = process.communicate(timeout=timeout)
        if process.returncode:
            raise RuntimeError(f"{program}: {process.returncode}: {said}")
        return out

    def terminal(self):
        """A terminal of its own for a new session: the arguments for start()."""
        master, slave = os.openpty()
        self.ptys += [master, slave]

        def become():
            if self.pinned:
                pin()
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        return {"stdin": slave, "preexec_fn": become}

    def _start_redis(self):
        socket = self.path("redis.sock")
        self.start(["redis-server", "--unixsocket", socket, "--port", "0", "--save", "",
                    "--appendonly", "no", "--dir", self.directory])
        until(lambda: os.path.exists(socket), "redis-server")
        return socket

    def _start_etcd(self):
        port = 20000 + os.getpid() % 10000
        self.start(["etcd", "--data-dir", self.path("etcd"),
                    "--listen-client-urls", f"http://127.0.0.1:{port}",
                    "--advertise-client-urls", f"http://127.0.0.1:{port}",
                    "--listen-peer-urls", f"http://127.0.0.1:{port + 1}",
                    "--initial-advertise-peer-urls", f"http://127.0.0.1:{port + 1}",
                    "--initial-cluster", f"default=http://127.0.0.1:{port + 1}"])

        def serves():
            with open(self.path("log"), errors="replace") as f:
                return "ready to serve client requests" in f.read()

        until(serves, "etcd")
        return port
