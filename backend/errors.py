"""What can go wrong, by what the caller can do about it. HTTP is known to web/problems.py alone.

Error:
├── Unauthorised   say who you are (again)
├── Forbidden      you may see it, but not do this
├── Throttled      you try too often: wait
├── NotFound       there is no such thing, or not for you
├── Invalid        the request is wrong: change it
│   └── TooLarge   the request is too big: the limit is named
├── Conflict       the thing is in another state than you think: read it again
│   └── Locked     somebody holds the lock: wait for them, or break it
├── Gone           it was here, and was deleted
├── Unavailable    a passing fault of ours: try again
└── Unreadable     sealed bytes do not open: somebody must look at the keyring or the disk

"""

from __future__ import annotations

import math
from typing import Any


class Error(Exception):
    """The message is for the caller, `code` is stable, `facts` are for programs."""

    code = "error"

    def __init__(self, message: str, *, code: str | None = None, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.facts = facts


class Unauthorised(Error):
    code = "unauthorised"


class Forbidden(Error):
    code = "forbidden"


class Throttled(Error):
    """Try again after so many seconds."""

    code = "too-many-attempts"

    def __init__(self, message: str, seconds: float) -> None:
        self.seconds = math.ceil(seconds)
        super().__init__(f"{message} Try again in {self.seconds} seconds.", seconds=self.seconds)


class NotFound(Error):
    code = "not-found"


class Invalid(Error):
    code = "invalid"


class TooLarge(Invalid):
    code = "too-large"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The body is larger than the limit of {limit:,} bytes. An administrator can raise it: "
            "STATEROOM_MAX_STATE_BYTES for all, max_state_bytes for a project.",
            limit_bytes=limit,
        )


class Conflict(Error):
    code = "conflict"


class Locked(Conflict):
    """`holder` is the LockInfo of who holds it, as the client gave it."""

    code = "state-locked"

    def __init__(self, message: str, holder: dict[str, Any], *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.holder = holder


class Gone(Error):
    code = "gone"


class Unavailable(Error):
    code = "unavailable"


class Unreadable(Error):
    code = "unreadable"
