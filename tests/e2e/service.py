"""The daemon under a real systemd, and people at its terminals: for tests that run in a
machine of their own (nspawn.py)."""
import pwd

import harness
from harness import *

SOCKET = "/run/ttylock/ttylock.sock"
UNIT, SOCKET_UNIT = "ttylockd.service", "ttylockd.socket"
OPT = "/opt/ttylock-test"


def sh(command, check=True, **kwargs):
    out = subprocess.run(command, shell=True, text=True, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         **{"timeout": TIMEOUT, **kwargs})
    assert not check or out.returncode == 0, f"{command}: {out.returncode}\n{out.stdout}"
    return out.stdout


def ours():
    """What there is of us in the file system."""
    return set(sh("find /usr /lib /etc /run /var/lib /home -xdev -name '*ttylock*' "
                  "-not -path '/run/systemd/*'").split())


def somebody(name):
    """A real user, with a home."""
    sh(f"useradd --create-home --shell /bin/sh {name}")
    with open(f"/home/{name}/.gdbinit", "w") as f:
        f.write("set pagination off\nset width 0\n")


def programs():
    """Those of the tests that crash, where every user can run them."""
    os.makedirs(OPT, exist_ok=True)
    sh(f"cp {PROGRAMS}/crash {PROGRAMS}/crowd {OPT}")


def show(name, unit=UNIT, manager=""):
    return sh(f"{manager or 'systemctl'} show --value -p {name} {unit}").strip()


def main_pid(manager=""):
    return int(show("MainPID", manager=manager))


def daemons():
    return [int(p) for p in sh("pgrep -x ttylockd", check=False).split()]


def another(than, manager=""):
    """Waits until the service manager has started one in its place."""
    def look():
        pid = main_pid(manager)
        return pid if pid not in (0, than) and show("ActiveState", manager=manager) == "active" else None
    return until(look, "another daemon")


def run_as(stage, name, *argv, env=None):
    """A command of that user on a pty that is that user's, as after a login."""
    user = pwd.getpwnam(name)

    def become():
        os.fchown(0, user.pw_uid, -1)
        os.initgroups(name, user.pw_gid)
        os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
        os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)

    own = {"HOME": user.pw_dir, "USER": name, "XDG_RUNTIME_DIR": f"/run/user/{user.pw_uid}"}
    t = stage.spawn(*argv, env={**own, **(env or {})}, cwd=user.pw_dir, preexec_fn=become)
    stage.pids.add(t.pid)
    return t


def tty_of(t):
    return os.readlink(f"/proc/{t.pid}/fd/0")


def rows(stage, terminal):
    """(holder, waiters) of that terminal, as root sees them."""
    for entry in stage.status()["terminals"]:
        if entry["terminal"] == terminal:
            return entry["holder"], entry["waiters"]
    return None, []


def sitting(stage, name, count):
    """(terminal, banner) of that user at a debugger, with count - 1 crashes that wait."""
    t = run_as(stage, name, harness.TTYLOCK, "run", "--", f"{OPT}/crowd", *["segv"] * count)
    b = t.banner()
    until(lambda: len(rows(stage, tty_of(t))[1]) == count - 1, f"{count - 1} who wait")
    return t, b


def subjects(stage, t):
    """For whom that terminal is held and waited for, in order; the ids with them."""
    holder, waiters = rows(stage, tty_of(t))
    return [(r["id"], r["subject_pid"]) for r in [holder] + waiters if r]


def serve_all(t, order, before=()):
    """Each has its turn, in that order; no other banner was ever there."""
    for _, pid in order[1:]:
        t.interrupt()
        assert t.debugged() == t.banners()[-1]
        t.quit()
        assert t.banner()["pid"] == pid
    t.quit()
    assert t.finish() == 0
    order = [pid for _, pid in [*before, *order]]
    assert t.banners() == order and t.shown.count(": signal 11") == len(order)
