"""The errors of operations, by what the caller can do. Only web/problems.py maps them to HTTP.

Error:
├── Unauthorised   the credential is missing or not valid: send a valid one
├── Forbidden      the caller may see the thing, but not do this with it
├── Throttled      too many attempts: wait
├── NotFound       there is no such thing, or the caller may not see it
├── Invalid        the request is wrong: change it
│   └── TooLarge   the request is too large: the message names the limit
├── Conflict       the thing is not in the state that the request needs: read it again
│   └── Locked     somebody holds the lock: wait, or break it
├── Gone           the thing was deleted
├── Unavailable    a temporary fault of the server: try again
└── Unreadable     sealed bytes cannot be opened: the operator has to check keyring and disk

"""

from __future__ import annotations

import math
from typing import Any


class Error(Exception):
    """`message` is for people; `code` is stable, and `facts` are values for programs."""

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
    """The caller may try again after `seconds`."""

    code = "too-many-attempts"

    def __init__(self, message: str, seconds: float, *, code: str | None = None) -> None:
        self.seconds = math.ceil(seconds)
        said = f"{message} Try again in {self.seconds} seconds."
        super().__init__(said, code=code, seconds=self.seconds)


class NotFound(Error):
    code = "not-found"


class Invalid(Error):
    code = "invalid"


class TooLarge(Invalid):
    code = "too-large"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The body is larger than the limit of {limit:,} bytes. An administrator can raise the "
            "limit: STATEROOM_MAX_STATE_BYTES for all projects, max_state_bytes for one.",
            limit_bytes=limit,
        )


class Conflict(Error):
    code = "conflict"


class Locked(Conflict):
    """`holder` is the LockInfo of the holder, as its client sent it."""

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
