"""What the journal gets: a fake one, in a mount namespace of the daemon's own, reads
the fields of real runs; and the catalogue, held against the code."""
import glob
import shutil
import socket

from harness import *

CATALOG = os.path.join(ROOT, "systemd/ttylock.catalog")
DAEMON = os.path.join(BUILD, "ttylockd")
# $1 is mounted where the journal has its socket; the rest is run.
IN_NAMESPACE = """
export LISTEN_PID=$$  # kept throughout
mount -t tmpfs none /run && mkdir -p /run/systemd/journal &&
mount --bind "$1" /run/systemd/journal && shift && exec "$@"
"""
HOSTILE = "x\nMESSAGE=evil\x1b"  # 14 of the 15 bytes that a command's name may have


def needs_namespaces():
    if os.geteuid() != 0:
        raise Skip("needs root, for a mount namespace")


def kinds():
    """(kind, event, phrase, id, level) of each row of the daemon's table."""
    with open(os.path.join(ROOT, "daemon/log_kind.c")) as f:
        return re.findall(r'\[LOG_KIND_(\w+)\] =\s+\{"([^"]*)",\s+"([^"]*)",\s+"([^"]*)",\s+'
                          r'LOG_LEVEL_(\w+)\}', f.read())


def catalogue():
    """id: (headers, body) of each entry, and the ids in the file's order."""
    with open(CATALOG) as f:
        parts = re.split(r"^-- (\S*)\n", f.read(), flags=re.M)
    entries = {}
    for name, text in zip(parts[1::2], parts[2::2]):
        head, _, body = text.partition("\n\n")
        entries[name] = dict(line.split(": ", 1) for line in head.split("\n")), body
    return entries, parts[1::2]


class Journal:
    """Stands where systemd's would: a datagram socket, read when asked for."""

    def __init__(self, stage):
        self.dir = stage.path("journal")
        os.mkdir(self.dir, 0o755)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(os.path.join(self.dir, "socket"))
        self.socket.settimeout(TIMEOUT)
        self.stderr = socket.socketpair()
        self.entries = []

    def start(self, stage, stream, limit=4096, env=None):
        """A daemon for every user, whose standard error goes to our stream, and
        which is told that the given one is the journal's."""
        path = stage.env["TTYLOCK_SOCKET"] = stage.path("ttylock.sock")
        stat = os.fstat(stream.fileno())
        env = {**stage.env, **(env or {}), "JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(path)
            listener.listen(1024)
            os.chmod(path, 0o666)
            os.chmod(stage.dir, 0o755)
            # As its descriptor 3, whatever ours is.
            argv = ["sh", "-c", f'exec 3<&{listener.fileno()} "$@"', "sh",
                    "unshare", "-m", "--propagation", "private", "sh", "-c", IN_NAMESPACE, "sh",
                    self.dir, "prlimit", f"--nofile={limit}", DAEMON]
            daemon = subprocess.Popen(argv, env={**env, "LISTEN_FDS": "1"},
                                      pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=self.stderr[1])
        stage.pids.add(daemon.pid)
        self.daemon = daemon.pid

    def read(self):
        """The next entry: a dict. Text form alone; no field may come twice."""
        data = self.socket.recv(65536).decode()
        assert data.endswith("\n"), data
        fields = [line.split("=", 1) for line in data[:-1].split("\n")]
        assert all(len(f) == 2 and re.fullmatch("[A-Z_]+", f[0]) for f in fields), data
        entry = dict(fields)
        assert len(entry) == len(fields), data
        self.entries.append(entry)
        return entry

    def until(self, event):
        while True:
            entry = self.read()
            if entry.get("TTYLOCK_EVENT") == event:
                return entry


def with_journal(stage, **kwargs):
    needs_namespaces()
    journal = Journal(stage)
    journal.start(stage, journal.stderr[1], **kwargs)
    check(journal.until("started"), "started", TTYLOCK_NOTE="serves (given)")
    return journal


def holder(stage, command="sleep 1000", **kwargs):
    """Holds a terminal of its own until it is ended."""
    return stage.spawn(TTYLOCK, "exec", "--", "sh", "-c", command, **kwargs)


def beside(stage, terminal, *argv, **kwargs):
    """Another program on that terminal, to be ended by kill()."""
    slave = os.open(os.readlink(f"/proc/{terminal.pid}/fd/0"), os.O_RDWR | os.O_NOCTTY)
    try:
        process = subprocess.Popen(argv, stdin=slave, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, env=stage.env, **kwargs)
    finally:
        os.close(slave)
    stage.pids.add(process.pid)
    return process


def end(process):
    process.kill()
    process.wait(TIMEOUT)


def check(entry, event, **fields):
    row = [r for r in kinds() if r[1] == event][0]
    fields |= {"MESSAGE_ID": row[3], "SYSLOG_IDENTIFIER": "ttylockd",
               "PRIORITY": {"ERROR": "3", "WARNING": "4", "INFO": "6"}[row[4]]}
    got = {name: entry.get(name) for name in fields}
    assert got == fields, (entry, fields)
    assert row[2] in entry["MESSAGE"], entry


@test
def a_requests_life_is_in_fields(stage):
    journal = with_journal(stage)
    t = holder(stage)
    granted = journal.until("granted")
    terminal = os.readlink(f"/proc/{t.pid}/fd/0")
    mine = {"TTYLOCK_TERMINAL": terminal, "TTYLOCK_UID": "0", "TTYLOCK_COMM": "ttylock"}
    first = {**mine, "TTYLOCK_PID": str(t.pid), "TTYLOCK_REQUEST": granted["TTYLOCK_REQUEST"]}
    check(granted, "granted", **first)

    waiting = beside(stage, t, TTYLOCK, "exec", "--", "true")
    queued = journal.until("queued")
    second = {**mine, "TTYLOCK_PID": str(waiting.pid), "TTYLOCK_REQUEST": queued["TTYLOCK_REQUEST"]}
    check(queued, "queued", **second)
    assert second["TTYLOCK_REQUEST"] != first["TTYLOCK_REQUEST"]
    end(waiting)
    check(journal.until("waiter-died"), "waiter-died", **second)

    waiting = beside(stage, t, TTYLOCK, "exec", "--", "sleep", "1000")
    journal.until("queued")
    os.kill(t.pid, signal.SIGKILL)
    check(journal.until("holder-died"), "holder-died", **first)
    dirty = journal.until("granted")
    check(dirty, "granted", TTYLOCK_PID=str(waiting.pid),
          TTYLOCK_NOTE="the last holder did not release")
    assert not any("TTYLOCK_BY_PID" in e for e in journal.entries), journal.entries
    end(waiting)


@test
def who_steers_is_in_fields(stage):
    journal = with_journal(stage)
    t = holder(stage)
    held = journal.until("granted")["TTYLOCK_REQUEST"]
    waiting = beside(stage, t, TTYLOCK, "exec", "--", "true")
    queued = journal.until("queued")["TTYLOCK_REQUEST"]
    by = {"TTYLOCK_BY_UID": "0", "TTYLOCK_BY_COMM": "ttylock"}

    assert stage.ttylock("cancel", queued).returncode == 0
    entry = journal.until("cancelled")
    check(entry, "cancelled", TTYLOCK_REQUEST=queued, TTYLOCK_PID=str(waiting.pid), **by)
    assert waiting.wait(TIMEOUT) != 0
    assert stage.ttylock("release", "--force", "--yes", held).returncode == 0
    entry = journal.until("forced")
    check(entry, "forced", TTYLOCK_REQUEST=held, TTYLOCK_PID=str(t.pid), **by)
    assert entry["TTYLOCK_BY_PID"] not in (str(t.pid), str(waiting.pid))
    assert f", by pid {entry['TTYLOCK_BY_PID']} (ttylock), uid 0" in entry["MESSAGE"], entry


@test
def a_command_with_a_hostile_name_stays_in_its_field(stage):
    journal = with_journal(stage)
    os.symlink(TTYLOCK, stage.path(HOSTILE))
    t = stage.spawn(stage.path(HOSTILE), "exec", "--", "sleep", "1000")
    entry = journal.until("granted")  # read() refuses a field that comes twice
    check(entry, "granted", TTYLOCK_PID=str(t.pid), TTYLOCK_COMM="x?MESSAGE=evil?")
    assert "(x?MESSAGE=evil?)" in entry["MESSAGE"], entry


@test
def a_journal_that_does_not_read_keeps_nobody_waiting(stage):
    journal = with_journal(stage)
    with open("/proc/sys/net/unix/max_dgram_qlen") as f:
        more_than_it_takes = int(f.read()) + 20
    t = holder(stage, f"i=0; while [ $i -lt {more_than_it_takes} ]; do {TTYLOCK} status >/dev/null "
                      f"&& {TTYLOCK} exec -- true || exit 9; i=$((i+1)); done; echo all served",
               env={"PATH": stage.env["PATH"]})
    t.expect("all served", timeout=100)
    assert t.finish() == 0
    # Once it reads, it is told how much it has missed, with what comes next.
    journal.socket.setblocking(False)
    told = []

    def is_told():
        try:
            while not told:
                entry = journal.read()
                told.extend([entry] if entry.get("TTYLOCK_EVENT") == "suppressed" else [])
        except BlockingIOError:
            assert stage.spawn(TTYLOCK, "exec", "--", "true").finish() == 0
        return told

    check(until(is_told, "lines are suppressed")[0], "suppressed")


@test
def who_may_not_steer_is_told(stage):
    journal = with_journal(stage)
    t = holder(stage)
    granted = journal.until("granted")
    # Hello, and ForceRelease of that id; the command would not even ask.
    program = f"""
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect({stage.env["TTYLOCK_SOCKET"]!r})
s.sendall(bytes([4, 0x0a, 2, 8, 1, 4, 0x6a, 2, 8, {granted["TTYLOCK_REQUEST"]}]))
while b"not your request" not in s.recv(4096):
    pass
"""
    stranger = subprocess.Popen(["/usr/bin/python3", "-c", program], user=65533, group=65533,
                                extra_groups=[], env={"PATH": stage.env["PATH"]})
    stage.pids.add(stranger.pid)
    assert stranger.wait(TIMEOUT) == 0
    check(journal.until("denied"), "denied", TTYLOCK_PID=str(t.pid), TTYLOCK_UID="0",
          TTYLOCK_REQUEST=granted["TTYLOCK_REQUEST"], TTYLOCK_TERMINAL=granted["TTYLOCK_TERMINAL"],
          TTYLOCK_BY_PID=str(stranger.pid), TTYLOCK_BY_UID="65533", TTYLOCK_BY_COMM="python3")


@test
def quotas_are_told_with_who_hit_them(stage):
    journal = with_journal(stage, limit=160)
    path = stage.env["TTYLOCK_SOCKET"]
    kept = []
    try:
        while len(kept) < 200:
            kept.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            kept[-1].settimeout(TIMEOUT)
            kept[-1].connect(path)
        check(journal.until("quota"), "quota", TTYLOCK_PID=str(os.getpid()), TTYLOCK_UID="0",
              TTYLOCK_NOTE="connections")
    finally:
        for s in kept:
            s.close()


@test
def a_daemon_that_stood_still_says_so(stage):
    journal = with_journal(stage, env={"WATCHDOG_USEC": "200000"})
    os.kill(journal.daemon, signal.SIGSTOP)
    stopped = time.monotonic()
    until(lambda: time.monotonic() > stopped + 0.5, "the fault itself")
    os.kill(journal.daemon, signal.SIGCONT)
    entry = journal.until("stalled")
    check(entry, "stalled")
    assert re.fullmatch(r"[\d.]+ s", entry["TTYLOCK_NOTE"]), entry


@test
def another_stderr_gets_plain_lines(stage):
    """JOURNAL_STREAM that names another stream: somebody redirected us."""
    needs_namespaces()
    journal = Journal(stage)
    other = socket.socketpair()
    journal.start(stage, other[0])
    journal.stderr[0].settimeout(TIMEOUT)
    assert journal.stderr[0].recv(4096).decode() == "ttylockd: started: serves (given)\n"
    journal.socket.setblocking(False)
    try:
        raise AssertionError(journal.read())
    except BlockingIOError:
        pass


@test
def ids_are_valid_and_unique(stage):
    rows = kinds()
    with open(os.path.join(ROOT, "daemon/log_kind.h")) as f:
        names = re.findall(r"^\tLOG_KIND_(\w+),", f.read(), re.M)
    assert len(names) > 15 and [r[0] for r in rows] == names, (rows, names)
    for column in (1, 2, 3):
        values = [r[column] for r in rows]
        assert len(set(values)) == len(values), values
    for row in rows:
        assert re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}", row[3]), row
        assert re.fullmatch(r"[a-z-]+", row[1]), row


@test
def each_kind_is_told_somewhere(stage):
    text = ""
    for name in glob.glob(os.path.join(ROOT, "daemon/*.c")):
        if not name.endswith("/log_kind.c"):
            with open(name) as f:
                text += f.read()
    unused = [r[0] for r in kinds() if not re.search(rf"\bLOG_KIND_{r[0]}\b", text)]
    assert not unused, unused


@test
def the_catalogue_has_what_a_person_may_have_to_act_on(stage):
    entries, order = catalogue()
    assert len(order) == len(entries), "an id twice"
    wanted = {r[3]: r[1] for r in kinds() if r[4] in ("ERROR", "WARNING")}
    assert len(wanted) > 5
    lacks = [wanted[i] for i in set(wanted) - set(entries)]
    invents = sorted(set(entries) - set(wanted))
    assert not lacks and not invents, f"lacks {lacks}, has too much: {invents}"
    log = ""
    for name in ("log.c", "log.h"):
        with open(os.path.join(ROOT, "daemon", name)) as f:
            log += f.read()
    for name, (head, body) in entries.items():
        assert set(head) == {"Subject", "Defined-By", "Documentation"}, head
        assert head["Defined-By"] == "ttylock"
        page, number = re.fullmatch(r"man:(\w+)\((\d)\)", head["Documentation"]).groups()
        assert glob.glob(os.path.join(ROOT, f"*/{page}.{number}")) or \
            glob.glob(os.path.join(ROOT, f"*/*/{page}.{number}")), head
        # A command to act by, in each.
        assert re.search(r"^  \S", body, re.M), (wanted[name], body)
        for field in re.findall(r"@(\w+)@", head["Subject"] + body):
            assert f'"{field}"' in log, (wanted[name], field)
        for line in body.split("\n"):
            assert len(line) <= 85 and line == line.rstrip(), line


@test
def journalctl_takes_the_catalogue(stage):
    if not shutil.which("journalctl"):
        raise Skip("no journalctl")
    root = stage.path("root")
    os.makedirs(root + "/usr/lib/systemd/catalog")
    os.makedirs(root + "/var/lib/systemd/catalog")
    shutil.copy(CATALOG, root + "/usr/lib/systemd/catalog/")
    out = subprocess.run(["journalctl", f"--root={root}", "--update-catalog"], capture_output=True,
                         text=True, timeout=TIMEOUT, env={**stage.env, "SYSTEMD_LOG_LEVEL": "debug"})
    assert out.returncode == 0, out.stderr
    assert not re.search(r"invalid|bad|ignor|fail|not terminated", out.stderr, re.I), out.stderr
    entries, order = catalogue()
    listed = subprocess.run(["journalctl", f"--root={root}", "--list-catalog"], capture_output=True,
                            text=True, check=True, timeout=TIMEOUT, env=stage.env).stdout
    found = dict(re.findall(r"^([0-9a-f]{32}) (\S+): ", listed, re.M))
    assert found == dict.fromkeys(order, "ttylock"), listed


@test
def the_page_lists_the_fields_and_events(stage):
    with open(os.path.join(ROOT, "daemon/ttylockd.8")) as f:
        part = re.search(r"^\.Sh JOURNAL\n(.*?)^\.Sh", f.read(), re.M | re.S)[1]
    with open(os.path.join(ROOT, "daemon/log.c")) as f:
        real = set(re.findall(r'"(TTYLOCK_[A-Z_]+|MESSAGE_ID)"', f.read()))
    listed = {name for line in re.findall(r"^\.It (Ev .*)", part, re.M)
              for name in re.findall(r"[A-Z_]{4,}", line)}
    assert listed == real, (listed ^ real)
    events = set(re.findall(r"^\.It Cm (\S+)", part, re.M))
    assert events == {r[1] for r in kinds()}, events ^ {r[1] for r in kinds()}


main()
