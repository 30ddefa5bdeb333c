"""Under a service manager, played by this file: it passes the listening socket, is told
what to keep, and gives that back to the next daemon."""
import array
import fcntl
import socket

from harness import *
from wire import GRANTED, QUEUED, REFUSED, Wire, parse

LOCK_REQUEST, LOCK_STATUS = 4, 5


class Manager:
    """What systemd does for a unit with Type=notify and FileDescriptorStoreMax=."""

    def __init__(self, stage):
        self.stage = stage
        self.path = stage.path("daemon.sock")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(stage.path("notify"))
        self.notify.settimeout(TIMEOUT)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(64)
        self.kept = {}  # name -> descriptor
        self.told = []
        self.daemon = None

    def start(self, extra=()):
        """With the socket, all that it keeps, and `extra` (name, descriptor)."""
        passed = [("ttylockd.socket", self.listener.fileno()), *self.kept.items(), *extra]
        # They have to be 3, 4, ..., whatever lies there here: numbers far above first.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 500) for _, fd in passed]
        script = "".join(f"exec {3 + i}<&{fd} {fd}<&-; " for i, fd in enumerate(high))
        env = {**self.stage.env, "NOTIFY_SOCKET": self.stage.path("notify"),
               "LISTEN_FDS": str(len(passed)), "LISTEN_FDNAMES": ":".join(n for n, _ in passed)}
        self.daemon = subprocess.Popen(
            ["/bin/bash", "-c", f'{script} export LISTEN_PID=$$; exec "$0" --log-level debug',
             os.path.join(BUILD, "ttylockd")], env=env, pass_fds=high,
            stdin=subprocess.DEVNULL, stderr=open(self.stage.path("log"), "a"))
        for fd in high:
            os.close(fd)
        self.stage.pids.add(self.daemon.pid)
        self.hear("READY=1")

    def hear(self, what):
        """Takes in what it is told, up to that."""
        while True:
            data, control, _flags, _from = self.notify.recvmsg(4096, socket.CMSG_SPACE(4 * 16))
            fds = array.array("i")
            for _level, _type, payload in control:
                fds.frombytes(payload)
            lines = data.decode().split("\n")
            values = dict(line.split("=", 1) for line in lines if "=" in line)
            self.told.append(values)
            name = values.get("FDNAME")
            if values.get("FDSTORE") == "1":
                assert len(fds) == 1 and values.get("FDPOLL") == "0", values
                self.forget(name)
                self.kept[name] = fds[0]
            elif values.get("FDSTOREREMOVE") == "1":
                self.forget(name)
            if what in lines:
                return values

    def forget(self, name):
        if name in self.kept:
            os.close(self.kept.pop(name))

    def end(self, sig=signal.SIGKILL):
        self.daemon.send_signal(sig)
        self.daemon.wait(TIMEOUT)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"END=1", self.stage.path("notify"))
        self.hear("END=1")

    def log(self):
        with open(self.stage.path("log")) as f:
            return f.read()


def asks(manager, tty, task):
    wire = Wire(manager.path, tty)
    return wire, wire.lock(1, task)


def reclaims(manager, tty, token):
    wire = Wire(manager.path, tty)
    wire.send(LOCK_REQUEST, {1: 7, 9: token})
    return wire, wire.expect(LOCK_STATUS)


@test()
def what_is_kept_is_used_by_the_next_daemon(stage):
    manager = Manager(stage)
    manager.start()
    _master, tty = os.openpty()
    holder, held = asks(manager, tty, 1)
    waiter, waits = asks(manager, tty, 2)
    assert (held[3], waits[3]) == (GRANTED, QUEUED)
    for sig in signal.SIGKILL, signal.SIGTERM, signal.SIGKILL:
        manager.end(sig)
        assert sorted(manager.kept) == ["ledger", "terminal-1"], manager.told
        manager.start()
        late, status = asks(manager, tty, 3)
        assert status[3] == QUEUED and parse(status[7])[1] == held[2], status
        late.close()
    again, status = reclaims(manager, tty, waits[8])
    assert (status[2], status[3], status[4]) == (waits[2], QUEUED, 1), status
    back, status = reclaims(manager, tty, held[8])
    assert (status[2], status[3]) == (held[2], GRANTED), status
    back.release(7)
    assert again.expect(LOCK_STATUS)[3] == GRANTED
    for wire in holder, waiter, back, again:
        wire.close()


@test()
def a_terminal_that_nobody_shows_any_more_is_forgotten(stage):
    manager = Manager(stage)
    manager.start()
    _master, tty = os.openpty()
    wire, status = asks(manager, tty, 1)
    assert status[3] == GRANTED
    wire.release()
    wire.close()
    manager.hear("FDNAME=terminal-1")  # to be kept
    assert manager.hear("FDNAME=terminal-1").get("FDSTOREREMOVE") == "1"
    assert sorted(manager.kept) == ["ledger"]


@test()
def a_reused_number_is_another_terminal(stage):
    """The kept descriptor knows that its terminal is dead, whatever has its name now."""
    manager = Manager(stage)
    manager.start()
    master, tty = os.openpty()
    name = os.ttyname(tty)
    holder, held = asks(manager, tty, 1)
    assert held[3] == GRANTED
    manager.end()
    holder.close()
    os.close(tty)
    os.close(master)
    pairs = []
    while not pairs or os.ttyname(pairs[-1][1]) != name:
        assert len(pairs) < 100
        pairs.append(os.openpty())
    manager.start()
    other, status = asks(manager, pairs[-1][1], 2)
    assert status[3] == GRANTED, status
    other.close()
    for pair in pairs:
        os.close(pair[0])
        os.close(pair[1])


@test()
def what_nobody_knows_is_given_up(stage):
    manager = Manager(stage)
    with open(stage.path("junk"), "w") as f:
        f.write("junk\n" * 2000)
    junk = os.open(stage.path("junk"), os.O_RDWR)
    manager.start([("ledger-of-a-later-version", junk), ("terminal-99", junk)])
    manager.end()
    manager.start()  # and it has said so before it was ready, or soon after
    removed = {v["FDNAME"] for v in manager.told if v.get("FDSTOREREMOVE") == "1"}
    assert removed == {"ledger-of-a-later-version", "terminal-99"}, manager.told
    manager.end()
    # One under its own name that cannot be read is replaced, and that is said.
    manager.forget("ledger")
    manager.kept["ledger"] = os.dup(junk)
    manager.start()
    assert "cannot be read" in manager.log()
    _master, tty = os.openpty()
    wire, held = asks(manager, tty, 1)
    manager.end()
    wire.close()
    manager.start()
    wire, status = reclaims(manager, tty, held[8])
    assert status[3] == GRANTED
    wire.close()


@test()
def a_token_is_worth_nothing_to_another_user(stage):
    if os.geteuid() != 0:
        raise Skip("needs root, to be two users")
    from wire import in_child
    manager = Manager(stage)
    manager.start()
    os.chmod(stage.dir, 0o755)
    os.chmod(manager.path, 0o666)
    _master, tty = os.openpty()
    holder, held = asks(manager, tty, 1)
    manager.end()
    manager.start()

    def replay():
        wire, status = reclaims(manager, tty, held[8])
        wire.close()
        return status

    status = in_child(replay, 4711)
    assert (status[3], status[6]) == (REFUSED, 4), status
    status = in_child(replay)  # the same user, another process
    assert (status[3], status[6]) == (REFUSED, 4), status
    assert manager.log().count("may not be reclaimed") == 2
    back, status = reclaims(manager, tty, held[8])
    assert status[3] == GRANTED
    holder.close()
    back.close()


main()
