"""Fault injection: every call of the daemon's that can fail does, in each way it can.

inject.py BUILD: first that calls.py knows all of them, then BUILD/inject/daemon. Says
which places were never reached; fails where a whole function was not, unless it is
named below with the reason.
"""
import glob
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CALLS = [sys.executable, os.path.join(HERE, "calls.py")]
SHARES = 2

# What only a service manager, another kernel or another process brings about.
UNREACHED = {
    "sd_pid_notify_with_fds": "only where a service manager keeps descriptors",
    "sd_is_socket_unix": "only where a service manager passes a socket",
    "sd_notifyf": "only with a service manager",
    "connect": "only where a socket is there already",
    "access": "only where a debugger is looked for",
    "getcwd": "only with a path that is not absolute",
    "memfd_create": "only where a service manager keeps the ledger",
    "sendto": "only where the log goes to the journal",
    "setsid": "only with --on-demand",
    "nanosleep": "only where another daemon is on its way out",
    "ftruncate": "only where a ledger is made anew or grows",
}


def main():
    build = sys.argv[1]
    objects = [o for o in glob.glob(f"{ROOT}/{build}/daemon/*.o")
               + glob.glob(f"{ROOT}/{build}/proto/*.o")]
    known = subprocess.run([*CALLS, "check", *objects], check=False).returncode == 0
    places = {name: int(n) for name, n in
              (line.split() for line in subprocess.run(
                  [*CALLS, "sites", *objects], capture_output=True, text=True,
                  check=True).stdout.splitlines())}
    runs = [subprocess.Popen([f"{ROOT}/{build}/inject/daemon", str(i), str(SHARES)],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for i in range(SHARES)]
    output = "".join(run.communicate()[0] for run in runs)
    wrong = [line for line in output.splitlines() if line.startswith(("not ok", "#", "=="))]
    print("\n".join(wrong[-200:]))
    reached, failures = {}, {}
    for name, n, _, failed in re.findall(r"^reached (\w+) (\d+) (\d+) (\d+)$", output, re.M):
        reached[name] = max(reached.get(name, 0), int(n))
        failures[name] = failures.get(name, 0) + int(failed)
    missed = sorted(set(places) - set(reached) - set(UNREACHED))
    for name in missed:
        print(f"never reached: {name}")
    for name in sorted(places):
        if reached.get(name, 0) < places[name]:
            print(f"  {name}: {reached.get(name, 0)} of {places[name]} places")
    print(f"{len(reached)} of {len(places)} functions, {sum(reached.values())} of "
          f"{sum(places.values())} places, {sum(failures.values())} failures injected")
    ended = all(run.returncode == 0 for run in runs)
    bad = sum(line.startswith("not ok") for line in wrong) + len(missed) + (not known)
    failed = bad or int(not ended)
    print(f"{int(not failed)} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


main()
