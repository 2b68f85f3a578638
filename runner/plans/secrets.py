"""The secrets that values of a plan are compared with, beside the plan's own marks."""

from __future__ import annotations

from collections.abc import Iterable

from runner.redact import MASK, Redactor

SHORTEST = 3  # characters: as in the log, a shorter secret is not looked for
SHORTEST_MARKED = 8  # of a value that is marked elsewhere in the plan

_MASK = MASK.decode()


class Secrets:
    """`given` are secrets of the run, which are found inside of texts and in other encodings.

    `marked` are values that the plan marks somewhere, which are found as whole values.
    """

    def __init__(self, given: Iterable[str], marked: Iterable[str]) -> None:
        self._redactor = Redactor(set(given))
        self.marked = frozenset(text for text in marked if len(text) >= SHORTEST_MARKED)

    def are_in(self, text: str) -> bool:
        return self._redactor.mask(text) != text

    def masked(self, text: str) -> str | None:
        """The text without secrets; None if nothing else is in it."""
        masked = self._redactor.mask(text)
        return None if masked == _MASK else masked
