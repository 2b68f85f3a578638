"""Landlock by ctypes: what a process and its children may open. It needs no privilege.

Rights are only ever given, never taken back. What it does not govern: the network, connecting to
unix sockets with a path, limits and metadata of other processes' files. Reading other processes
(environ, mem) and signalling them ends at its border too.

It imports next to nothing: warden.py runs in a process that has to stay small.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

from runner.processes.prctl import CAPBSET_DROP, NO_NEW_PRIVS, prctl

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_PATH_BENEATH = 1
_OLDEST_ABI = 2  # 1 refuses every rename between folders, which providers do

_EXECUTE, WRITE_FILE, READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK, _TRUNCATE, _IOCTL_DEV = 1 << 6, 1 << 11, 1 << 14, 1 << 15
_ON_FILES = _EXECUTE | WRITE_FILE | READ_FILE | _TRUNCATE | _IOCTL_DEV
READ = _EXECUTE | READ_FILE | _READ_DIR
# a device made by root in its own work dir would be a way to the disk under everything
_NEVER = _MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV
EVERYTHING = ((1 << 16) - 1) & ~_NEVER
DEVICES = READ_FILE | WRITE_FILE
_RIGHTS = {2: 1 << 14, 3: 1 << 15, 4: 1 << 15, 5: 1 << 16}  # first bit that the ABI does not know
_SCOPED_SINCE, _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 6, 3

# Landlock does not bind who may look at everything: CAP_PERFMON reads any process's environment.
# A worker that is root passes on what files need: chown, dac_override, fowner, fsetid, setgid,
# setuid and net_bind_service. Numbers that a kernel does not know are refused harmlessly.
_DROPPED = tuple(number for number in range(64) if number not in {0, 1, 3, 4, 6, 7, 10})

_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long

Rule = tuple[str, int]  # a path, and the rights on what is there and below


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


def version() -> int:
    """The number of this kernel's Landlock, 0 where there is none that helps."""
    abi = _syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return int(abi) if abi >= _OLDEST_ABI else 0


def ruleset(abi: int, rules: list[Rule]) -> int:
    """A ruleset in the kernel, as a file descriptor that no child inherits. Raises OSError."""
    handled = _RIGHTS.get(abi, 1 << 16) - 1
    is_scoped = abi >= _SCOPED_SINCE
    attr = _RulesetAttr(handled, 0, _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if is_scoped else 0)
    size = ctypes.sizeof(attr) if is_scoped else 8
    fd = _syscall(
        ctypes.c_long(_CREATE_RULESET),
        ctypes.byref(attr),
        ctypes.c_size_t(size),
        ctypes.c_uint32(0),
    )
    if fd < 0:
        raise _refused("/")
    try:
        for path, rights in rules:
            _allow(fd, path, rights & handled)
    except BaseException:  # nobody else would ever close it
        os.close(fd)
        raise
    os.set_inheritable(fd, False)
    return int(fd)


def enter(fd: int) -> None:
    """Between fork and exec: confine this process for good by a ruleset. Raises OSError."""
    restricted = (ctypes.c_long(_RESTRICT_SELF), ctypes.c_int(fd), ctypes.c_uint32(0))
    if _syscall(*restricted):
        raise OSError(ctypes.get_errno(), "landlock")


def give_up_privileges() -> None:
    """Between fork and exec: gain nothing by a setuid program, and only rights on files by root.

    Raises OSError.
    """
    for capability in _DROPPED:  # refused where there are none: all the better
        prctl(CAPBSET_DROP, capability, 0, 0, 0)
    if prctl(NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")


def _allow(fd: int, path: str, rights: int) -> None:
    """Give the rights on what is at the path and below. What does not exist needs no rights."""
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(opened).st_mode):
            rights &= _ON_FILES
        rule = _PathBeneathAttr(rights, opened)
        answer = _syscall(
            ctypes.c_long(_ADD_RULE),
            ctypes.c_int(fd),
            ctypes.c_int(_PATH_BENEATH),
            ctypes.byref(rule),
            ctypes.c_uint32(0),
        )
    finally:
        os.close(opened)
    if answer:
        raise _refused(path)


def _refused(path: str) -> OSError:
    number = ctypes.get_errno()
    reason = errno.errorcode.get(number, "unknown")
    return OSError(number, f"the kernel refused the sandbox at {path} ({reason})")
