"""The units as they are installed: valid for systemd, and as exposed as they must be."""
import functools
import json

from harness import *

# Of ten, in tenths. What is left: AF_UNIX; /proc and the users of others, which the
# daemon must see; the host's root directory; the clock's device, read-only.
EXPOSURE_MAX = 5
MANAGERS = ("system", "user")


@functools.cache
def installed():
    """A directory with them; they name the daemon in it."""
    place = tempfile.TemporaryDirectory(prefix="ttylock-units-")
    directories = {f"{'user' if m == 'user' else ''}unitdir": f"{place.name}/{m}" for m in MANAGERS}
    subprocess.run(["make", "--no-print-directory", "-o", "all", "install",
                    f"BUILD={os.path.relpath(BUILD, ROOT)}", f"prefix={place.name}/usr",
                    *(f"{k}={v}" for k, v in directories.items())],
                   cwd=ROOT, capture_output=True, check=True, timeout=60)
    return place  # which is removed when we end


def unit(name, manager="system"):
    return f"{installed().name}/{manager}/{name}"


def analyze(stage, *argv):
    return subprocess.run(["systemd-analyze", "--no-pager", *argv], env=stage.env, text=True,
                          capture_output=True, timeout=TIMEOUT)


def properties(path):
    """{section: {name: [values]}} of a unit file."""
    found, section = {}, None
    with open(path) as f:
        for line in f.read().splitlines():
            if line.startswith("["):
                section = found.setdefault(line.strip("[]"), {})
            elif line and line[0] not in "#;":
                name, _, value = line.partition("=")
                section.setdefault(name, []).append(value)
    return found


@test
def systemd_finds_nothing_to_complain_about(stage):
    for manager in MANAGERS:
        out = analyze(stage, "verify", "--man=no", *([] if manager == "system" else ["--user"]),
                      unit("ttylockd.socket", manager), unit("ttylockd.service", manager))
        ours = [line for line in out.stderr.splitlines() if "ttylock" in line]
        assert out.returncode == 0 and not ours, out.stderr


@test
def the_exposure_is_at_most_half_a_point(stage):
    out = analyze(stage, "security", "--offline=yes", f"--threshold={EXPOSURE_MAX}",
                  unit("ttylockd.service"))
    assert out.returncode == 0, out.stdout + out.stderr
    assert re.search(r"Overall exposure level for ttylockd.service: 0\.[0-5] ", out.stdout), out.stdout


@test
def what_is_left_exposed_is_known(stage):
    out = analyze(stage, "security", "--offline=yes", "--json=short", unit("ttylockd.service"))
    left = {row["json_field"] for row in json.loads(out.stdout) if row["exposure"]}
    assert left == {"RootDirectoryOrRootImage", "RestrictAddressFamilies_AF_UNIX", "ProtectProc",
                    "PrivateUsers", "DeviceAllow"}, left


@test
def the_document_says_what_is_left(stage):
    with open(os.path.join(ROOT, "docs/service.md")) as f:
        text = f.read()
    named = re.findall(r"^\| `(\w+)=", text, re.M)
    assert sorted(named) == ["DeviceAllow", "PrivateUsers", "ProtectProc", "RestrictAddressFamilies",
                             "RootDirectory"], named
    service = properties(unit("ttylockd.service"))["Service"]
    for setting in re.findall(r"`(\w+=\w*)`", text):
        name, _, value = setting.partition("=")
        if name not in ("ProtectProc", "PrivateUsers", "RootDirectory", "DeviceAllow"):
            assert name in service and value in ("", service[name][0]), setting


@test
def a_gap_would_be_seen(stage):
    """The gate itself: the same unit with one protection less is above it."""
    with open(unit("ttylockd.service")) as f:
        text = f.read()
    assert "PrivateNetwork=yes\n" in text
    copy = stage.write("ttylockd.service", text.replace("PrivateNetwork=yes\n", ""), 0o644)
    out = analyze(stage, "security", "--offline=yes", f"--threshold={EXPOSURE_MAX}", copy)
    assert out.returncode != 0, out.stdout


@test
def both_managers_keep_it_running(stage):
    for manager in MANAGERS:
        service = properties(unit("ttylockd.service", manager))
        assert service["Unit"]["StartLimitIntervalSec"] == ["0"], manager
        wanted = {"Type": "notify", "NotifyAccess": "main", "Restart": "always",
                  "FileDescriptorStoreMax": "8192"}
        assert wanted.items() <= {k: v[0] for k, v in service["Service"].items()}.items(), manager
        assert "WatchdogSec" in service["Service"], manager
        socket = properties(unit("ttylockd.socket", manager))["Socket"]
        assert socket["TriggerLimitIntervalSec"] == ["0"], manager
        assert socket["SocketMode"] == ["0666" if manager == "system" else "0600"]


@test
def users_and_directories_are_valid(stage):
    for tool, name in (("systemd-sysusers", "sysusers"), ("systemd-tmpfiles", "tmpfiles")):
        root = stage.path("root-" + name)
        os.makedirs(root + "/etc")
        out = subprocess.run([tool, f"--root={root}", *(["--create"] if name == "tmpfiles" else []),
                              f"{installed().name}/usr/lib/{name}.d/ttylock.conf"],
                             capture_output=True, text=True, timeout=TIMEOUT)
        assert out.returncode == 0, out.stderr
    with open(stage.path("root-sysusers") + "/etc/passwd") as f:
        user, = [line.split(":") for line in f if line.startswith("ttylock:")]
    assert user[6].strip() == "/usr/sbin/nologin" and int(user[2]) < 1000, user
    made = os.stat(stage.path("root-tmpfiles") + "/run/ttylock")
    assert made.st_mode & 0o7777 == 0o755 and made.st_uid == 0


main()
