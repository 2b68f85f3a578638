"""What a request costs in statements, and what the pool does with connections that died."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select, text
from sqlalchemy.engine import Engine
from sqlalchemy.engine.interfaces import CacheStats

from backend import db as backend_db
from backend.config import Settings
from backend.db import Database, now
from backend.models import Token
from tests.support.caller import Caller
from tests.support.documents import lock_info, state_document
from tests.support.wire import basic

PATH = "/api/terraform/state/p/w"


@contextmanager
def watched(engine: Engine) -> Iterator[list[CacheStats]]:
    """How each statement's compiled form was found."""
    found: list[CacheStats] = []

    def note(*told: Any) -> None:
        context = told[4]
        if context.compiled is not None:
            found.append(context.cache_hit)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_no_request_of_terraform_compiles_a_statement_again(app: Flask, admin: str) -> None:
    caller = Caller(app.test_client(), admin)
    caller.made("/projects", {"name": "p"})
    repository = "https://example.com/never/cloned.git"
    workspace = {"name": "w"}
    caller.made(
        "/projects/p/templates", {"name": "t", "repository": repository, "workspace": workspace}
    )
    engine: Engine = app.extensions["stateroom"].database.engine
    lock = json.dumps(lock_info("mine")).encode()

    def apply(serial: int) -> dict[str, list[CacheStats]]:
        body = state_document(serial, lineage="one")
        cost = {}
        for verb, sent in (("LOCK", lock), ("GET", None), ("POST", body), ("UNLOCK", lock)):
            with watched(engine) as cost[verb]:
                query = "?ID=mine" if verb == "POST" else ""
                answer = app.test_client().open(
                    PATH + query, method=verb, data=sent, headers=basic(admin)
                )
            assert answer.status_code in {200, 404}, answer.text
        return cost

    apply(1)
    apply(2)
    cost = apply(3)

    assert Counter(hit for hits in cost.values() for hit in hits).keys() == {CacheStats.CACHE_HIT}
    assert {verb: len(hits) for verb, hits in cost.items()} == {
        "LOCK": 5,
        "GET": 4,  # that somebody read it is in the audit log
        "POST": 9,
        "UNLOCK": 5,
    }


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_connections_that_died_while_nobody_used_them_are_replaced(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend_db, "PING_AFTER_SECONDS", 0.0)
    database = Database(settings)
    other = Database(settings)
    with database.reading() as db:
        db.scalars(select(Token.id)).all()

    with other.transaction() as db:
        db.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )

    with database.reading() as db:
        assert db.scalars(select(Token.id)).all() == []
    database.close()
    other.close()


def test_readers_and_writers_see_the_same_clock(settings: Settings) -> None:
    database = Database(settings)

    with database.reading() as db:
        read = db.scalar(select(now()))
    with database.transaction() as db:
        written = db.scalar(select(now()))

    assert read is not None
    assert written is not None
    assert 0 <= (written - read).total_seconds() < 60
    database.close()
