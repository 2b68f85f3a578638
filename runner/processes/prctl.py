"""The kernel's switches of a process. Prepared here, so that a child can call them before exec.

It imports next to nothing: forking.py runs in a process that has to stay small.
"""

from __future__ import annotations

import ctypes
import os

PDEATHSIG, DUMPABLE, CAPBSET_DROP, CHILD_SUBREAPER, NO_NEW_PRIVS = 1, 4, 24, 36, 38

_libc = ctypes.CDLL(None, use_errno=True)
prctl = _libc.prctl
prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]


def die_with(parent: int, number: int) -> None:
    """Between fork and exec: get this signal when the parent dies; end when it has died already."""
    prctl(PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def switch(option: int, value: int, name: str) -> None:
    """Raises OSError, with this name in it."""
    if prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), name)
