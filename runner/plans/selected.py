"""Addresses that a run was limited to, and that its plan knows nothing of.

Both tools accept an address that matches nothing, and plan nothing for it without a word: a typing
mistake looks like "no changes".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from runner.plans.plan_read import PlanRead

_KEY = re.compile(r'\[(?:\d+|"(?:[^"\\]|\\.)*")\]')
_REQUESTED = "replace_by_request"


def warnings(plan: PlanRead, targets: Iterable[str], replace: Iterable[str]) -> Iterator[str]:
    """What a person should know of addresses that match nothing in a plan.

    A refresh-only plan does not say what it looked at, and no plan says it of data sources.
    """
    known = [change.address for change in plan.resources]
    for target in filter(_can_be_compared, targets):
        if not any(_contains(target, address) for address in known):
            yield f"The target {target} matches no resource: nothing was planned for it."
    replaced = {change.address for change in plan.resources if change.reason == _REQUESTED}
    for address in filter(_can_be_compared, replace):
        if address not in replaced:
            yield (
                f"{address} is not replaced: there is no resource instance with this address in "
                "the state and the sources, or it is not among the targets."
            )


def _can_be_compared(address: str) -> bool:
    """Whether it is of a managed resource, and written as the tools write it."""
    without_keys = _KEY.sub("", address)
    return "\\u" not in address.lower() and "data" not in without_keys.split(".")


def _contains(target: str, address: str) -> bool:
    return address == target or address.startswith((f"{target}.", f"{target}["))
