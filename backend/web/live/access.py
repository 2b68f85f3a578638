"""Whether who follows a run may still see it: tokens are revoked, and members leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from backend.errors import Error, Unavailable

CHECK_SECONDS = 15.0
UNHEARD_SECONDS = 60.0  # without an answer of the database

log = structlog.get_logger()


class Access:
    """The access of one token to one run. All viewers with this token share it."""

    def __init__(self, ask: Callable[[], None]) -> None:
        """`ask` raises an error when there is no access. It was called just now."""
        self._ask = ask
        self._answered_at = self._asked_at = time.monotonic()
        self._asking = threading.Lock()
        self.refusal: Error | None = None

    def check(self) -> Error | None:
        """Why the run may no longer be seen, asked again from time to time."""
        with self._asking:
            if self.refusal is None and time.monotonic() - self._asked_at > CHECK_SECONDS:
                self.refusal = self._answer()
        return self.refusal

    def _answer(self) -> Error | None:
        self._asked_at = time.monotonic()
        try:
            self._ask()
        except Unavailable as error:
            log.warning("access_unchecked", reason=error.message)
            return error if self._asked_at - self._answered_at > UNHEARD_SECONDS else None
        except Error as refusal:
            return refusal
        self._answered_at = self._asked_at
        return None
