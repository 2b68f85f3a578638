"""What a request costs in statements, and what the pool does with connections that died."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import bindparam, event, false, literal, select, text, update
from sqlalchemy.engine import Engine

from backend import db as backend_db
from backend.config import Settings
from backend.db import Database, now
from backend.express import Guarded, NewRow, Statement
from backend.models import Token, User
from tests.support.caller import Caller
from tests.support.documents import lock_info, state_document
from tests.support.wire import basic

FIRST_TOKEN = Statement(select(Token.id).limit(1))
PATH = "/api/terraform/state/p/w"


@dataclass
class Cost:
    """What a request asked of the database."""

    connections: int = 0
    through_sqlalchemy: list[str] = field(default_factory=list)


@contextmanager
def watched(database: Database) -> Iterator[Cost]:
    """Count the connections that are taken, and keep the statements that SQLAlchemy executes."""
    engines: set[Engine] = {database.engine, database.autocommitting}
    cost = Cost()

    def take(*_told: Any) -> None:
        cost.connections += 1

    def execute(*told: Any) -> None:
        cost.through_sqlalchemy.append(told[2])

    for engine in engines:
        event.listen(engine, "checkout", take)
        event.listen(engine, "before_cursor_execute", execute)
    try:
        yield cost
    finally:
        for engine in engines:
            event.remove(engine, "checkout", take)
            event.remove(engine, "before_cursor_execute", execute)


def test_a_request_of_terraform_takes_a_connection_to_read_and_at_most_one_to_write(
    app: Flask, admin: str
) -> None:
    caller = Caller(app.test_client(), admin)
    caller.made("/projects", {"name": "p"})
    repository = "https://example.com/never/cloned.git"
    workspace = {"name": "w"}
    caller.made(
        "/projects/p/templates", {"name": "t", "repository": repository, "workspace": workspace}
    )
    database: Database = app.extensions["stateroom"].database
    lock = json.dumps(lock_info("mine")).encode()

    def apply(serial: int) -> dict[str, Cost]:
        body = state_document(serial, lineage="one")
        cost = {}
        for verb, sent in (("LOCK", lock), ("GET", None), ("POST", body), ("UNLOCK", lock)):
            with watched(database) as cost[verb]:
                query = "?ID=mine" if verb == "POST" else ""
                answer = app.test_client().open(
                    PATH + query,
                    method=verb,
                    data=sent,
                    headers=basic(admin),
                    content_type=sent and "application/json",
                )
            assert answer.status_code in {200, 404}, answer.text
        return cost

    apply(1)
    apply(2)
    cost = apply(3)

    assert {verb: each.connections for verb, each in cost.items()} == {
        "LOCK": 2,
        "GET": 2,  # that somebody read it is in the audit log
        "POST": 2,
        "UNLOCK": 2,
    }
    assert [each.through_sqlalchemy for each in cost.values()] == [[], [], [], []]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_connections_that_died_while_nobody_used_them_are_replaced(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend_db, "PING_AFTER_SECONDS", 0.0)
    database = Database(settings)
    other = Database(settings)
    with database.reading() as db, database.asking() as bare:
        db.scalars(select(Token.id)).all()
        bare.one(FIRST_TOKEN, {})

    with other.transaction() as db:
        db.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )

    with database.reading() as db:
        assert db.scalars(select(Token.id)).all() == []
    with database.asking() as bare:
        assert bare.one(FIRST_TOKEN, {}) is None
    database.close()
    other.close()


@pytest.mark.parametrize(
    ("present", "is_made"),
    [({"ann", "bob"}, True), ({"ann"}, False), ({"bob"}, False)],
)
def test_changes_behind_guards_are_all_made_or_none(
    settings: Settings, present: set[str], *, is_made: bool
) -> None:
    database = Database(settings)
    with database.transaction() as db:
        db.add_all(User(name=name) for name in present)
    guards = [select(User.id).where(User.name == name).with_for_update() for name in ("ann", "bob")]
    new = NewRow(
        User,
        "user",
        ("id", "name", "password_hash"),
        {
            "created_at": now(),
            "is_admin": false(),
            "admin_by_group": false(),
            "revision": literal(1),
        },
    )
    guarded = Guarded(guards, [update(User).values(is_admin=bindparam("is_admin")), new])
    row = {"id": "usr_cid", "name": "cid", "password_hash": None}

    made = database.change_if(guarded, {"is_admin": True, **new.parameters(row)})

    with database.reading() as db:
        found = {user.name: user.is_admin for user in db.scalars(select(User))}
    database.close()
    assert made is is_made
    if is_made:
        assert found == {"ann": True, "bob": True, "cid": False}
    else:
        assert found == dict.fromkeys(present, False)


def test_readers_and_writers_see_the_same_clock(settings: Settings) -> None:
    database = Database(settings)

    with database.reading() as db:
        read = db.scalar(select(now()))
    with database.transaction() as db:
        written = db.scalar(select(now()))
    with database.reading() as db:
        read_again = db.scalar(select(now()))

    assert read is not None
    assert written is not None
    assert read_again is not None
    assert read <= written <= read_again
    database.close()
