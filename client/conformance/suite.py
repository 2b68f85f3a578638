"""The conformance suite: all checks in order, and their outcomes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from client.conformance import (
    addresses,
    browsers,
    force_unlock,
    limits,
    locks,
    network,
    reads,
    redirects,
    serials,
    writes,
)
from client.conformance.check import Check, Failed, Skipped, Warned, checks_of
from client.conformance.target import Blocked, Target
from client.conformance.wire import Broken

MODULES = (
    network, redirects, reads, locks, force_unlock, writes, serials, limits, browsers, addresses,
)  # fmt: skip
CHECKS = [check for module in MODULES for check in checks_of(module)]

Ending = Literal["ok", "FAIL", "warn", "skip"]


@dataclass(frozen=True)
class Outcome:
    check: Check
    ending: Ending
    seen: str = ""
    means: str = ""
    do: str = ""
    blocked: bool = False  # skipped because of a fault that another check reports
    seconds: float = 0.0


def ordered(checks: Sequence[Check], *, slow: bool = True) -> list[Check]:
    """All checks. Those that need a state that was never written come first, `last` ones last."""
    wanted = [check for check in checks if slow or not check.slow]
    return sorted(wanted, key=_rank)


def ask(checks: Sequence[Check], target: Target) -> Iterator[Outcome]:
    """Run the checks and yield each outcome. After a failed gate the others are skipped."""
    for number, check in enumerate(checks):
        began = time.monotonic()
        outcome = _ask(check, target, began)
        yield outcome
        if check.gate and outcome.ending == "FAIL":
            for left in checks[number + 1 :]:
                yield Outcome(left, "skip", f"because “{check.name}” failed", blocked=True)
            return


def is_sound(outcomes: Sequence[Outcome]) -> bool:
    return not any(outcome.ending == "FAIL" or outcome.blocked for outcome in outcomes)


def _rank(check: Check) -> int:
    if check.gate:
        return 0
    if check.last:
        return 4
    if check.fresh:
        return 2
    return 1 if check.theme == "network" else 3


def _ask(check: Check, target: Target, began: float) -> Outcome:
    try:
        check.ask(target)
    except Failed as failed:
        ending: Ending = "warn" if isinstance(failed, Warned) else "FAIL"
        return Outcome(
            check, ending, failed.seen, failed.means, failed.do, seconds=time.monotonic() - began
        )
    except Skipped as skipped:
        return Outcome(check, "skip", str(skipped))
    except Blocked as blocked:
        return Outcome(check, "skip", f"cannot begin: {blocked}", blocked=True)
    except Broken as broken:
        means = "terraform fails here too, and may leave a lock or errored.tfstate behind."
        return Outcome(check, "FAIL", broken.message, means, broken.do)
    return Outcome(check, "ok", seconds=time.monotonic() - began)
