"""The plan of a run: a tree of modules, and the attributes of each resource before and after."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from flask import request
from flask.typing import ResponseReturnValue

from backend.catalogue import projects
from backend.errors import Conflict, NotFound
from backend.models import ENDED, Project, Run
from backend.offload import off_loop
from backend.runs import plan_documents, plan_outline, queue
from backend.runs.plan_documents import Contents
from backend.runs.plan_outline import FILTERS, Outline, Wanted
from backend.transactions import Transaction
from backend.web.current import reading
from backend.web.ui import plan_shown
from backend.web.ui.door import pages
from backend.web.ui.layout import page

bp = pages("plans")
AT = "/projects/<project>/runs/<run>/plan"
EXPANDED = 50  # resources on a page with all attributes
EXPANDED_BYTES = 100_000  # of their values
LONGEST = 200  # letters of what is searched for
_CURSOR = re.compile(r"([0-9]{1,9})_([0-9]{1,9})")


@bp.get(AT)
def show(project: str, run: str) -> ResponseReturnValue:
    with reading() as tx:
        place = projects.get(tx, project)
        one = queue.get(tx, place, run)
        found = plan_documents.find(tx, one)
        seen = {"why": plan_documents.why_missing(one)} if found is None else _seen(tx, one, found)
        return page("plans/plan.html", place, **_around(place, one), **seen)


@bp.get(f"{AT}/resources/<cursor>")
def show_resource(project: str, run: str, cursor: str) -> ResponseReturnValue:
    """The attributes of one resource, by its position in the plan."""
    with reading() as tx:
        place = projects.get(tx, project)
        one = queue.get(tx, place, run)
        found = _found(tx, one)
        position = _position(cursor, found)
        if position >= len(found.index.heads):
            raise NotFound("The plan has no such resource.")
        [raw] = plan_documents.find_resources(tx, one, found.epoch, [found.index.heads[position]])
        return page("plans/resource.html", place, resource=_read(raw), **_around(place, one))


@bp.get(f"{AT}/outputs")
def show_outputs(project: str, run: str) -> ResponseReturnValue:
    """The outputs that change."""
    with reading() as tx:
        place = projects.get(tx, project)
        one = queue.get(tx, place, run)
        found = _found(tx, one)
        return page(
            "plans/outputs.html", place, **_part(found, found.outputs), **_around(place, one)
        )


@bp.get(f"{AT}/drift")
def show_drift(project: str, run: str) -> ResponseReturnValue:
    """What the plan found changed outside."""
    with reading() as tx:
        place = projects.get(tx, project)
        one = queue.get(tx, place, run)
        found = _found(tx, one)
        return page("plans/drift.html", place, **_part(found, found.drift), **_around(place, one))


def _part(found: Contents, given: Sequence[msgspec.Raw]) -> dict[str, Any]:
    """A page of outputs or resources, from the cursor of this request on."""
    begin = _position(request.args.get("cursor"), found)
    items = _cut(given[begin:])
    end = begin + len(items)
    return {"items": items, "next_cursor": f"{found.epoch}_{end}" if end < len(given) else None}


def _found(tx: Transaction, run: Run) -> Contents:
    found = plan_documents.find(tx, run)
    if found is None:
        why = plan_documents.why_missing(run)
        raise NotFound(f"The run {run.id} has no plan: {why}.", code="plan-missing")
    return found


def _seen(tx: Transaction, run: Run, found: Contents) -> dict[str, Any]:
    """A page of the tree; with `expand` also the values of its resources."""
    is_expanded = request.args.get("expand") == "all"
    action = request.args.get("action", "")
    wanted = Wanted(
        action=action if action in FILTERS else "",
        text=request.args.get("q", "")[:LONGEST],
        offset=_position(request.args.get("cursor"), found),
        limit=EXPANDED if is_expanded else plan_outline.PAGE,
    )
    outline = off_loop(plan_outline.of, found.index, wanted)
    values: Mapping[int, Any] = {}
    if is_expanded:
        outline, values = _expanded(tx, run, found, wanted, outline)
    more = outline.next_offset
    return {
        "index": found.index,
        "epoch": found.epoch,
        "wanted": wanted,
        "outline": outline,
        "values": values,
        "next_cursor": None if more is None else f"{found.epoch}_{more}",
        "outputs": _few(found.outputs),
        "output_count": len(found.outputs) + found.index.outputs_left_out,
        "drift_count": len(found.drift) + found.index.drift_left_out,
        "told": plan_shown.told(run.findings, (row.head.address for row in outline.rows)),
    }


def _expanded(
    tx: Transaction, run: Run, found: Contents, wanted: Wanted, outline: Outline
) -> tuple[Outline, Mapping[int, Any]]:
    """The tree with values. It ends where they become too many for a page."""
    rows = outline.rows
    raws = plan_documents.find_resources(tx, run, found.epoch, [row.head for row in rows])
    items = _cut(raws)
    if len(items) < len(rows):
        shorter = Wanted(wanted.action, wanted.text, wanted.offset, len(items))
        outline = plan_outline.of(found.index, shorter)
    return outline, {row.position: item for row, item in zip(outline.rows, items, strict=True)}


def _few(raws: Sequence[msgspec.Raw]) -> list[Any] | None:
    """All of them if they are few enough to be shown at once."""
    items = _cut(raws)
    return items if len(items) == len(raws) else None


def _cut(raws: Sequence[msgspec.Raw]) -> list[Any]:
    """As many as a page takes, and at least one."""
    items: list[Any] = []
    size = 0
    for raw in raws[:EXPANDED]:
        size += len(bytes(raw))
        if items and size > EXPANDED_BYTES:
            break
        items.append(_read(raw))
    return items


def _read(raw: msgspec.Raw) -> Any:
    return msgspec.json.decode(raw)


def _position(cursor: str | None, found: Contents) -> int:
    """What a cursor names, 0 without one. Raises Conflict for one of another plan."""
    if cursor is None:
        return 0
    given = _CURSOR.fullmatch(cursor)
    if given is None or int(given[1]) != found.epoch:
        raise Conflict("This address is of another plan: begin again.", code="cursor-outdated")
    return int(given[2])


def _around(project: Project, run: Run) -> dict[str, Any]:
    at = f"/projects/{project.name}/runs/{run.id}"
    return {
        "run": run,
        "run_at": at,
        "plan_at": f"{at}/plan",
        "shown": plan_shown,
        "is_ended": run.status in ENDED,
        "api": f"{at}/plan",
        "command": f"stateroom runs plan -p {project.name} {run.id}",
    }
