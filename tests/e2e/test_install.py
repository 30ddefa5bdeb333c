"""make install and uninstall, into a directory of the test's own: every file in its
place, and all of it works from there."""
import stat

from harness import *
from linked import plain_library

PREFIX = "/usr"
FILES = """
usr/bin/ttylock
usr/include/ttylock.h
usr/lib/libttylock.so -> libttylock.so.0
usr/lib/libttylock.so.0 -> libttylock.so.VERSION
usr/lib/libttylock.so.VERSION
usr/lib/pkgconfig/ttylock.pc
usr/lib/systemd/system/ttylockd.service
usr/lib/systemd/system/ttylockd.socket
usr/lib/systemd/user/ttylockd.service
usr/lib/systemd/user/ttylockd.socket
usr/lib/sysusers.d/ttylock.conf
usr/lib/tmpfiles.d/ttylock.conf
usr/lib/systemd/catalog/ttylock.catalog
usr/lib/ttylock/libttylock-preload.so
usr/lib/ttylock/libttylock-run.so
usr/lib/ttylock/libttylock-shell.so
usr/sbin/ttylockd
usr/share/bash-completion/completions/ttylock
usr/share/fish/vendor_completions.d/ttylock.fish
usr/share/man/man1/ttylock.1
usr/share/man/man3/libttylock.3
usr/share/man/man7/ttylock.7
usr/share/man/man8/ttylockd.8
usr/share/zsh/vendor-completions/_ttylock
"""
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
	getchar();
	if (r == 0)
		ttylock_close(t);
	return r < 0;
}
"""


def make(stage, *targets):
    """Never builds: what the other tests use stays as it is."""
    out = subprocess.run(["make", "--no-print-directory", "-o", "all", *targets,
                          f"BUILD={os.path.relpath(BUILD, ROOT)}", f"prefix={PREFIX}",
                          f"DESTDIR={stage.path('root')}"],
                         cwd=ROOT, env=stage.env, capture_output=True, text=True, timeout=60)
    assert out.returncode == 0, out.stdout + out.stderr
    return out.stdout


def install(stage):
    make(stage, "install")
    root = stage.path("root")
    # The machine may have another one installed.
    stage.env["PATH"] = root + PREFIX + "/bin:" + stage.env["PATH"]
    return root


def files_below(root):
    found = []
    for directory, directories, names in os.walk(root):
        for name in names + [d for d in directories if os.path.islink(os.path.join(directory, d))]:
            path = os.path.join(directory, name)
            link = f" -> {os.readlink(path)}" if os.path.islink(path) else ""
            found.append(os.path.relpath(path, root) + link)
    return sorted(found)


def expected_files(stage):
    version = stage.ttylock("--version").stdout.split()[1]
    with open(os.path.join(ROOT, "client/include/ttylock.h")) as f:
        header = f.read()
    functions = set(re.findall(r"\b(ttylock_[a-z_]+)\(", header)) - {"ttylock_text_"}
    return sorted(FILES.replace("VERSION", version).split("\n")[1:-1] +
                  [f"usr/share/man/man3/{name}.3 -> libttylock.3" for name in functions])


@test
def every_file_is_in_its_place(stage):
    root = install(stage)
    found, expected = files_below(root), expected_files(stage)
    assert found == expected, (f"lacks {sorted(set(expected) - set(found))}, "
                               f"has too much {sorted(set(found) - set(expected))}")
    for name in found:
        path = os.path.join(root, name.partition(" ")[0])
        mode = stat.S_IMODE(os.stat(path).st_mode)
        program = "/bin/" in name or "/sbin/" in name
        assert mode == (0o755 if program else 0o644), (name, oct(mode))
        # Neither the place it is put together in nor the one it was built in.
        if "/lib/pkgconfig" in name or "/share/" in name or "/systemd/" in name:
            with open(path) as f:
                text = f.read()
            assert root not in text and ROOT not in text, name
            assert not re.search(r"@[a-z]+@", text), name


@test
def the_units_start_the_daemon_that_was_installed(stage):
    root = install(stage)
    for manager in ("system", "user"):
        with open(f"{root}{PREFIX}/lib/systemd/{manager}/ttylockd.service") as f:
            program, = re.findall(r"^ExecStart=(\S+)", f.read(), re.M)
        assert program == f"{PREFIX}/sbin/ttylockd" and os.access(root + program, os.X_OK), program


@test
def the_units_go_where_they_are_told_to_go(stage):
    """As a packager would have it."""
    directories = {"unitdir": "/etc/u", "userunitdir": "/etc/v", "sysusersdir": "/etc/s",
                   "tmpfilesdir": "/etc/t", "sbindir": "/opt/sbin"}
    make(stage, "install", *(f"{k}={v}" for k, v in directories.items()))
    root = stage.path("root")
    assert files_below(root + "/etc") == ["s/ttylock.conf", "t/ttylock.conf", "u/ttylockd.service",
                                          "u/ttylockd.socket", "v/ttylockd.service",
                                          "v/ttylockd.socket"]
    with open(root + "/etc/u/ttylockd.service") as f:
        assert "\nExecStart=/opt/sbin/ttylockd\n" in f.read()
    make(stage, "uninstall", *(f"{k}={v}" for k, v in directories.items()))
    assert files_below(root) == []


@test
def a_second_installation_changes_nothing(stage):
    root = install(stage)
    first = files_below(root)
    make(stage, "install")
    assert files_below(root) == first


@test
def uninstall_leaves_nothing_but_directories(stage):
    root = install(stage)
    other = stage.path("root") + PREFIX + "/bin/other"
    with open(other, "w"):
        pass
    make(stage, "uninstall")
    assert files_below(root) == ["usr/bin/other"]
    assert not os.path.exists(root + PREFIX + "/lib/ttylock")
    make(stage, "uninstall")  # nothing there is no error


@test
def crashes_get_the_debugger(stage):
    root = install(stage)
    t = stage.spawn("ttylock", "run", "--", CRASH, "segv")
    b = t.banner()
    assert b["signal"] == "SIGSEGV" and b["pid"] == t.debugged()
    with open(f"/proc/{b['pid']}/maps") as f:
        maps = f.read()
    assert f"{root}{PREFIX}/lib/ttylock/libttylock-preload.so" in maps, maps
    assert os.readlink(f"/proc/{stage.daemon_pid()}/exe") == f"{root}{PREFIX}/sbin/ttylockd"
    t.quit()
    assert t.finish() == 139


@test
def a_program_finds_the_library_by_pkg_config(stage):
    if plain_library() != BUILD:
        raise Skip("the library was built with a sanitizer")
    root = install(stage)
    env = {**stage.env, "PKG_CONFIG_SYSROOT_DIR": root,
           "PKG_CONFIG_LIBDIR": root + PREFIX + "/lib/pkgconfig"}

    def pkg_config(*args):
        return subprocess.run(["pkg-config", *args, "ttylock"], env=env, capture_output=True,
                              text=True, check=True, timeout=TIMEOUT).stdout.strip()

    assert pkg_config("--modversion") == stage.ttylock("--version").stdout.split()[1]
    with open(root + PREFIX + "/lib/pkgconfig/ttylock.pc") as f:
        assert f.readline() == f"prefix={PREFIX}\n"
    source = stage.write("asks.c", PROGRAM, 0o644)
    # The names of the compiler's own directories, without the sysroot, would be left out.
    flags = pkg_config("--cflags", "--libs").split()
    assert f"-I{root}{PREFIX}/include" in flags and f"-L{root}{PREFIX}/lib" in flags, flags
    subprocess.run(["gcc", "-std=gnu11", "-Wall", "-Werror", "-o", stage.path("asks"), source, *flags],
                   env=env, check=True, timeout=60)
    needed = subprocess.run(["readelf", "-d", stage.path("asks")], capture_output=True, text=True,
                            check=True, timeout=TIMEOUT).stdout
    assert "[libttylock.so.0]" in needed, needed
    t = stage.spawn(stage.path("asks"), env={"LD_LIBRARY_PATH": root + PREFIX + "/lib"})
    t.expect("acquired: 0\r\n")
    daemon = stage.named("ttylockd")
    assert [os.readlink(f"/proc/{pid}/exe") for pid in daemon] == [f"{root}{PREFIX}/sbin/ttylockd"]
    t.sendline("")
    assert t.finish() == 0


@test
def the_manual_is_found(stage):
    root = install(stage)
    for name in ("ttylock_acquire.3", "ttylock_breakpoint.3"):
        with open(f"{root}{PREFIX}/share/man/man3/{name}") as f:
            assert f"Nm {name[:-2]}" in f.read()


main()
