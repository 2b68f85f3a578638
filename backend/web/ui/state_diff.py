"""What is different between two versions of a state, or would be after a rescued write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import request
from flask.typing import ResponseReturnValue

from backend.documents.diff import Change, Diff, Resource
from backend.runs import glances
from backend.states import comparing
from backend.states.comparing import Comparison
from backend.web.api.state_diff import Versions
from backend.web.current import caller, reading
from backend.web.ui import forms
from backend.web.ui.door import pages
from backend.web.ui.layout import page
from backend.web.ui.state_values import Shown, found_or_why, shown

bp = pages("state-diff")
AT = "/projects/<project>/workspaces/<workspace>"
MOST_CHANGED = 200  # resources with their attributes
MOST_NAMED = 500  # resources of which only the address is shown
MOST_ROWS = 2_000  # attributes


@dataclass(frozen=True)
class Row:
    """An attribute or output. None stands for a value that is missing."""

    path: str
    before: Shown | None
    after: Shown | None
    is_hidden: bool


@dataclass(frozen=True)
class Sheet:
    """A difference as the page shows it. `unseen` counts resources that `q` would find."""

    changed: Sequence[tuple[Resource, Sequence[Row]]]
    added: Sequence[Resource]
    removed: Sequence[Resource]
    outputs: Sequence[Row]
    unseen: int


@bp.get(f"{AT}/diff")
def show(project: str, workspace: str) -> ResponseReturnValue:
    asked = forms.asked(Versions)
    find = partial(comparing.compare, caller(), project, workspace, asked.before, asked.after)
    return _page(project, workspace, find, None)


@bp.get(f"{AT}/rescued/<rescued_id>/diff")
def show_rescued(project: str, workspace: str, rescued_id: str) -> ResponseReturnValue:
    find = partial(comparing.compare_rescued, caller(), project, workspace, rescued_id)
    return _page(project, workspace, find, rescued_id)


def _page(project: str, workspace: str, find: Callable[[], Comparison], rescued: str | None) -> str:
    found, why = found_or_why(find)
    asked = request.args.get("q", "")
    sheet = None if found is None else _sheet(found.diff, asked)
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        return page(
            "states/diff.html", glance.project, glance=glance, found=found, sheet=sheet,
            why=why, asked=asked, rescued=rescued,
        )  # fmt: skip


def _sheet(diff: Diff, asked: str) -> Sheet:
    """As much of a difference as a page has room for, of the resources with this text."""
    text = asked.casefold()
    changed, added, removed = (
        [one for one in resources if text in one.address.casefold()]
        for resources in (diff.changed, diff.added, diff.removed)
    )
    with_rows = list(_with_rows(changed[:MOST_CHANGED]))
    unseen = len(changed) - len(with_rows)
    unseen += sum(max(0, len(resources) - MOST_NAMED) for resources in (added, removed))
    outputs = [one for one in diff.outputs if text in one.path.casefold()]
    rows = list(_rows(outputs[:MOST_NAMED]))
    return Sheet(with_rows, added[:MOST_NAMED], removed[:MOST_NAMED], rows, unseen)


def _with_rows(changed: Iterable[Resource]) -> Iterator[tuple[Resource, Sequence[Row]]]:
    left = MOST_ROWS
    for one in changed:
        if left <= 0:
            return
        rows = list(_rows(one.changes[:left]))
        left -= len(rows)
        yield one, rows


def _rows(changes: Iterable[Change]) -> Iterator[Row]:
    for one in changes:
        yield Row(one.path, _side(one.before), _side(one.after), one.hidden)


def _side(value: Any) -> Shown | None:
    return None if value is None else shown(value)
