"""What a hostile run is given, and the attempts that it makes."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable
from typing import Any

GIVEN: dict[str, Any] = json.loads(os.environ.get("HOSTILE", "{}"))
FILES: dict[str, str] = GIVEN.get("files", {})
ATTEMPTS: dict[str, Callable[[], object]] = {}

libc = ctypes.CDLL(None, use_errno=True)

Attempt = Callable[[], object]


def attempt(name: str) -> Callable[[Attempt], Attempt]:
    """An attempt succeeds when it returns something true, which is told. It fails by OSError."""

    def registered(function: Attempt) -> Attempt:
        ATTEMPTS[name] = function
        return function

    return registered


def checked(answer: int) -> int:
    """What a function of C returned. Raises OSError."""
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


def opens(path: str, flags: int) -> bool:
    try:
        os.close(os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def makes(path: str) -> bool:
    """Whether a file can be made there. It is removed again."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError:
        return False
    os.unlink(path)
    return True
