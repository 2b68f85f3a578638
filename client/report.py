"""The doctor's report: one line for each check, then an explanation of each fault; or JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

from client.conformance.suite import Outcome, is_sound

WIDTH = 96


def line(outcome: Outcome) -> str:
    why = f" ({outcome.seen})" if outcome.ending == "skip" else ""
    return f"{outcome.ending:<5} {outcome.check.theme}: {outcome.check.name}{why}"


def faults(outcomes: Sequence[Outcome]) -> str:
    """For each fault: what was seen, what it means for terraform, and what to change."""
    said = [o for ending in ("FAIL", "warn") for o in outcomes if o.ending == ending]
    return "\n".join(_fault(outcome) for outcome in said)


def verdict(url: str, version: str, outcomes: Sequence[Outcome]) -> str:
    counted = {e: sum(o.ending == e for o in outcomes) for e in ("ok", "FAIL", "warn", "skip")}
    numbers = ", ".join(f"{number} {ending}" for ending, number in counted.items() if number)
    word = "is sound" if is_sound(outcomes) else "is NOT sound"
    return f"The deployment at {url} (Stateroom {version or '?'}) {word}: {numbers}."


def document(url: str, version: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "url": url,
        "version": version,
        "sound": is_sound(outcomes),
        "checks": [_row(outcome) for outcome in outcomes],
    }


def as_json(url: str, version: str, outcomes: Sequence[Outcome]) -> str:
    return json.dumps(document(url, version, outcomes), indent=2, ensure_ascii=False)


def _fault(outcome: Outcome) -> str:
    parts = [f"{outcome.ending}  {outcome.check.theme}: {outcome.check.name}"]
    for label, text in (("seen", outcome.seen), ("means", outcome.means), ("do", outcome.do)):
        first = f"  {label:<6}"
        parts.append(
            textwrap.fill(
                text,
                WIDTH,
                initial_indent=first,
                subsequent_indent=" " * len(first),
                break_long_words=False,
                break_on_hyphens=False,  # paths are to be copied
            )
        )
    return "\n".join(parts) + "\n"


def _row(outcome: Outcome) -> dict[str, Any]:
    return {
        "theme": outcome.check.theme,
        "check": outcome.check.name,
        "outcome": outcome.ending.lower(),
        "blocked": outcome.blocked,
        "seen": outcome.seen,
        "means": outcome.means,
        "do": outcome.do,
        "seconds": round(outcome.seconds, 3),
    }
