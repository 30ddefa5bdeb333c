"""The Debian packages under a real systemd, upgraded and downgraded while people sit at
debuggers. test_deb.py runs this in a machine of its own, with the packages."""
import harness
from harness import *
from service import *

harness.TTYLOCK = TTYLOCK = "/usr/bin/ttylock"
NAMES = ("ttylock", "ttylockd", "libttylock0", "libttylock-dev")
OLDER, NEWER = os.environ["PACKAGES"].split()  # a directory each
ACCOUNTS = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow")


def accounts():
    text = ""
    for path in ACCOUNTS:
        with open(path) as f:
            text += f.read()
    return text


def files(directory):
    """Without those with symbols for debuggers, which only one version has."""
    return [f"{directory}/{name}" for name in os.listdir(directory)
            if name.endswith(".deb") and "dbgsym" not in name]


def dpkg(*args):
    sh("DEBIAN_FRONTEND=noninteractive dpkg --no-pager " + " ".join(args), timeout=100)


@test
def installed_upgraded_downgraded_and_purged(stage):
    somebody("alice")
    programs()
    before, known = ours(), accounts()
    dpkg("-i", *files(OLDER))
    assert show("UnitFileState", SOCKET_UNIT) == "enabled"
    assert show("ActiveState", SOCKET_UNIT) == "active"
    t, b = sitting(stage, "alice", 4)
    order = subjects(stage, t)
    assert order[0][1] == b["pid"]
    for packages in (NEWER, OLDER):
        pid = main_pid()
        dpkg("-i", *files(packages))
        pid = another(pid)
        assert os.readlink(f"/proc/{pid}/exe") == "/usr/sbin/ttylockd"
        version = os.path.basename(os.path.dirname(packages))
        assert sh("ttylockd --version") == f"ttylockd {version}\n"
        until(lambda: subjects(stage, t) == order, "all four, in their order")
        assert t.debugged() == b["pid"]
    serve_all(t, order)
    assert daemons() == [pid]
    dpkg("--purge", *NAMES)
    assert show("LoadState") == show("LoadState", SOCKET_UNIT) == "not-found"
    assert daemons() == [] and ours() == before, ours() - before
    assert accounts() == known
    assert sh("systemctl --failed --quiet --no-legend") == ""


main()
