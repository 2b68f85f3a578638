"""The kernel's switches of a process. Prepared here, so that a child can call them before exec.

It imports next to nothing: forking.py runs in a process that has to stay small.
"""

from __future__ import annotations

import ctypes
import os

PDEATHSIG, DUMPABLE, CAPBSET_DROP, CHILD_SUBREAPER, NO_NEW_PRIVS = 1, 4, 24, 36, 38

_RESTRICT_SELF = 446  # Landlock's, the same on every architecture
# Landlock does not bind who may look at everything: CAP_PERFMON reads any process's environment.
# A worker that is root passes on what files need: chown, dac_override, fowner, fsetid, setgid,
# setuid and net_bind_service. Numbers that a kernel does not know are refused harmlessly.
_DROPPED = tuple(number for number in range(64) if number not in {0, 1, 3, 4, 6, 7, 10})

_libc = ctypes.CDLL(None, use_errno=True)
prctl = _libc.prctl
prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def die_with(parent: int, number: int) -> None:
    """Between fork and exec: get this signal when the parent dies; end when it has died already."""
    prctl(PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def enter(ruleset: int) -> None:
    """Between fork and exec: confine this process for good by a ruleset of Landlock.

    Raises OSError.
    """
    for capability in _DROPPED:  # refused where there are none: all the better
        prctl(CAPBSET_DROP, capability, 0, 0, 0)
    restricted = (ctypes.c_long(_RESTRICT_SELF), ctypes.c_int(ruleset), ctypes.c_uint32(0))
    if prctl(NO_NEW_PRIVS, 1, 0, 0, 0) or _syscall(*restricted):
        raise OSError(ctypes.get_errno(), "landlock")


def switch(option: int, value: int, name: str) -> None:
    """Raises OSError, with this name in it."""
    if prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), name)
