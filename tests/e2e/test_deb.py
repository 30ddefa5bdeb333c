"""make deb: the packages are built, have what they should, and can be installed,
upgraded and purged in a copy of this system without leaving anything behind."""
import atexit
import shutil
import stat

import nspawn
from harness import *
from linked import plain_library

VERSION = "0.1.0"
NEWER = "0.1.1"
PACKAGES = {
    "ttylock": """
        /usr/bin/ttylock
        /usr/lib/ARCH/ttylock/libttylock-run.so
        /usr/lib/ARCH/ttylock/libttylock-shell.so
        /usr/share/bash-completion/completions/ttylock
        /usr/share/fish/vendor_completions.d/ttylock.fish
        /usr/share/man/man1/ttylock.1.gz
        /usr/share/man/man7/ttylock.7.gz
        /usr/share/zsh/vendor-completions/_ttylock""",
    "ttylockd": """
        /lib/systemd/system/ttylockd.service
        /lib/systemd/system/ttylockd.socket
        /usr/lib/systemd/catalog/ttylock.catalog
        /usr/lib/systemd/user/ttylockd.service
        /usr/lib/systemd/user/ttylockd.socket
        /usr/lib/sysusers.d/ttylock.conf
        /usr/lib/tmpfiles.d/ttylock.conf
        /usr/sbin/ttylockd
        /usr/share/man/man8/ttylockd.8.gz""",
    "libttylock0": """
        /usr/lib/ARCH/libttylock.so.0 -> libttylock.so.VERSION
        /usr/lib/ARCH/libttylock.so.VERSION
        /usr/lib/ARCH/ttylock/libttylock-preload.so""",
    "libttylock-dev": """
        /usr/include/ttylock.h
        /usr/lib/ARCH/libttylock.so -> libttylock.so.0
        /usr/lib/ARCH/pkgconfig/ttylock.pc
        /usr/share/man/man3/libttylock.3.gz""",
}
# What dpkg and others keep to themselves: logs, caches, the files before the last change.
NOT_OURS = re.compile(r"""
    /(tmp|run|proc|dev|sys)(/.*)? | /var/(log|cache|tmp|lib/dpkg|lib/man-db)(/.*)? |
    /etc/(passwd|group|shadow|gshadow|subuid|subgid)- | /etc/ld\.so\.cache |
    /etc/\.pwd\.lock | /var/lib/systemd/catalog/database""", re.X)
PROGRAM = """
#include <stdio.h>
#include <ttylock.h>

int main(void)
{
	struct ttylock_wish wish = {.text = "asks"};
	struct ttylock *t;
	uint64_t id;
	int r = ttylock_open(&t, -1, TTYLOCK_START);

	if (r == 0)
		r = ttylock_acquire(t, &wish, 20000, &id);
	printf("acquired: %d\\n", r);
	if (r == 0)
		ttylock_close(t);
	return r < 0;
}
"""


def sh(argv, timeout=300, **kwargs):
    out = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, timeout=timeout, **kwargs)
    assert out.returncode == 0, f"{argv}: {out.returncode}\n{out.stdout[-4000:]}"
    return out.stdout


def checkout():
    """What there is in the checkout, but for what is built, with its last change."""
    found = {}
    for directory, directories, names in os.walk(ROOT):
        directories[:] = [d for d in directories if d not in (".git", "__pycache__") and
                          not (directory == ROOT and d == "build")]
        for name in names + directories:
            found[os.path.join(directory, name)] = os.lstat(os.path.join(directory, name)).st_mtime_ns
    return found


class Builds:
    """Both versions, built once for all tests, beside each other."""

    def __init__(self):
        self.dir = None
        self.running = {}

    def start(self):
        if self.dir:
            return
        # Where a machine of its own can see it.
        self.dir = tempfile.mkdtemp(prefix="deb-test-", dir=BUILD)
        atexit.register(self.end)
        self.checkout = checkout()
        # The newer one is for the upgrade alone: quicker, without symbols for debuggers.
        self._make(VERSION, "nocheck")
        self._make(NEWER, "nocheck noopt noautodbgsym")

    def _make(self, version, options):
        log = open(os.path.join(self.dir, version + ".log"), "wb")
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": self.dir,
               "LANG": "C.UTF-8", "DEB_BUILD_OPTIONS": options}
        with log:
            self.running[version] = subprocess.Popen(
                ["make", "--no-print-directory", "-o", "deps", "deb", f"VERSION={version}",
                 f"BUILD={self.dir}/{version}"], cwd=ROOT, env=env, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

    def packages(self, version):
        """{name: file} of what was built."""
        self.start()
        status = self.running[version].wait(280)
        with open(os.path.join(self.dir, version + ".log"), errors="replace") as f:
            text = f.read()
        assert status == 0, text[-6000:]
        directory = os.path.join(self.dir, version, "deb")
        found = {name.partition("_")[0]: os.path.join(directory, name)
                 for name in os.listdir(directory) if name.endswith(".deb")}
        return {name: file for name, file in found.items() if not name.endswith("-dbgsym")}

    def end(self):
        for process in self.running.values():
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


builds = Builds()


def needs_packaging():
    for name in ("dpkg-buildpackage", "dh", "lintian"):
        if not shutil.which(name):
            raise Skip(f"no {name}")


def unpacked(stage, version=VERSION):
    """{name: directory} of each package, unpacked."""
    where = {}
    for name, file in builds.packages(version).items():
        where[name] = stage.path(name)
        sh(["dpkg-deb", "-x", file, where[name]])
    return where


def paths_below(root):
    for directory, directories, names in os.walk(root):
        for name in names + [d for d in directories if os.path.islink(os.path.join(directory, d))]:
            yield os.path.join(directory, name)


@test
def every_file_is_in_its_package_with_its_mode(stage):
    needs_packaging()
    arch = sh(["dpkg-architecture", "-qDEB_HOST_MULTIARCH"]).strip()
    where = unpacked(stage)
    assert set(where) == set(PACKAGES), set(where)
    for name, root in where.items():
        found = set()
        for path in paths_below(root):
            mode = stat.S_IMODE(os.lstat(path).st_mode)
            shown = path[len(root):]
            if os.path.islink(path):
                shown += " -> " + os.readlink(path)
            else:
                assert mode == (0o755 if "bin/" in shown else 0o644), (name, shown, oct(mode))
            assert os.lstat(path).st_uid == os.lstat(path).st_gid == 0, shown
            if not re.search(rf"/man3/ttylock_\w+\.3\.gz -> |^/usr/share/doc/{name}/", shown):
                found.add(shown)
        expected = {line.replace("ARCH", arch).replace("VERSION", VERSION)
                    for line in PACKAGES[name].split("\n        ")[1:]}
        assert found == expected, (name, "lacks", expected - found, "has too much",
                                   found - expected)
        for document in ("copyright", "changelog.gz"):
            assert os.path.isfile(f"{root}/usr/share/doc/{name}/{document}"), (name, document)
    functions = os.listdir(where["libttylock-dev"] + "/usr/share/man/man3")
    assert len(functions) > 20 and all(f.startswith(("ttylock_", "libttylock")) for f in functions)


@test
def the_programs_are_hardened_and_depend_on_what_they_use(stage):
    needs_packaging()
    programs = [p for root in unpacked(stage).values() for p in paths_below(root)
                if not os.path.islink(p) and re.search(r"bin/|\.so(\.|$)", p)]
    assert len(programs) == 6, programs
    for path in programs:
        shown = sh(["readelf", "-W", "-d", "-l", "-h", path])
        assert not re.search(r"R(UN)?PATH", shown), path
        assert "GNU_RELRO" in shown and re.search(r"BIND_NOW|FLAGS.*NOW", shown), path
        assert re.search(r"Type: +DYN", shown), path
        assert re.search(r"GNU_STACK .* RW +0x", shown), path
        with open(path, "rb") as f:
            text = f.read()
        assert ROOT.encode() not in text and builds.dir.encode() not in text, path
    for name, file in builds.packages(VERSION).items():
        depends = sh(["dpkg-deb", "-f", file, "Depends"])
        wanted = {"ttylock": f"libttylock0 (= {VERSION})", "libttylock-dev": f"libttylock0 (= {VERSION})",
                  "libttylock0": "libc6", "ttylockd": "libevent-core"}[name]
        assert wanted in depends, (name, depends)
        assert sh(["dpkg-deb", "-f", file, "Version"]) == VERSION + "\n"
    recommended = sh(["dpkg-deb", "-f", builds.packages(VERSION)["ttylock"], "Recommends"])
    assert "gdb" in recommended and "ttylockd" in recommended


@test
def lintian_has_nothing_to_say(stage):
    needs_packaging()
    builds.packages(VERSION)
    directory = os.path.join(builds.dir, VERSION, "deb")
    changes, = (name for name in os.listdir(directory) if name.endswith(".changes"))
    said = sh(["lintian", "--allow-root", "--fail-on", "error,warning", "--no-tag-display-limit",
               os.path.join(directory, changes)], env={**stage.env, "TMPDIR": stage.dir})
    assert not re.search(r"^[EW]: ", said, re.M), said
    overrides = [p for root in unpacked(stage).values() for p in paths_below(root)
                 if "/lintian/overrides/" in p]
    assert not overrides, overrides


@test
def the_checkout_stays_as_it_is(stage):
    needs_packaging()
    builds.packages(VERSION)
    now = checkout()
    # A folder's time changes with the __pycache__ of whatever test runs beside this one.
    changed = {p for p in builds.checkout.keys() | now.keys()
               if builds.checkout.get(p) != now.get(p) and not (p in builds.checkout and os.path.isdir(p))}
    assert not changed, changed


class System:
    """A copy of this system, in a mount namespace: what is written goes elsewhere."""

    SETUP = """
set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" none "$1/root"
mount -t proc none "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount -t tmpfs none "$1/root/run"
mkdir -p "$1/root/$2"
mount --bind "$2" "$1/root/$2"
mount --bind "$3" "$1/root/mnt"
echo ready
exec cat
"""

    def __init__(self, stage):
        if os.geteuid() != 0:
            raise Skip("needs root, for an overlay of the system")
        self.stage = stage
        self.dir = stage.path("system")
        os.mkdir(self.dir)
        self.keeper = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", self.SETUP, "sh", self.dir,
             stage.dir, builds.dir], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=stage.env)
        stage.pids.add(self.keeper.pid)
        assert self.keeper.stdout.readline() == b"ready\n"
        self.sh("rm -f /var/lib/man-db/auto-update")  # slow

    def argv(self, *argv):
        return ["nsenter", "-t", str(self.keeper.pid), "-m", "chroot", self.dir + "/root", *argv]

    def sh(self, script):
        return sh(self.argv("sh", "-ec", script), timeout=100,
                  env={**self.stage.env, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"})

    def dpkg(self, *args):
        said = self.sh("dpkg --no-pager " + " ".join(args))
        assert not re.search(r"warning|error|not found|cannot|[Ff]ailed", said), said
        return said

    def changes(self):
        """What differs from the system outside: {path: how}."""
        upper = f"/proc/{self.keeper.pid}/root{self.dir}/upper"
        found = {}
        for directory, directories, names in os.walk(upper):
            for name in names + directories:
                path = os.path.join(directory, name)
                shown = path[len(upper):]
                if NOT_OURS.fullmatch(shown):
                    continue
                how = self._compare(path, shown)
                if how:
                    found[shown] = how
        for directory, directories, names in os.walk(f"/proc/{self.keeper.pid}/root{self.dir}/root/run"):
            for name in names + directories:
                if "ttylock" in name:
                    found["/run/" + name] = "is new"
        return found

    @staticmethod
    def _compare(path, outside):
        ours = os.lstat(path)
        if stat.S_ISCHR(ours.st_mode):
            return "is gone"
        if not os.path.lexists(outside):
            return "is new"
        theirs = os.lstat(outside)
        if (ours.st_mode, ours.st_uid, ours.st_gid) != (theirs.st_mode, theirs.st_uid, theirs.st_gid):
            return "has another mode or owner"
        if stat.S_ISLNK(ours.st_mode):
            return None if os.readlink(path) == os.readlink(outside) else "leads elsewhere"
        if stat.S_ISREG(ours.st_mode):
            with open(path, "rb") as a, open(outside, "rb") as b:
                return None if a.read() == b.read() else "has changed"
        return None


def files_of(version):
    return " ".join(f"/mnt/{version}/deb/{os.path.basename(file)}"
                    for file in builds.packages(version).values())


@test
def install_upgrade_and_purge_leave_nothing_behind(stage):
    needs_packaging()
    builds.packages(VERSION), builds.packages(NEWER)
    system = System(stage)
    before = system.changes()
    assert not before, before

    system.dpkg("-i", files_of(VERSION))
    assert system.sh("ttylock --version; ttylockd --version") == \
        f"ttylock {VERSION}\nttylockd {VERSION}\n"
    missing = system.sh("ldd /usr/bin/ttylock /usr/sbin/ttylockd /usr/lib/*/libttylock.so.0 "
                        "/usr/lib/*/ttylock/libttylock-*.so | grep 'not found' || true")
    assert not missing, missing
    assert "ttylock: The process that held" in system.sh("journalctl --list-catalog")

    # A program that is built against the packages, and a crash, from the packages alone.
    stage.write("asks.c", PROGRAM, 0o644)
    system.sh(f"cd {stage.dir}; gcc -Wall -Werror -o asks asks.c "
              "$(pkg-config --cflags --libs ttylock); pkg-config --modversion ttylock")
    t = stage.spawn(*system.argv(stage.path("asks")))
    t.expect("acquired: 0\r\n")
    assert t.finish() == 0
    shutil.copy(CRASH, stage.path("crash"))
    t = stage.spawn(*system.argv("ttylock", "run", "--", stage.path("crash"), "segv"))
    b = t.banner()
    assert b["signal"] == "SIGSEGV" and b["pid"] == t.debugged()
    with open(f"/proc/{b['pid']}/maps") as f:
        assert re.search(r"/usr/lib/[^/]+/ttylock/libttylock-preload\.so", f.read())
    t.quit()
    assert t.finish() == 139
    until(lambda: not stage.named("ttylockd"), "the end of the daemon that they had started")

    system.dpkg("-i", files_of(NEWER))
    assert system.sh("ttylock --version; ttylockd --version") == \
        f"ttylock {NEWER}\nttylockd {NEWER}\n"
    t = stage.spawn(*system.argv(stage.path("asks")))
    t.expect("acquired: 0\r\n")
    assert t.finish() == 0
    until(lambda: not stage.named("ttylockd"), "the end of that daemon")

    system.dpkg("--purge", *PACKAGES)
    assert not system.changes(), system.changes()
    listed = system.sh("dpkg -l '*ttylock*' 2>&1 || true")
    assert not re.search(r"^(?!un).. +(lib)?ttylock", listed, re.M), listed


@test
def an_upgrade_under_systemd_is_not_noticed(stage):
    needs_packaging()
    versions = [os.path.dirname(builds.packages(v)["ttylockd"]) for v in (VERSION, NEWER)]
    machine = nspawn.Machine()
    try:
        environment = {**stage.env, "HOME": "/root", "TTYLOCK_DEBS": ":".join(versions)}
        out = machine.call("/usr/bin/env", "-i", *(f"{k}={v}" for k, v in environment.items()),
                           "/usr/bin/python3", os.path.join(ROOT, "tests/e2e/upgrade.py"),
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200)
        assert out.returncode == 0, out.stdout
    finally:
        machine.close()


if plain_library() != BUILD:
    # Packages are not built with a sanitizer.
    print("0 passed, 0 failed, 0 skipped")
    sys.exit(0)
if shutil.which("dpkg-buildpackage"):
    builds.start()
main(limit=400)
