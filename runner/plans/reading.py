"""Read the JSON of a saved plan, as both tools write it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from typing import IO

from msgspec import Raw

from runner.plans import document, values
from runner.plans.document import ChangeHead, Document, Entry, EntryBody
from runner.plans.marks import texts
from runner.plans.plan_read import COUNTS, OutputChange, PlanRead, ResourceChange, Summary
from runner.plans.secrets import SHORTEST, Secrets


def read(
    file: IO[bytes], *, has_changes: bool, secrets: Iterable[str], sensitive: Collection[str] = ()
) -> PlanRead:
    """Read a plan. `sensitive` are names of variables whose values are secrets too.

    The file may be closed afterwards, and is needed no more when the plan is forgotten. Raises
    ToolError `plan-json-unreadable`.
    """
    content, plan = document.opened(file)
    resources, drift = _changes(plan.resource_changes), _changes(plan.resource_drift)
    outputs = tuple(_output(name, raw) for name, raw in plan.output_changes.items())
    marked = frozenset(_marked(plan))
    return PlanRead(
        summary=_summary(resources, outputs, len(plan.action_invocations)),
        has_changes=has_changes,
        resources=resources,
        outputs=outputs,
        drift=tuple(change for change in drift if change.action != "no-op"),
        invocations=plan.action_invocations,
        missing_variables=_missing(plan),
        sensitive=marked,
        size=len(content),
        _content=content,
        _secrets=Secrets(chain(secrets, _values_of(plan, sensitive)), marked),
    )


def _changes(entries: Iterable[Raw]) -> tuple[ResourceChange, ...]:
    return tuple(map(_change, entries))


def _change(raw: Raw) -> ResourceChange:
    entry = document.decoded(raw, Entry)
    importing = entry.change.importing
    return ResourceChange(
        address=entry.address,
        previous_address=entry.previous_address,
        deposed=entry.deposed,
        mode=sys.intern(entry.mode),
        type=sys.intern(entry.type),
        name=sys.intern(entry.name),
        provider=sys.intern(entry.provider_name),
        actions=entry.change.actions,
        reason=entry.action_reason,
        importing=None if importing is None else importing.id or "",
        _raw=raw,
    )


def _output(name: str, raw: Raw) -> OutputChange:
    return OutputChange(name, document.decoded(raw, ChangeHead).actions, raw)


def _summary(
    resources: Iterable[ResourceChange], outputs: Iterable[OutputChange], actions: int
) -> Summary:
    counted = Counter(chain.from_iterable(map(_counts, resources)))
    counted["actions"] = actions
    counted["outputs"] = sum(output.action != "no-op" for output in outputs)
    return {name: counted[name] for name in COUNTS}


def _counts(change: ResourceChange) -> Iterator[str]:
    """What a change counts as: as the tools count it in their texts."""
    words = {"create": "add", "update": "change", "delete": "destroy", "forget": "forget"}
    if change.mode == "managed":
        yield from (words[action] for action in change.actions if action in words)
    if change.action == "replace":
        yield "replace"
    if change.action == "read":
        yield "read"
    if change.moves:
        yield "move"
    if change.importing is not None:
        yield "import"


def _missing(plan: Document) -> tuple[str, ...]:
    return tuple(plan.configuration.root_module.variables.keys() - plan.variables.keys())


def _values_of(plan: Document, sensitive: Collection[str]) -> Iterator[str]:
    """The values of variables that are said to be sensitive, here or in the configuration."""
    declared = plan.configuration.root_module.variables
    for name, given in plan.variables.items():
        if name in sensitive or (name in declared and declared[name].sensitive):
            found = texts(document.value_of(given.value))
            yield from (text for text in found if len(text) >= SHORTEST)


def _marked(plan: Document) -> Iterator[str]:
    for raw in chain(plan.resource_changes, plan.resource_drift):
        yield from _marked_by(document.decoded(raw, EntryBody).change)
    for raw in plan.output_changes.values():
        yield from _marked_by(raw)


def _marked_by(change: Raw) -> Iterator[str]:
    head = document.decoded(change, ChangeHead)
    if b"true" in bytes(head.before_sensitive) + bytes(head.after_sensitive):
        yield from values.marked(document.body_of(change))
