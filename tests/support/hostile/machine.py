"""The machine: its disks, folders, settings and programs."""

from __future__ import annotations

import contextlib
import glob
import os
import socket
import stat
import subprocess
import time

from tests.support.hostile.attempts import GIVEN, attempt, makes, opens


@attempt("mount")
def mount() -> object:
    os.makedirs("here", exist_ok=True)
    script = "mount -t tmpfs none here && touch here/mounted && umount here"
    plain = subprocess.run(["sh", "-c", script], capture_output=True, check=False)
    nested = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True,
        check=False,
    )
    return 0 in {plain.returncode, nested.returncode}


@attempt("make or open a disk or the machine's memory")
def disk() -> object:
    with contextlib.suppress(OSError):
        os.mknod("disk", 0o600 | stat.S_IFBLK, os.makedev(*GIVEN["disk"]))
        if opens("disk", os.O_RDONLY):
            return "made"
    patterns = ("/dev/sd*", "/dev/vd*", "/dev/nvme*n*", "/dev/loop*", "/dev/dm-*")
    devices = [path for pattern in patterns for path in glob.glob(pattern)]
    paths = (*devices, "/dev/mem", "/dev/kmsg", "/dev/kvm", "/dev/fuse")
    return [path for path in paths if opens(path, os.O_RDONLY)]


@attempt("write into the system's folders")
def write_system() -> object:
    folders = ("/", "/usr", "/usr/bin", "/usr/local/bin", "/etc", "/opt", "/var/lib", "/root")
    return [folder for folder in folders if makes(f"{folder}/stateroom-hostile")]


@attempt("write into a /tmp or /dev/shm that others see")
def write_shared() -> object:
    """A file there tells whether it is the machine's."""
    found = []
    for path in GIVEN["shared"]:
        folder = os.path.dirname(path)
        if os.path.exists(path) and makes(f"{folder}/stateroom-hostile"):
            found.append(folder)
    return found


@attempt("change the kernel's settings")
def sysctl() -> object:
    paths = (
        *("/proc/sys/kernel/core_pattern", "/proc/sys/vm/overcommit_memory", "/proc/sysrq-trigger"),
        *("/sys/kernel/mm/transparent_hugepage/enabled", "/sys/power/state"),
        *glob.glob("/sys/fs/cgroup/**/cgroup.procs", recursive=True)[:20],
        *glob.glob("/sys/fs/cgroup/*/release_agent"),
    )
    return [path for path in paths if opens(path, os.O_WRONLY)]


@attempt("replace the tool or a provider for the next run")
def poison() -> object:
    targets = [path for path in GIVEN["programs"] if opens(path, os.O_WRONLY)]
    folders = [os.path.dirname(path) for path in GIVEN["programs"]]
    return targets + [folder for folder in folders if makes(f"{folder}/hostile")]


@attempt("become root, or set the name or clock of the machine")
def become_root() -> object:
    found = []
    if os.getuid():
        with contextlib.suppress(OSError):
            os.setuid(0)
            found.append("root")
    with contextlib.suppress(OSError):
        socket.sethostname(socket.gethostname())
        found.append("name")
    with contextlib.suppress(OSError):
        time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME))
        found.append("clock")
    return found


@attempt("find an open file that leads out")
def inherited() -> object:
    """What it has inherited beside its streams: a folder or file of the worker's."""
    known = ("pipe:", "socket:", "anon_inode:", "/dev/", "/memfd:", os.getcwd())
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            if not target.startswith((*known, "/proc/")) and "hostile" not in target:
                found.append(f"{target} {_above(int(name))}")
    return found


def _above(fd: int) -> list[str]:
    """What the folder has beside it that it is in."""
    with contextlib.suppress(OSError):
        return os.listdir(os.open("..", os.O_RDONLY, dir_fd=fd))[:3]
    return []


@attempt("open more files than it may")
def open_files() -> object:
    opened: list[int] = []
    try:
        while len(opened) <= GIVEN["open files"]:
            opened.append(os.dup(1))
        return len(opened)
    finally:
        for fd in opened:
            os.close(fd)
