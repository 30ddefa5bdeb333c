"""Other users than the one who tests, who must be root for that."""
import contextlib
import os
import shutil
import subprocess

from harness import BUILD, PARTS, Skip, TIMEOUT, until

OURS, THEIRS = 1000, 65533


def somebody(stage):
    """How another user runs what was built: an argument list for Popen."""
    if os.geteuid() != 0:
        raise Skip("only root can be two other users")
    place = stage.path("bin")
    os.chmod(stage.dir, 0o755)
    os.mkdir(place)
    for name in ("ttylock", "ttylockd", *PARTS):
        shutil.copy(os.path.join(BUILD, name), place)
    os.chmod(place, 0o755)
    return os.path.join(place, "ttylock")


def as_user(stage, uid, program, *args, **kwargs):
    return subprocess.run([program, *map(str, args)], env=kwargs.pop("env", stage.env),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=TIMEOUT, start_new_session=True, user=uid, group=uid,
                          extra_groups=[], **kwargs)


@contextlib.contextmanager
def open_daemon(stage):
    """One daemon of root's for everybody."""
    path = stage.path("public")
    daemon = subprocess.Popen([os.path.join(BUILD, "ttylockd"), "--socket", path], env=stage.env,
                              stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: os.path.exists(path), "the daemon's socket")
        os.chmod(path, 0o777)
        stage.env["TTYLOCK_SOCKET"] = path
        yield
    finally:
        daemon.kill()
        daemon.wait(TIMEOUT)
