"""The daemon as a service, under a real systemd: the system's for every user, and a
user manager's. All tests run in one machine of their own (nspawn.py), in this order."""
import functools
import json
import pwd
import stat

import harness
import nspawn
from harness import *
from puppet import Puppet
from service import *

harness.TTYLOCK = TTYLOCK = "/usr/local/bin/ttylock"
# What the sandbox refuses with an error would be worked around and stay unseen.
DROP_IN = "[Service]\nSystemCallErrorNumber=\nSystemCallErrorNumber=kill\n"
ALICE, BOB = "alice", "bob"


def as_documented(part):
    """Runs the first block of commands below that heading of docs/service.md."""
    with open(f"{ROOT}/docs/service.md") as f:
        block = f.read().partition(part)[2].partition("```sh\n")[2].partition("```")[0]
    for command in block.splitlines():
        # Built already, and by nobody in here.
        sh(re.sub(r"^make ", f"make -C {ROOT} -o all ", command))


@functools.cache
def install():
    """Once for all tests; returns what had been there before it."""
    before = ours()
    assert not before, before
    os.makedirs(f"/etc/systemd/system/{UNIT}.d")
    with open(f"/etc/systemd/system/{UNIT}.d/strict.conf", "w") as f:
        f.write(DROP_IN)
    as_documented("## Install")
    programs()
    for name in (ALICE, BOB):
        somebody(name)
    return before


def service():
    """The pid of the system's daemon, which is ready to be asked."""
    install()
    sh(f"systemctl enable --quiet --now {SOCKET_UNIT}")
    sh(f"{TTYLOCK} status")
    return until(lambda: show("ActiveState") == "active" and main_pid(), "the daemon")


def open_files(pid):
    with open(f"/proc/{pid}/limits") as f:
        return int(re.search(r"Max open files +\d+ +(\d+)", f.read())[1])


def journal():
    return sh(f"journalctl --no-pager -o cat -u {UNIT}")


# --- its start ------------------------------------------------------------------------------

@test
def the_first_client_starts_it(stage):
    install()
    assert show("UnitFileState", SOCKET_UNIT) == "enabled"
    directory = os.stat(os.path.dirname(SOCKET))
    assert (stat.S_IMODE(directory.st_mode), directory.st_uid) == (0o755, 0)
    assert stat.S_IMODE(os.stat(SOCKET).st_mode) == 0o666 and os.stat(SOCKET).st_uid == 0
    assert show("ActiveState") == "inactive" and daemons() == []
    t = run_as(stage, ALICE, TTYLOCK, "run", "--", f"{OPT}/crash", "none")
    assert t.finish() == 7 and "ttylock:" not in t.shown, t.shown
    pid = main_pid()
    assert pid > 0 and daemons() == [pid]
    assert stage.status()["daemon"]["pid"] == pid
    assert stage.status()["daemon"]["socket"] == SOCKET
    assert os.readlink(f"/proc/{pid}/exe") == "/usr/local/sbin/ttylockd"
    assert show("StatusText") == "0 hold a terminal, 0 wait"


@test
def it_has_no_right(stage):
    pid = service()
    with open(f"/proc/{pid}/status") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, (name, status[name])
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    own = pwd.getpwnam("ttylock")
    assert status["Uid"].split() == [str(own.pw_uid)] * 4
    assert status["Gid"].split() == [str(own.pw_gid)] * 4 and status["Groups"].strip() == str(own.pw_gid)
    for namespace in ("net", "mnt", "ipc"):
        assert os.readlink(f"/proc/{pid}/ns/{namespace}") != os.readlink(f"/proc/1/ns/{namespace}")
    sh(f"systemd-analyze security --no-pager --threshold=5 {UNIT}")  # 0.5 of 10
    # As many as the unit says, unless the machine itself is kept lower.
    assert open_files(pid) == min(65536, open_files(1))


# --- its work, from within its sandbox ------------------------------------------------------

@test
def a_debugger_session(stage):
    pid = service()
    t = stage.spawn(TTYLOCK, "run", "--", f"{OPT}/crowd", "segv", "segv", "segv")
    served = []
    for left in (2, 1, 0):
        b = t.banner()
        until(lambda: len(rows(stage, tty_of(t))[1]) == left, f"{left} who wait")
        holder, _ = rows(stage, tty_of(t))
        assert holder["subject_pid"] == b["pid"] == t.debugged()
        assert holder["comm"] == "ttylock" and holder["uid"] == 0
        t.interrupt()
        t.quit()
        served.append(b["pid"])
    assert t.finish() == 0
    assert t.banners() == served and len(set(served)) == 3
    assert rows(stage, tty_of(t) if is_alive(t.pid) else "") == (None, [])
    assert daemons() == [pid]


@test
def every_user_has_the_same_daemon(stage):
    """One holder for a terminal, whoever asks: its user, another, and root."""
    pid = service()
    sessions = [run_as(stage, name, TTYLOCK, "run", "--", f"{OPT}/crash", "segv")
                for name in (ALICE, BOB)]
    for t in sessions:
        assert t.banner()["pid"] == t.debugged()
    alice, bob = map(tty_of, sessions)
    uids = [rows(stage, tty)[0]["uid"] for tty in (alice, bob)]
    assert uids == [pwd.getpwnam(name).pw_uid for name in (ALICE, BOB)]
    busy = stage.ttylock("exec", "-n", "--", "true", env={"TTYLOCK_TTY": alice})
    assert busy.returncode == 75, busy.stderr
    waits = subprocess.Popen([TTYLOCK, "exec", "--", "echo", "root has it"], text=True,
                             env={**stage.env, "TTYLOCK_TTY": alice}, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, start_new_session=True)
    _, (waiter,) = until(lambda: (r := rows(stage, alice))[1] and r, "root waits for alice's")
    assert waiter["uid"] == 0 and daemons() == [pid]
    sessions[0].quit()
    assert waits.communicate(timeout=TIMEOUT)[0] == "root has it\n" and waits.returncode == 0
    sessions[1].quit()
    assert [t.finish() for t in sessions] == [139, 139]
    assert daemons() == [pid]


@test
def who_is_a_child_of_whom(stage):
    """The daemon reads it from the /proc of processes that are not its user's."""
    service()
    parent = Puppet(stage, threads=2)
    child = parent.fork()
    assert child.ask("open", 0) == "0"
    held = child.acquire()
    assert parent.ask("idle", 50) == "ETIMEDOUT"
    assert parent.ask("debug", child.pid) == "1"
    child.ask("release", 0, held)
    assert parent.ask("idle", -1) == "0"


@test
def a_terminal_by_its_general_name(stage):
    """/dev/tty names none; the daemon looks for the node in a /dev of its own."""
    service()
    t = run_as(stage, ALICE, TTYLOCK, "exec", "--", "sleep", "1000",
               env={"TTYLOCK_TTY": "/dev/tty"})
    holder, _ = until(lambda: (r := rows(stage, tty_of(t)))[0] and r, "alice holds it")
    assert holder["comm"] == "ttylock"
    t.sendintr()
    assert t.finish() == 130


@test
def its_dump_is_in_the_journal(stage):
    pid = service()
    t = run_as(stage, ALICE, TTYLOCK, "run", "--", f"{OPT}/crash", "segv")
    b = t.banner()
    sh(f"systemctl kill --signal=USR1 {UNIT}")
    said = until(lambda: (text := journal()) and "dump: end" in text and text, "the dump")
    assert f"for pid {b['pid']} (crash)" in said and "SIGUSR1: the stack:" in said, said
    assert main_pid() == pid
    t.quit()
    assert t.finish() == 139


# --- its end, and how it comes back ---------------------------------------------------------

@test
def stopped_it_comes_back_with_the_next_client(stage):
    pid = service()
    sh(f"systemctl stop {UNIT}")
    assert show("ActiveState") == "inactive" and show("Result") == "success" and daemons() == []
    assert os.path.exists(SOCKET)
    t = run_as(stage, BOB, TTYLOCK, "run", "--", f"{OPT}/crash", "segv")
    t.banner()
    assert main_pid() not in (0, pid) and daemons() == [main_pid()]
    t.quit()
    assert t.finish() == 139


@test
def restarted_while_a_person_sits_in_gdb_and_five_wait(stage):
    pid = service()
    t, b = sitting(stage, ALICE, 6)
    order = subjects(stage, t)
    assert len(order) == 6 and order[0][1] == b["pid"]
    for units in (UNIT, UNIT, f"{SOCKET_UNIT} {UNIT}"):
        sh(f"systemctl restart {units}")
        pid = another(pid)
        until(lambda: subjects(stage, t) == order, f"all six, in their order, after {units}")
        assert t.debugged() == b["pid"]  # and no second banner came
        busy = stage.ttylock("exec", "-n", "--", "true", env={"TTYLOCK_TTY": tty_of(t)})
        assert busy.returncode == 75, busy.stderr
    t.quit()
    assert t.banner()["pid"] == order[1][1]
    sh(f"systemctl restart {UNIT}")
    until(lambda: subjects(stage, t) == order[1:], "all who are left, in their order")
    serve_all(t, order[1:], before=order[:1])
    assert daemons() == [main_pid()]


@test
def stopped_while_a_person_sits_in_gdb(stage):
    """systemd gives up what it has stored; the record is a file, and stays."""
    service()
    t, _ = sitting(stage, ALICE, 3)
    order = subjects(stage, t)
    for _ in range(2):
        pid = main_pid()
        sh(f"systemctl stop {UNIT}")
        pid = another(pid)
        until(lambda: subjects(stage, t) == order, "all of them, in their order")
        assert daemons() == [pid]
    serve_all(t, order)
    stage.until_free()
    sh(f"systemctl stop {UNIT}")
    assert os.listdir("/run/ttylock/daemon") == [], "nobody to be known"


@test
def a_stuck_one_is_replaced(stage):
    """By the watchdog, without anybody asking; who holds and who waits stays so."""
    pid = service()
    t, b = sitting(stage, BOB, 3)
    order = subjects(stage, t)
    os.kill(pid, signal.SIGSTOP)
    another_pid = another(pid)
    assert not is_alive(pid)
    until(lambda: "Watchdog timeout" in sh(f"journalctl --no-pager -o cat _PID=1 UNIT={UNIT}"),
          "its reason in the journal")
    until(lambda: subjects(stage, t) == order, "all three, in their order")
    serve_all(t, order)
    assert daemons() == [another_pid]


# A debugger that is done at once, and tells when it is not alone.
QUICK = """#!/bin/sh
mkdir {dir}/held 2>/dev/null || echo "$1" >>{dir}/two
echo "turn of $1"
rmdir {dir}/held
"""


@test
def killed_twenty_times_during_a_storm(stage):
    """Rounds of crashes until it was killed so often; beside them a person at gdb."""
    pid = service()
    t, b = sitting(stage, ALICE, 3)
    order = subjects(stage, t)
    quick = stage.write("quick", QUICK.format(dir=stage.dir))
    storm = stage.spawn(TTYLOCK, "run", "--", "/bin/sh", "-c",
                        f"while [ ! -e enough ]; do {OPT}/crowd {'segv ' * 20}; done; echo over",
                        env={"TTYLOCK_DEBUGGER": f"{quick} %p"})
    for _ in range(20):
        storm.expect(r"turn of \d+")
        os.kill(pid, signal.SIGKILL)
        pid = another(pid)
    stage.write("enough", "")
    storm.expect("over")
    assert storm.finish() == 0
    ended = re.findall(r"segv (\d+): (.*?)\r", storm.shown)
    assert len(ended) >= 20 and {how for _, how in ended} == {"signal 11"}, storm.shown
    served = re.findall(r"turn of (\d+)", storm.shown)
    assert sorted(served) == sorted(who for who, _ in ended), "each exactly once"
    assert not os.path.exists(stage.path("two"))
    assert show("ActiveState", SOCKET_UNIT) == "active" and daemons() == [pid]
    until(lambda: subjects(stage, t) == order, "alice's, as they were")
    serve_all(t, order)


@test
def without_it_the_user_has_one_of_his_own(stage):
    service()
    sh(f"systemctl stop {SOCKET_UNIT} {UNIT}")
    assert not os.path.exists(SOCKET) and daemons() == []
    t = stage.spawn(TTYLOCK, "run", "--", f"{OPT}/crash", "segv")
    t.banner()
    own, = daemons()
    assert own != main_pid() and stage.status()["daemon"]["socket"] == stage.path("ttylock/ttylock.sock")
    t.quit()
    assert t.finish() == 139
    until(lambda: daemons() == [], "its end")


# --- beside a daemon of a user's own --------------------------------------------------------

def as_user(name):
    uid = pwd.getpwnam(name).pw_uid
    return (f"setpriv --reuid={uid} --regid={uid} --init-groups "
            f"env XDG_RUNTIME_DIR=/run/user/{uid}")


@test
def stopped_altogether_while_people_sit_in_gdb(stage):
    """Nobody starts a daemon that would not know of them; the next service does."""
    service()
    t, _ = sitting(stage, ALICE, 3)
    order = subjects(stage, t)
    root = stage.run("sh", "-c", "read line; exec $0 exec -n -- true", TTYLOCK)
    until(lambda: stage.named("sh"), "root's tree")
    sh(f"systemctl stop {SOCKET_UNIT} {UNIT}")
    assert os.listdir("/run/ttylock/daemon") == ["ledger"], os.listdir("/run/ttylock/daemon")
    stopped = r"the service ttylockd is stopped, [^\r\n]*: systemctl start ttylockd\.socket\r*\n"
    status = stage.ttylock("status")
    assert status.returncode == 125 and re.fullmatch("ttylock: (status: )?" + stopped, status.stderr), status
    other = run_as(stage, ALICE, TTYLOCK, "run", "--", f"{OPT}/crash", "segv")
    assert other.finish() == 139
    assert re.fullmatch("ttylock: running without crash handling: " + stopped, other.shown), other.shown
    root.sendline("")
    root.expect("ttylock: " + stopped)
    assert daemons() == []
    sh(f"systemctl start {SOCKET_UNIT}")
    assert root.finish() == 125
    until(lambda: subjects(stage, t) == order, "all of them, in their order")
    serve_all(t, order)
    assert daemons() == [main_pid()]


@test
def started_while_a_user_has_one_of_her_own(stage):
    service()
    sh(f"systemctl stop {SOCKET_UNIT} {UNIT}")
    t = run_as(stage, ALICE, TTYLOCK, "run", "--", f"{OPT}/crash", "segv")
    t.banner()
    own, = daemons()
    sh(f"systemctl start {SOCKET_UNIT}")
    # She, and root at her terminal, find hers.
    for user in "", as_user(ALICE):
        asks = f"setsid -w {user} env TTYLOCK_TTY={tty_of(t)} {TTYLOCK} exec -n -- true; echo $?"
        assert sh(asks).endswith("75\n"), user
    os.kill(own, signal.SIGKILL)
    busy = stage.ttylock("exec", "-n", "--", "true", env={"TTYLOCK_TTY": tty_of(t)})
    assert busy.returncode == 75, busy.stderr
    assert main_pid() == 0
    t.quit()
    assert t.finish() == 139
    until(lambda: daemons() == [], "the end of hers")
    t = run_as(stage, ALICE, TTYLOCK, "run", "--", f"{OPT}/crash", "segv")
    t.banner()
    assert daemons() == [main_pid()]
    t.quit()
    assert t.finish() == 139


# --- the user manager's ---------------------------------------------------------------------

def beside_her_own(stage, systemctl):
    """Stopped, it does not take the place of the one that is started on demand instead."""
    t = run_as(stage, ALICE, TTYLOCK, "run", "--", f"{OPT}/crash", "segv")
    t.banner()
    own = daemons()
    assert "Job failed" in sh(f"{systemctl} start {SOCKET_UNIT}", check=False)
    assert daemons() == own
    t.quit()
    assert t.finish() == 139
    until(lambda: daemons() == [], "the end of her own")
    sh(f"{systemctl} start {SOCKET_UNIT} && {systemctl} stop {SOCKET_UNIT}")


@test
def a_user_managers_own(stage):
    """The same for her alone: by its socket, restarted, killed, stuck."""
    install()
    sh(f"systemctl stop {SOCKET_UNIT} {UNIT}")
    user = pwd.getpwnam(ALICE)
    sh(f"loginctl enable-linger {ALICE} && systemctl start user@{user.pw_uid}.service")
    systemctl = f"{as_user(ALICE)} systemctl --user"
    sh(f"{systemctl} enable --quiet --now {SOCKET_UNIT}")
    path = f"/run/user/{user.pw_uid}/ttylock/ttylock.sock"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600 and os.stat(path).st_uid == user.pw_uid
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert daemons() == []
    t = run_as(stage, ALICE, TTYLOCK, "run", "--", f"{OPT}/crowd", "segv", "segv", "segv")
    first = t.banner()["pid"]
    pid = main_pid(systemctl)
    assert daemons() == [pid] and os.stat(f"/proc/{pid}").st_uid == user.pw_uid
    with open(f"/proc/{pid}/status") as f:
        status = f.read()
    assert re.search(r"^Seccomp:\t2$", status, re.M) and re.search(r"^NoNewPrivs:\t1$", status, re.M)
    # Root finds it as well: one holder.
    busy = stage.ttylock("exec", "-n", "--", "true", env={"TTYLOCK_TTY": tty_of(t)})
    assert busy.returncode == 75, busy.stderr
    assert daemons() == [pid]

    stage.status = lambda: json.loads(sh(f"{as_user(ALICE)} {TTYLOCK} status --json"))
    order = until(lambda: (all_three := subjects(stage, t))[2:] and all_three, "two who wait")
    assert order[0][1] == first
    for end in (lambda: sh(f"{systemctl} restart {UNIT}"), lambda: os.kill(pid, signal.SIGKILL),
                lambda: os.kill(pid, signal.SIGSTOP)):
        end()
        pid = another(pid, systemctl)
        until(lambda: subjects(stage, t) == order, "all three, in their order")
    serve_all(t, order)
    assert daemons() == [pid]
    sh(f"{systemctl} disable --quiet --now {SOCKET_UNIT} && {systemctl} stop {UNIT}")
    assert not os.path.exists(path) and daemons() == []
    beside_her_own(stage, systemctl)
    sh(f"loginctl disable-linger {ALICE} && systemctl stop user@{user.pw_uid}.service")


# --- the end --------------------------------------------------------------------------------

@test
def uninstalled_nothing_is_left(stage):
    before = install()
    sh(f"rm -r /etc/systemd/system/{UNIT}.d")
    as_documented("Remove it with")
    assert show("LoadState") == show("LoadState", SOCKET_UNIT) == "not-found"
    left = ours() - before
    assert left == set() and daemons() == [], left
    install.cache_clear()
    assert "ttylock:" not in sh("getent passwd; getent group")


nspawn.main(__file__)
