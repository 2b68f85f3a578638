"""The outputs of a large state are beside it, and nobody reads all of it for them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.orm import undefer

from backend.db import Database
from backend.documents.intake import IN_COLUMN
from backend.documents.outputs import LARGEST, MOST
from backend.models import StateVersion
from backend.sealing.blobs import Blobs
from backend.upkeep import verification
from tests.support.caller import Caller, refused

STATE = "/api/terraform/state/shop/app"
OUTPUTS = {
    "url": {"value": "https://x", "type": "string"},
    "key": {"value": "s3cret", "type": "string", "sensitive": True},
}


def large_state(serial: int = 1, **outputs: Any) -> bytes:
    document = {"version": 4, "serial": serial, "lineage": "l", "outputs": outputs or OUTPUTS}
    document["resources"] = [{"instances": ["x" * IN_COLUMN]}]
    return json.dumps(document, indent=2).encode()


def write(boss: Caller, body: bytes) -> None:
    answer = boss.call("POST", STATE, data=body)
    assert answer.status_code == 200, answer.text


def database_of(app: Flask) -> Database:
    found: Database = app.extensions["stateroom"].database
    return found


def kept(app: Flask, number: int = 1) -> bytes | None:
    """The sealed outputs beside a version."""
    with database_of(app).reading() as db:
        return db.scalar(select(StateVersion.outputs).where(StateVersion.number == number))


def forget(app: Flask) -> None:
    """Make the versions what an older Stateroom has written."""
    with database_of(app).transaction() as db:
        db.execute(update(StateVersion).values(outputs=None))


def test_they_are_shown_without_reading_the_state(
    app: Flask, boss: Caller, app_workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(boss, large_state())

    monkeypatch.delattr(Blobs, "open")
    shown = boss.get(f"{app_workspace}/outputs").json

    assert shown["outputs"]["url"] == {"value": "https://x", "type": "string", "sensitive": False}
    assert shown["outputs"]["key"] == {"value": None, "type": "string", "sensitive": True}
    assert b"s3cret" not in (kept(app) or b"")


def test_those_of_an_older_version_are_read_once(
    app: Flask, boss: Caller, app_workspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(boss, large_state())
    forget(app)

    first = boss.get(f"{app_workspace}/outputs", show_sensitive="true").json
    monkeypatch.delattr(Blobs, "open")
    second = boss.get(f"{app_workspace}/outputs", show_sensitive="true").json

    assert first == second
    assert first["outputs"]["key"]["value"] == "s3cret"


def test_a_version_that_is_removed_takes_them_along(
    app: Flask, boss: Caller, app_workspace: str
) -> None:
    write(boss, large_state(1))
    write(boss, large_state(2, other={"value": 1}))
    assert kept(app) is not None

    assert boss.delete(f"{app_workspace}/states/1").status_code == 200

    assert kept(app) is None
    assert kept(app, 2) is not None


@pytest.mark.parametrize("is_older", [False, True])
def test_more_than_an_answer_holds_is_refused_with_what_to_do(
    app: Flask, boss: Caller, app_workspace: str, *, is_older: bool
) -> None:
    write(boss, large_state(big={"value": "x" * LARGEST}))
    if is_older:
        forget(app)

    answer = boss.get(f"{app_workspace}/outputs")

    refused(answer, 409, "outputs-too-large")
    assert "terraform output" in answer.json["detail"]


def test_a_version_that_is_restored_has_its_own(boss: Caller, app_workspace: str) -> None:
    write(boss, large_state(1))
    write(boss, large_state(2, other={"value": 1}))

    boss.post(f"{app_workspace}/states/1/restore")

    shown = boss.get(f"{app_workspace}/outputs").json
    assert (shown["version"], sorted(shown["outputs"])) == (3, ["key", "url"])


def test_those_of_another_version_do_not_open(app: Flask, boss: Caller, app_workspace: str) -> None:
    write(boss, large_state(1))
    write(boss, large_state(2, other={"value": 1}))
    here = app.extensions["stateroom"]

    with database_of(app).transaction() as db:
        asked = select(StateVersion).order_by(StateVersion.number)
        older, newer = db.scalars(asked.options(undefer(StateVersion.outputs)))
        newer.outputs = older.outputs

    refused(boss.get(f"{app_workspace}/outputs"), 500, "unreadable")
    unopened = list(verification.verify(here, Counter()))
    assert [each.id for each in unopened] == [newer.id]


@pytest.mark.parametrize("number", [MOST, MOST + 1])
def test_only_so_many_are_shown(boss: Caller, app_workspace: str, number: int) -> None:
    outputs = {f"o{n}": {"value": n} for n in range(number)}
    document = {"version": 4, "serial": 1, "lineage": "l", "outputs": outputs}
    write(boss, json.dumps(document).encode())

    answer = boss.get(f"{app_workspace}/outputs")

    if number > MOST:
        refused(answer, 409, "outputs-too-large")
    else:
        assert len(answer.json["outputs"]) == MOST
