"""Known bugs, put into a copy of the sources one at a time, so that nobody else sees them.

For the seeded.py of the schedules and of the storm, which say what sees each."""
import contextlib
import os
import shutil
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Copy:
    """Of these files and directories, while it is entered."""

    def __init__(self, *parts):
        self.parts = parts

    def __enter__(self):
        self.place = tempfile.TemporaryDirectory()
        self.path = self.place.name
        for part in self.parts:
            source, target = os.path.join(ROOT, part), os.path.join(self.path, part)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if os.path.isdir(source):
                shutil.copytree(source, target)
            else:
                shutil.copy2(source, target, follow_symlinks=False)
        return self

    def __exit__(self, *_):
        self.place.cleanup()

    def make(self, *args):
        done = subprocess.run(
            ["make", "-s", f"-j{os.cpu_count() or 1}", "BUILD=build", "WARN=", "SAN=", *args],
            cwd=self.path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, f"make: {done.stdout}"

    def run(self, argv, timeout, **env):
        """Its end, with all that it said in stdout."""
        return subprocess.run(argv, cwd=self.path, text=True, errors="replace", timeout=timeout,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env={**os.environ, **env})

    @contextlib.contextmanager
    def bug(self, file, there, bug):
        """There instead of what stands there."""
        path = os.path.join(self.path, file)
        with open(path) as f:
            mended = f.read()
        assert mended.count(there) == 1, f"{file} has changed: where is\n{there}"
        with open(path, "w") as f:
            f.write(mended.replace(there, bug))
        try:
            yield
        finally:
            with open(path, "w") as f:
                f.write(mended)


def check_all(checks):
    """Calls each of (what, check), and prints what it returns, and how many failed. Returns
    the exit status."""
    bad = done = 0
    for what, check in checks:
        done += 1
        try:
            said = check()
            print(f"ok - {what}" + (f": {said}" if said else ""), flush=True)
        except AssertionError as e:
            bad += 1
            print(f"not ok - {what}\n{e}", flush=True)
    print(f"{done - bad} passed, {bad} failed, 0 skipped")
    return 1 if bad else 0
