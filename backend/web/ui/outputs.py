"""Outputs of a state. Sensitive ones are shown to whoever asks for them and may read the state."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from flask import request
from flask.typing import ResponseReturnValue

from backend.documents.outputs import Output
from backend.offload import off_loop
from backend.runs import glances
from backend.states import outputs
from backend.states.outputs import Found
from backend.web.current import caller, reading
from backend.web.ui.door import in_place, pages
from backend.web.ui.layout import page
from backend.web.ui.state_values import Shown, found_or_why, pretty, shown, type_name

bp = pages("outputs")
AT = "/projects/<project>/workspaces/<workspace>/outputs"
PAGE = 100
LONGEST = 20_000  # letters of one value
MOST_LETTERS = 300_000  # of all values on a page


@dataclass(frozen=True)
class Row:
    """`value` is None when it is sensitive and not shown."""

    name: str
    type: str
    sensitive: bool
    value: Shown | None
    is_text: bool


@bp.get(AT)
def show(project: str, workspace: str) -> ResponseReturnValue:
    found, why = found_or_why(
        lambda: outputs.read(caller(), project, workspace, show_sensitive=False)
    )
    return _page(project, workspace, found, why)


@bp.post(AT)
def reveal(project: str, workspace: str) -> ResponseReturnValue:
    found = outputs.read(caller(), project, workspace, show_sensitive=True)
    return in_place(_page(project, workspace, found, "", is_revealed=True))


def _page(
    project: str, workspace: str, found: Found | None, why: str, *, is_revealed: bool = False
) -> str:
    asked, after = request.args.get("q", ""), request.args.get("cursor", "")
    names = sorted(found.outputs) if found else []
    matching = [name for name in names if asked.casefold() in name.casefold() and name > after]
    shown_names = matching[:PAGE]
    rows = off_loop(_rows, found.outputs if found else {}, shown_names, is_revealed=is_revealed)
    with reading() as tx:
        glance = glances.get(tx, project, workspace)
        return page(
            "states/outputs.html", glance.project, glance=glance, found=found, why=why, rows=rows,
            is_revealed=is_revealed, asked=asked, total=len(names),
            has_hidden=any(one.value is None for one in rows),
            cursor=matching[PAGE - 1] if len(matching) > PAGE else None,
        )  # fmt: skip


def _rows(given: dict[str, Output], names: list[str], *, is_revealed: bool) -> list[Row]:
    rows, left = [], MOST_LETTERS
    for name in names:
        output = given[name]
        is_hidden = output.sensitive and not is_revealed
        row = _hidden(name, output) if is_hidden else _row(name, output, max(0, min(left, LONGEST)))
        left -= 0 if row.value is None else len(row.value.text)
        rows.append(row)
    return rows


def _hidden(name: str, given: Output) -> Row:
    return Row(name, _type(given), sensitive=True, value=None, is_text=False)


def _row(name: str, given: Output, longest: int) -> Row:
    text = bytes(given.value)
    is_text = text.startswith(b'"')
    value = shown(msgspec.json.decode(text) if is_text else pretty(text), longest)
    return Row(name, _type(given), given.sensitive, value, is_text)


def _type(given: Output) -> str:
    return type_name(msgspec.json.decode(given.type))
