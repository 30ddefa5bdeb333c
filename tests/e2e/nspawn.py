"""A machine of its own for tests: a real systemd as PID 1, in systemd-nspawn.

    from nspawn import main
    from harness import test

    @test
    def something(stage): ...   # runs inside, as root

    main(__file__)

The machine's files are this one's, below an overlay whose upper layer is in memory:
whatever a test installs, enables or writes is gone with it. All tests of the calling
file run inside one machine, which is booted once. Everything of it is in a mount and
a pid namespace of its own, which end with the process that made them, however it ends.
"""
import glob
import os
import subprocess
import sys
import tempfile

import harness
from harness import BUILD, ROOT, Skip, until

INSIDE = "TTYLOCK_TEST_MACHINE"
BOOT_TIMEOUT = 90
# Of what starts at boot, the parts that the distribution wants of every machine.
# This one's own services (an /etc/systemd/system/*.wants) stay out, and so do gettys.
SETUP = """
set -e
# Control groups of its own, or two machines would take each other's for theirs. Some
# of the old hierarchies take no process before they are set up; those it does not need.
for procs in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do
	own=${procs%/*}/$2
	[ -e "$procs" ] && mkdir -p "$own" && echo $$ 2>/dev/null >"$own/cgroup.procs" || true
done
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
rm -rf "$1"/root/etc/systemd/system/*.wants "$1"/root/etc/systemd/user/*.wants
rm -f "$1/root/usr/sbin/policy-rc.d" # by which an image without a systemd starts nothing
systemctl --root="$1/root" mask getty.target console-getty.service getty@.service \\
	serial-getty@.service timers.target
# What nspawn keeps of a machine while it runs is not for the others to see.
mount -t tmpfs tmpfs /run
exec systemd-nspawn --register=no --keep-unit --directory="$1/root" --machine="$2" --boot \\
	--private-network --console=pipe --link-journal=no --bind-ro="$3"
"""


def _children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(p) for p in f.read().split()]
    except OSError:
        return []


def _is_init(pid):
    """Whether it is the first process of a pid namespace, and systemd already."""
    try:
        with open(f"/proc/{pid}/status") as f:
            ids = [line.split()[1:] for line in f if line.startswith("NSpid:")]
        with open(f"/proc/{pid}/comm") as f:
            return ids and ids[0][-1] == "1" and f.read() == "systemd\n"
    except OSError:
        return False


class Machine:
    def __init__(self):
        if os.geteuid() != 0:
            raise Skip("a machine of its own needs root")
        self.name = f"ttylock-{os.getpid()}"
        self.dir = tempfile.mkdtemp(prefix="ttylock-machine-")
        self.console = tempfile.TemporaryFile()
        self.nspawn = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
             "/bin/sh", "-c", SETUP, "sh", self.dir, self.name, ROOT],
            stdin=subprocess.DEVNULL, stdout=self.console, stderr=subprocess.STDOUT)
        self.init = None
        try:
            self.init = until(self._look, "the machine's first process", BOOT_TIMEOUT)
            until(lambda: self.call("systemctl", "show-environment", capture_output=True).returncode
                  == 0, "an answer of its systemd", BOOT_TIMEOUT)
            # Degraded: some part of the distribution cannot be in a container.
            self.call("systemctl", "is-system-running", "--wait", stdout=subprocess.DEVNULL,
                      timeout=BOOT_TIMEOUT)
        except BaseException:
            self.console.seek(0)
            sys.stderr.write(self.console.read().decode(errors="replace"))
            self.close()
            raise

    def _look(self):
        assert self.nspawn.poll() is None, "the machine does not start"
        below = [q for p in _children(self.nspawn.pid) for q in _children(p)]
        return next((p for p in below if _is_init(p)), None)

    def call(self, *argv, **kwargs):
        return subprocess.run(["nsenter", "-t", str(self.init), "-a", "--", *argv],
                              stdin=subprocess.DEVNULL, **{"timeout": 30, **kwargs})

    def close(self):
        """The first process of a pid namespace takes all others with it."""
        self.nspawn.kill()
        self.nspawn.wait(30)
        self.console.close()
        os.rmdir(self.dir)  # empty: what was mounted there went with the namespace
        until(self._groups_removed, "the end of its control groups", 30)

    def _groups_removed(self):
        """False while one of its processes has not ended altogether."""
        for own in glob.glob(f"/sys/fs/cgroup/{self.name}") + glob.glob(f"/sys/fs/cgroup/*/{self.name}"):
            for directory, _, _ in os.walk(own, topdown=False):
                try:
                    os.rmdir(directory)
                except OSError:
                    return False
        return True


def _run_inside(script, limit):
    passed = {name: os.environ[name] for name in ("BUILD", "TEST_TIMEOUT") if name in os.environ}
    machine = Machine()
    try:
        variables = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                     "LANG": "C.UTF-8", "HOME": "/root", INSIDE: "1", **passed}
        status = machine.call("/usr/bin/env", "-i", *(f"{k}={v}" for k, v in variables.items()),
                              "/usr/bin/python3", os.path.abspath(script), *sys.argv[1:],
                              timeout=limit).returncode
        if status != 0:
            machine.call("journalctl", "--no-pager", "--boot", "--lines=100")
        return status
    finally:
        machine.close()


def main(script, limit=400):
    """harness.main() in a machine of its own; limit: of all tests together, in s."""
    if os.environ.get(INSIDE):
        harness.main()
    if BUILD != os.path.join(ROOT, "build"):
        # A sandbox has no place for a sanitizer.
        print("0 passed, 0 failed, 0 skipped")
        sys.exit(0)
    try:
        sys.exit(_run_inside(script, limit))
    except Skip as e:
        print(f"skipped: {os.path.basename(script)}: {e}\n0 passed, 0 failed, 1 skipped")
