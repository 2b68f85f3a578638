"""What was changed outside of the tool, as a refresh-only plan has found it.

Such a plan has every difference between the state and what there is, also between nothing and an
empty text, list or object, as many providers read back what they have just made. These say nothing,
and are only counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from runner.plans.hiding import Path
from runner.plans.plan_read import OutputChange, PlanRead, ResourceChange
from runner.plans.values import Values

MOST_RESOURCES = 500  # that are named
MOST_ATTRIBUTES = 50  # of one resource
LONGEST = 1000  # characters of one value


class DriftedAttribute(Struct, frozen=True):
    """A value that is another one now, without secrets."""

    path: Path
    before: Any
    after: Any
    sensitive: bool


class DriftedResource(Struct, frozen=True):
    """`action` is the tool's word: update, or delete for what is gone, which has no attributes."""

    address: str
    type: str
    provider: str
    action: str
    attributes: tuple[DriftedAttribute, ...]
    more_attributes: int


class DriftedOutput(Struct, frozen=True):
    name: str
    action: str
    before: Any
    after: Any
    sensitive: bool


class Drift(Struct, frozen=True):
    """`more_resources` are not named here. `unimportant` are resources that differ in nothing."""

    resources: tuple[DriftedResource, ...]
    more_resources: int
    outputs: tuple[DriftedOutput, ...]
    more_outputs: int
    unimportant: int

    @property
    def resource_count(self) -> int:
        return len(self.resources) + self.more_resources

    @property
    def output_count(self) -> int:
        return len(self.outputs) + self.more_outputs

    @property
    def is_any(self) -> bool:
        return bool(self.resources or self.outputs)


def find(plan: PlanRead) -> Drift:
    """The drift in a refresh-only plan. Raises ToolError."""
    named: list[DriftedResource] = []
    more = unimportant = 0
    for change in plan.drift:
        found = _resource(plan, change)
        if found is None:
            unimportant += 1
        elif len(named) < MOST_RESOURCES:
            named.append(found)
        else:
            more += 1
    outputs = [output for output in plan.outputs if output.action != "no-op"]
    return Drift(
        resources=tuple(named),
        more_resources=more,
        outputs=tuple(_output(plan, output) for output in outputs[:MOST_RESOURCES]),
        more_outputs=max(0, len(outputs) - MOST_RESOURCES),
        unimportant=unimportant,
    )


def _resource(plan: PlanRead, change: ResourceChange) -> DriftedResource | None:
    """The resource with what is other now; None when that says nothing."""
    attributes: list[DriftedAttribute] = []
    if change.action == "update":
        attributes = list(_important(plan.values(change)))
        if not attributes:
            return None
    return DriftedResource(
        address=plan.masked(change.address),
        type=change.type,
        provider=change.provider,
        action=change.action,
        attributes=tuple(attributes[:MOST_ATTRIBUTES]),
        more_attributes=max(0, len(attributes) - MOST_ATTRIBUTES),
    )


def _important(values: Values) -> Iterator[DriftedAttribute]:
    for path in values.changed:
        before, after = (_at(value, path, values) for value in (values.before, values.after))
        if not (_is_empty(before) and _is_empty(after)):
            yield DriftedAttribute(path, before, after, _is_in(path, values.sensitive))


def _output(plan: PlanRead, change: OutputChange) -> DriftedOutput:
    values = plan.output(change)
    return DriftedOutput(
        name=plan.masked(change.name),
        action=change.action,
        before=_short(values.before),
        after=_short(values.after),
        sensitive=bool(values.sensitive),
    )


def _at(value: Any, path: Path, values: Values) -> Any:
    """A part of a value, shortened. What is not there is None."""
    if any(len(cut.path) < len(path) and _is_in(path, [cut.path]) for cut in values.cut):
        return "…"
    for key in path:
        if isinstance(value, dict):
            value = value.get(str(key))
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return _short(value)


def _is_in(path: Path, others: Iterable[Path]) -> bool:
    return any(path[: len(other)] == other for other in others)


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})


def _short(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= LONGEST else f"{value[:LONGEST]}…"
    if isinstance(value, dict | list) and len(msgspec.json.encode(value)) > LONGEST:
        return f"… ({len(value)} entries)"
    return value
