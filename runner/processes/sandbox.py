"""Landlock by ctypes: what a run's commands may open. It needs no privilege.

A ruleset is made by the parent and entered by the child, just before its exec (prctl.enter). Rights
are only ever given, never taken back, so a hidden folder below a readable one is left out by giving
its siblings instead.

What it does not do: the network, unix sockets with a path, and what the user id may not do anyway.
Reading other processes (environ, mem) and signalling them ends at the sandbox's border too.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import FileIO
from pathlib import Path

from runner.errors import ToolError
from runner.job import SandboxMode
from runner.processes.prctl import DUMPABLE, switch

_CREATE_RULESET, _ADD_RULE = 444, 445  # the same on every architecture
_ABI_QUESTION, _PATH_BENEATH = 1, 1
_OLDEST_ABI = 2  # 1 refuses every rename between folders, which providers do

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK, _TRUNCATE, _IOCTL_DEV = 1 << 6, 1 << 11, 1 << 14, 1 << 15
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READ = _EXECUTE | _READ_FILE | _READ_DIR
# a device made by root in its own work dir would be a way to the disk under everything
_NEVER = _MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV
_RIGHTS = {2: 1 << 14, 3: 1 << 15, 4: 1 << 15, 5: 1 << 16}  # first bit that the ABI does not know
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 3

_SYSTEM = (
    *(
        "/usr",
        "/bin",
        "/sbin",
        "/lib",
        "/lib32",
        "/lib64",
        "/libx32",
        "/etc",
        "/opt",
        "/proc",
        "/sys",
    ),
    *("/nix/store", "/run/current-system", "/run/systemd/resolve", "/run/resolvconf"),
)
_FOLLOWED = ("/etc/resolv.conf", "/etc/hosts", "/etc/localtime")  # symlinks to elsewhere on some
# not the whole of /dev: it has disks, memory and other people's shm
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


class _RulesetAttr(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


@dataclass(frozen=True)
class Confinement:
    """What a command may open besides the system's own folders. `hidden` is kept out of these."""

    writable: tuple[Path, ...]
    readable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()


@cache
def _abi() -> int:
    """Landlock's ABI number of this kernel, 0 where there is none that helps."""
    abi = _syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return int(abi) if abi >= _OLDEST_ABI else 0


def available() -> str:
    """The layer that confines commands here: `landlock 7`, or `none`."""
    return f"landlock {_abi()}" if _abi() else "none"


def choose(mode: SandboxMode, confinement: Confinement) -> Confinement | None:
    """What to confine by in this mode. Raises ToolError `sandbox-unavailable` when it must be."""
    if mode == "required" and not _abi():
        raise ToolError(
            "sandbox-unavailable",
            "This installation asks for a sandbox, and this kernel offers none: use a kernel with "
            "Landlock (5.19 or later, `landlock` in /sys/kernel/security/lsm), or set the sandbox "
            "to auto.",
        )
    return None if mode == "off" or not _abi() else confinement


def prepare(confinement: Confinement) -> FileIO:
    """A ruleset in the kernel, open until a child has entered it.

    Raises ToolError `sandbox-unavailable` when the kernel refuses.
    """
    abi = _abi()
    handled = _RIGHTS.get(abi, 1 << 16) - 1
    attr = _RulesetAttr(handled, 0, _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if abi >= 6 else 0)
    size = ctypes.sizeof(attr) if abi >= 6 else 8
    fd = _syscall(
        ctypes.c_long(_CREATE_RULESET),
        ctypes.byref(attr),
        ctypes.c_size_t(size),
        ctypes.c_uint32(0),
    )
    if fd < 0:
        raise _refused("/")
    try:
        for path, rights in _rules(confinement, handled & ~_NEVER):
            _allow(fd, path, rights)
    except BaseException:  # nobody else would ever close it
        os.close(fd)
        raise
    os.set_inheritable(fd, False)
    return FileIO(fd)


def _rules(confinement: Confinement, everything: int) -> Iterator[tuple[Path, int]]:
    hidden = tuple(path.resolve() for path in confinement.hidden)
    for folder in _SYSTEM:
        for path in _around(Path(folder).resolve(), hidden):
            yield path, _READ
    for path in map(Path, _FOLLOWED):
        yield path, _READ
    for given in confinement.readable:
        for path in _around(given.resolve(), _still_hidden(given, hidden)):
            yield path, _READ
    for path in map(Path, _DEVICES):
        yield path, _READ_FILE | _WRITE_FILE
    for path in confinement.writable:
        yield path, everything


def _still_hidden(given: Path, hidden: tuple[Path, ...]) -> tuple[Path, ...]:
    """What stays out although the path is given: what is in it, not what it is in on purpose."""
    return tuple(path for path in hidden if path not in given.resolve().parents)


def _around(folder: Path, hidden: tuple[Path, ...]) -> Iterator[Path]:
    """The folder, or what is beside the hidden paths in it."""
    if any(folder.is_relative_to(path) for path in hidden):
        return
    if not any(path.is_relative_to(folder) for path in hidden):
        yield folder
        return
    for child in folder.iterdir():
        if not child.is_symlink():
            yield from _around(child, hidden)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    """Give the rights on what is at the path and below. What does not exist needs no rights."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _ON_FILES
        rule = _PathBeneathAttr(rights, fd)
        answer = _syscall(
            ctypes.c_long(_ADD_RULE),
            ctypes.c_int(ruleset),
            ctypes.c_int(_PATH_BENEATH),
            ctypes.byref(rule),
            ctypes.c_uint32(0),
        )
    finally:
        os.close(fd)
    if answer:
        raise _refused(str(path))


def _refused(path: str) -> ToolError:
    reason = errno.errorcode.get(ctypes.get_errno(), "unknown")
    return ToolError("sandbox-unavailable", f"The kernel refused the sandbox at {path} ({reason}).")


def hide_memory() -> None:
    """Keep this process's environment and memory from its children, which share its user.

    Raises OSError.
    """
    switch(DUMPABLE, 0, "PR_SET_DUMPABLE")
