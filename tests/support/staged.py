"""Runs in any status, without a worker, in the application of a test."""

from __future__ import annotations

from typing import Any

from flask import Flask
from sqlalchemy import select

from backend.models import Run, Workspace
from backend.transactions import Installation
from tests.backend.runs.test_approvals import planned_in
from tests.support.caller import Caller


def installation_of(app: Flask) -> Installation:
    found: Installation = app.extensions["stateroom"]
    return found


def planned(app: Flask, workspace: str = "app", operation: str = "apply", **fields: Any) -> str:
    """The id of a run whose plan waits for an approval."""
    here = installation_of(app)
    with here.itself.reading() as tx:
        place = tx.db.scalars(select(Workspace).where(Workspace.name == workspace)).one()
    run_id = planned_in(here, place, operation).id
    return staged(app, run_id, **fields)


def queued(boss: Caller, app: Flask, body: Any = None, **fields: Any) -> str:
    """The id of a run in the project `shop`, with these fields of its row."""
    return staged(app, boss.made("/projects/shop/runs", body)["id"], **fields)


def staged(app: Flask, run_id: str, **fields: Any) -> str:
    with installation_of(app).database.transaction() as db:
        row = db.get_one(Run, run_id)
        for name, value in fields.items():
            setattr(row, name, value)
    return run_id
