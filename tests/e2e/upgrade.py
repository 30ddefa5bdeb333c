"""What people at their terminals notice when the packages are upgraded: nothing.

Run by test_deb.py inside a machine of its own, with the directories of an older and
a newer version's packages as the environment's TTYLOCK_DEBS.
"""
import glob

import harness
from harness import *

harness.TTYLOCK = TTYLOCK = "/usr/bin/ttylock"
OLDER, NEWER = os.environ["TTYLOCK_DEBS"].split(":")
SOCKET = "/run/ttylock/ttylock.sock"


def sh(command):
    out = subprocess.run(command, shell=True, text=True, stdin=subprocess.DEVNULL, timeout=100,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert out.returncode == 0, f"{command}: {out.returncode}\n{out.stdout}"
    return out.stdout


def install(directory):
    files = [f for f in glob.glob(directory + "/*.deb") if "-dbgsym" not in f and "-dev" not in f]
    said = sh("DEBIAN_FRONTEND=noninteractive dpkg --force-confnew -i " + " ".join(files))
    assert not re.search(r"(?i)error|failed|cannot|not found|not starting", said), said


def show(name, unit="ttylockd.service"):
    return sh(f"systemctl show --value -p {name} {unit}").strip()


def journal(match):
    said = sh(f"journalctl --sync; journalctl --no-pager -o json -u ttylockd.service {match}")
    return [json.loads(line) for line in said.split("\n") if line]


def ours():
    return set(sh("find / -xdev -name '*ttylock*' -not -path '/tmp/*' -not -path '/var/log/*'; "
                  "find /run -name '*ttylock*'; getent passwd ttylock; getent group ttylock; true")
               .split("\n"))


def order(stage):
    """The ids of the holder and of who waits, once all of them are there."""
    holder, waiters = stage.until_waiting(2)
    return [holder["id"], *(w["id"] for w in waiters)]


@test
def an_upgrade_and_a_downgrade_are_not_noticed(stage):
    before = ours()
    # By this an image for containers says that no package may start a service.
    sh("rm -f /usr/sbin/policy-rc.d")
    sh("rm -f /var/lib/man-db/auto-update")  # slow
    install(OLDER)
    units = "ttylockd.socket ttylockd.service"
    states = sh(f"systemctl is-active {units} || true").split()
    assert states == ["active", "inactive"], states
    assert sh("systemctl is-enabled ttylockd.socket") == "enabled\n"
    assert sh("systemctl --global is-enabled ttylockd.socket || true") == "disabled\n"
    socket = os.stat(SOCKET).st_ino

    t = stage.spawn(TTYLOCK, "run", "--", os.path.join(PROGRAMS, "crowd"), "segv", "segv", "segv")
    first = t.banner()
    waiting = order(stage)
    subjects = [w["subject_pid"] for w in stage.requests()[1]]
    for directory in (NEWER, OLDER):
        pid = int(show("MainPID"))
        install(directory)
        another = until(lambda old=pid: (now := int(show("MainPID"))) not in (0, old) and
                        show("ActiveState") == "active" and now, "the other daemon")
        assert not is_alive(pid) and os.readlink(f"/proc/{another}/exe") == "/usr/sbin/ttylockd"
        assert os.stat(SOCKET).st_ino == socket  # nobody found it closed
        assert order(stage) == waiting
        assert stage.status()["daemon"]["pid"] == another
        # The person at the prompt has seen nothing of it, and no one else has come.
        assert t.gdb("print 6 * 7") == "print 6 * 7\r\n$%d = 42\r\n" % (1 if directory == NEWER else 2)
        assert t.debugged() == first["pid"]
    for subject in subjects:
        t.quit()
        assert t.banner()["pid"] == subject == t.debugged()
    t.quit()
    assert t.finish() == 0

    told = journal("TTYLOCK_EVENT=granted")
    assert {int(e["TTYLOCK_REQUEST"]) for e in told} == set(waiting), told
    assert all(e["_SYSTEMD_UNIT"] == "ttylockd.service" and e["TTYLOCK_COMM"] == "ttylock" for e in told)
    assert len(journal("TTYLOCK_EVENT=restored")) == 2

    holder = stage.spawn(TTYLOCK, "exec", "--", "sleep", "1000")
    until(lambda: stage.requests()[0], "a holder")
    os.kill(holder.pid, signal.SIGKILL)
    until(lambda: journal("TTYLOCK_EVENT=holder-died"), "its death is told")
    # With what a person may do about it.
    assert "stty sane" in sh("journalctl --no-pager -x -u ttylockd.service")

    pid = int(show("MainPID"))
    sh("dpkg --purge ttylock ttylockd libttylock0")
    assert not is_alive(pid) and sh("pgrep -x ttylockd || true") == ""
    assert show("LoadState") == show("LoadState", "ttylockd.socket") == "not-found"
    assert ours() == before, ours() ^ before


main()
