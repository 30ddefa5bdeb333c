"""The machine that figures were measured on, for people."""
import os
import platform
import re
import subprocess


def _first(path, pattern, default):
    try:
        with open(path) as f:
            found = re.search(pattern, f.read(), re.M)
            return found[1].strip() if found else default
    except OSError:
        return default


def _version(*argv):
    try:
        out = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
        return (out.stdout or out.stderr).splitlines()[0].strip()
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "?"


def describe():
    return {
        "cpu": _first("/proc/cpuinfo", r"^model name\s*:\s*(.*)$", platform.machine()),
        "cores": f"{os.cpu_count()} cores",
        "virtual": "virtual machine" if _first("/proc/cpuinfo", r"^flags.*\b(hypervisor)\b", "")
                   else "not virtual",
        "kernel": f"Linux {re.match(r'[0-9.]*[0-9]', platform.release())[0]}",
        "system": _first("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)', "?"),
        "compiler": _version("gcc", "--version"),
    }
