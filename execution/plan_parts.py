"""A plan that the runner has read, as the parts that are kept of it.

What everybody who may see the run sees has no secret in it. The JSON of the tool has them in clear,
and is sealed like everything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from backend.models import PlanDocument
from backend.runs import plan_documents
from backend.runs.plan_documents import Part
from backend.runs.plan_index import Head, Index
from backend.sealing.keyring import Keyring
from runner.plans.document import Invocation
from runner.plans.plan_read import OutputChange, PlanRead, ResourceChange
from runner.plans.values import Values

PAGE_ITEMS = 100
PAGE_BYTES = 256 * 1024  # after which a page ends
BATCH_BYTES = 4 << 20  # sealed bytes that one transaction stores
MOST_BYTES = 64 << 20  # of all pages: later resources are kept without their values
MOST_JSON_BYTES = 256 << 20
MOST_BESIDE = 500  # outputs, resources that changed outside, and invocations
LONGEST = 4096  # characters of an address

_NOTHING = Values(None, None)


def sealed(
    keyring: Keyring, run_id: str, epoch: int, plan: PlanRead
) -> Iterator[Sequence[PlanDocument]]:
    """All parts of a plan, in batches, sealed for this claim of the run. Raises ToolError."""
    batch: list[PlanDocument] = []
    size = 0
    for part in _parts(plan):
        row = plan_documents.seal(keyring, run_id, epoch, part)
        batch.append(row)
        size += len(row.sealed)
        if size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    yield batch


def _parts(plan: PlanRead) -> Iterator[Part]:
    pages = _Pages(plan)
    for number, page in enumerate(pages.made()):
        yield Part("page", number, page)
    outputs = [output for output in plan.outputs if output.action != "no-op"]
    yield Part("outputs", 0, _encoded(_output(plan, one) for one in outputs[:MOST_BESIDE]))
    yield Part("drift", 0, _encoded(_shown(plan, one) for one in plan.drift[:MOST_BESIDE]))
    pieces = 0
    if plan.size <= MOST_JSON_BYTES:
        for number, piece in enumerate(plan.raw()):
            yield Part("json", number, piece)
            pieces = number + 1
    index = Index(
        summary=plan.summary,
        has_changes=plan.has_changes,
        heads=pages.heads,
        invocations=[_invocation(one) for one in plan.invocations[:MOST_BESIDE]],
        outputs_left_out=max(0, len(outputs) - MOST_BESIDE),
        drift_left_out=max(0, len(plan.drift) - MOST_BESIDE),
        values_left_out=pages.left_out,
        json_bytes=plan.size,
        json_pieces=pieces,
    )
    yield Part("index", 0, msgspec.json.encode(index))


class _Pages:
    """The pages of all resources, and their index, which is complete after the last page."""

    def __init__(self, plan: PlanRead) -> None:
        self.heads: list[Head] = []
        self.left_out = 0
        self._plan, self._size = plan, 0

    def made(self) -> Iterator[bytes]:
        page: list[bytes] = []
        number = 0
        for change in self._plan.resources:
            self.heads.append(_head(change, number, len(page)))
            page.append(self._item(change))
            if len(page) == PAGE_ITEMS or sum(map(len, page)) > PAGE_BYTES:
                yield _joined(page)
                page, number = [], number + 1
        if page:
            yield _joined(page)

    def _item(self, change: ResourceChange) -> bytes:
        if change.is_change and self._size > MOST_BYTES:
            self.left_out += 1
            item = msgspec.json.encode(_described(self._plan, change, _NOTHING, left_out=True))
        elif change.is_change:
            item = msgspec.json.encode(_shown(self._plan, change))
        else:  # its values are in the state
            item = msgspec.json.encode(_described(self._plan, change, _NOTHING))
        self._size += len(item)
        return item


def _joined(page: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(page) + b"]"


def _encoded(items: Iterable[dict[str, Any]]) -> bytes:
    return _joined(map(msgspec.json.encode, items))


def _head(change: ResourceChange, page: int, place: int) -> Head:
    return Head(
        address=change.address[:LONGEST],
        type=change.type,
        action=change.action,
        imports=change.importing is not None,
        moves=change.moves,
        is_change=change.is_change,
        page=page,
        place=place,
    )


def _shown(plan: PlanRead, change: ResourceChange) -> dict[str, Any]:
    return _described(plan, change, plan.values(change))


def _described(
    plan: PlanRead, change: ResourceChange, values: Values, *, left_out: bool = False
) -> dict[str, Any]:
    importing = None if change.importing is None else plan.masked(change.importing)
    return {
        "address": change.address[:LONGEST],
        "previous_address": change.previous_address if change.moves else None,
        "deposed": change.deposed,
        "mode": change.mode,
        "type": change.type,
        "name": change.name,
        "provider": change.provider,
        "action": change.action,
        "actions": change.actions,
        "reason": change.reason,
        "importing": importing,
        "values_left_out": left_out,
        **_fields(values),
    }


def _output(plan: PlanRead, output: OutputChange) -> dict[str, Any]:
    return {"name": output.name, "action": output.action, **_fields(plan.output(output))}


def _fields(values: Values) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.structs.asdict(values)
    fields["replace_paths"] = fields.pop("replace")
    return fields


def _invocation(one: Invocation) -> dict[str, Any]:
    trigger = one.lifecycle_action_trigger
    return {
        "address": one.address[:LONGEST],
        "type": one.type,
        "provider": one.provider_name,
        "triggered_by": None if trigger is None else trigger.triggering_resource_address[:LONGEST],
        "event": None if trigger is None else trigger.action_trigger_event,
    }
