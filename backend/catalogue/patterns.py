"""Match patterns that people have written, which may take for ever, within limits."""

from __future__ import annotations

import json
from collections.abc import Sequence

from backend import apart
from backend.catalogue import pattern_process
from backend.errors import Invalid

_MEMORY = 200_000_000  # bytes of address space
_CPU_SECONDS = 2


def matched(pairs: Sequence[tuple[str, str]]) -> list[bool | str]:
    """For each pattern and text: whether the whole text matches, or what is wrong with the pattern.

    Raises Invalid `pattern-too-slow`.
    """
    if not pairs:
        return []
    asked = json.dumps(pairs).encode()
    try:
        said = apart.run(pattern_process.__name__, [asked], memory=_MEMORY, seconds=_CPU_SECONDS)
    except apart.Exceeded:
        raise Invalid(
            f"Matching the patterns of the survey took more than {_CPU_SECONDS} seconds: make them "
            "simpler.",
            code="pattern-too-slow",
        ) from None
    found: list[bool | str] = json.loads(said)
    return found
