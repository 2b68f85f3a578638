"""A row that somebody changed in the database, added, or put back from an older copy, is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Boolean, Integer, LargeBinary, Table, insert, inspect, select, update

from backend import audit
from backend.audit import linker
from backend.db import Timestamp
from backend.errors import Unreadable
from backend.models import Alias, Member, Plan, ProofKey, Proven, Token, User, Variable
from backend.sealing import proven
from backend.sealing.proofs import reference_of
from backend.transactions import Installation
from backend.upkeep import installation, proving
from backend.upkeep.examination import Examination, Examiner
from tests.support import sealed_things
from tests.support.sealed_things import rewrap_all, rotate

MODELS = proven.MODELS
# a column of each table that changes in everyday work
CHANGES: dict[str, dict[str, Any]] = {
    "variables": {"sensitive": True}, "keys": {"username": "other"}, "tokens": {"name": "other"},
    "users": {"is_admin": True}, "members": {"role": "guest"}, "aliases": {"access": "read-only"},
    "states": {"archived_to": "elsewhere"}, "rescued_writes": {"decision": "dismissed"},
    "plans": {"approved_by": "other"},
}  # fmt: skip
in_every_table = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__tablename__)


@pytest.fixture
def filled(here: Installation) -> Installation:
    """An installation with a row in each of the tables whose rows have proofs."""
    sealed_things.fill(here)
    with here.itself.transaction() as tx:
        tx.db.add(User(id="u", name="ada", password_hash="hash"))
        tx.db.add(Token(id="tok", hash=b"h" * 32, name="ci", scopes="runs:read", created_by="me"))
        tx.db.flush()
        tx.db.add(Member(project_id="p", user_id="u", role="owner"))
        tx.db.add(Alias(id="al", project_id="p", state_id="s", name="laptop", address="x",
                        access="read-write", username="me", password_hash=b"p" * 32,
                        created_by="me"))  # fmt: skip
        tx.db.add(Plan(run_id="r", workspace_id="w", epoch=1, commit="c", tool="terraform",
                       tool_version="1.11.4", address="x", state_version=1, template="t",
                       variables="v", credentials="c", lock_sha256="l", bundle_sha256="b",
                       pieces=1))  # fmt: skip
    return here


def table_of(model: type[Proven]) -> Table:
    table: Table = model.__table__  # type: ignore[attr-defined]
    return table


def row_of(here: Installation, model: type[Proven]) -> dict[str, Any]:
    """All columns of the first row of a table."""
    table = table_of(model)
    with here.database.reading() as db:
        found = db.execute(select(table).order_by(*table.primary_key)).first()
    assert found is not None
    return dict(found._mapping)


def here_is(model: type[Proven], row: dict[str, Any]) -> list[Any]:
    return [table_of(model).c[name] == row[name] for name in model.KEY]


def write(here: Installation, statement: Any) -> None:
    """Write as the owner of the database can, who has no key."""
    with here.database.engine.begin() as connection:
        connection.execute(statement)


def named(here: Installation) -> dict[str, str]:
    """The rows that an examination names, and why."""
    pages = Examination(here).run()
    return {f"{one.table} {one.id}": one.reason for page in pages for one in page}


def other(column: Any, value: Any) -> Any:
    """Another value for a column."""
    if isinstance(column.type, Boolean):
        return not value
    if isinstance(column.type, Timestamp):
        return None if value is not None else proven_moment()
    if isinstance(column.type, Integer):
        return 1 if value is None else value + 1
    if isinstance(column.type, LargeBinary):
        return b"\1" if value is None else value[:-1] + bytes([value[-1] ^ 1])
    return "x" if value is None else f"{value}x"


def proven_moment() -> Any:
    from datetime import UTC, datetime  # noqa: PLC0415

    return datetime(2031, 1, 1, tzinfo=UTC)


def test_rows_that_stateroom_wrote_are_right(filled: Installation) -> None:
    examination = Examination(filled)
    found = [one for page in examination.run() for one in page]

    assert found == []
    assert all(examination.examined[model.__tablename__] for model in MODELS)


@in_every_table
def test_every_column_that_decides_is_covered(filled: Installation, model: type[Proven]) -> None:
    row, table = row_of(filled, model), table_of(model)
    changeable = [name for name in ("revision", *model.PROVES) if name not in model.KEY]
    references = {c.name for c in table.c if c.foreign_keys}

    for name in sorted(set(changeable) - references):
        changed = {name: other(table.c[name], row[name])}
        write(filled, update(table).where(*here_is(model, row)).values(changed))
        assert [*named(filled)] == [f"{table.name} {key_of(model, row)}"], changed
        write(filled, update(table).where(*here_is(model, row)).values({name: row[name]}))
    assert named(filled) == {}


@in_every_table
def test_what_is_not_covered_is_so_on_purpose(model: type[Proven]) -> None:
    uncovered = {
        "variables": set(), "keys": set(), "users": {"last_login_at"}, "members": set(),
        "tokens": {"created_by", "last_used_at"}, "aliases": {"created_by", "last_used_at"},
        "states": {"history_bytes"}, "plans": set(),
        "rescued_writes": {"decided_at", "decided_by", "promoted_to", "key_id", "wrapped_key",
                           "blob", "sealed"},
    }  # fmt: skip
    columns = {column.key for column in inspect(model).columns}

    left = columns - {"revision", "proof", "created_at", *model.PROVES}

    assert left == uncovered[model.__tablename__]


@in_every_table
def test_a_row_that_was_put_back_from_an_older_copy_is_named(
    filled: Installation, model: type[Proven]
) -> None:
    old = row_of(filled, model)
    with filled.itself.transaction() as tx:
        row = tx.db.get_one(model, tuple(old[name] for name in model.KEY))
        for name, value in CHANGES[model.__tablename__].items():
            setattr(row, name, value)
        audit.record(tx, "thing.change", "it")
    assert named(filled) == {}

    write(filled, update(table_of(model)).where(*here_is(model, old)).values(old))

    found = named(filled)
    assert [*found] == [f"{model.__tablename__} {key_of(model, old)}"]
    assert "older copy" in found[f"{model.__tablename__} {key_of(model, old)}"]


@pytest.mark.parametrize("model", [Variable, Token, Member, Alias], ids=lambda m: m.__tablename__)
def test_a_deleted_row_that_was_put_back_is_named(
    filled: Installation, model: type[Proven]
) -> None:
    old = row_of(filled, model)
    with filled.itself.transaction() as tx:
        tx.db.delete(tx.db.get_one(model, tuple(old[name] for name in model.KEY)))

    write(filled, insert(table_of(model)).values(old))

    assert [*named(filled)] == [f"{model.__tablename__} {key_of(model, old)}"]


def test_a_member_who_left_and_came_back_is_right(filled: Installation) -> None:
    with filled.itself.transaction() as tx:
        proven.delete_all(tx.db, Member, Member.user_id == "u")
    with filled.itself.transaction() as tx:
        tx.db.add(Member(project_id="p", user_id="u", role="guest"))

    assert named(filled) == {}


def test_a_token_that_somebody_added_is_named(filled: Installation) -> None:
    row = row_of(filled, Token) | {"id": "tok_forged", "hash": b"f" * 32, "scopes": "admin"}

    write(filled, insert(table_of(Token)).values(row))

    assert [*named(filled)] == ["tokens tok_forged"]


def test_a_change_does_not_hide_what_somebody_did_to_the_row(filled: Installation) -> None:
    write(filled, update(User).where(User.id == "u").values(is_admin=True))

    with filled.itself.transaction() as tx:
        tx.db.get_one(User, "u").name = "eve"

    assert [*named(filled)] == ["users u"]


def test_a_row_that_was_looked_at_can_be_accepted(filled: Installation) -> None:
    write(filled, update(User).where(User.id == "u").values(is_admin=True))

    with filled.itself.transaction() as tx:
        proving.accept(tx, "users", "u")

    assert named(filled) == {}


def test_a_rotation_of_the_keyring_keeps_the_proofs(filled: Installation) -> None:
    rotate(filled)
    rewrap_all(filled)

    assert named(filled) == {}


def test_rows_from_before_there_were_proofs_get_them_at_the_next_start(
    filled: Installation,
) -> None:
    for model in MODELS:
        write(filled, update(table_of(model)).values(proof=None))
    write(filled, ProofKey.__table__.delete())  # type: ignore[attr-defined]

    again = installation.prepare(filled.settings)

    assert named(again) == {}
    again.database.close()


def test_proving_goes_on_after_it_was_interrupted(filled: Installation) -> None:
    write(filled, update(table_of(User)).values(proof=None))
    write(filled, ProofKey.__table__.delete())  # type: ignore[attr-defined]
    with filled.itself.transaction() as tx:
        proving.prepare_key(tx.db, filled.database, filled.keyring)
    with filled.itself.transaction() as tx:
        for model in MODELS[:3]:
            write_none = update(table_of(model)).values(proof=None)
            tx.db.execute(write_none)
            proven.prove_some(tx.db, model, 1)  # killed here

    with pytest.raises(installation.NotReady):
        installation.existing(filled.settings)
    for model in MODELS[3:]:
        write(filled, update(table_of(model)).values(proof=None))
    again = installation.prepare(filled.settings)

    assert named(again) == {}
    again.database.close()


def test_a_row_without_a_proof_is_refused_once_all_have_one(filled: Installation) -> None:
    write(filled, update(Variable).values(proof=None))

    again = installation.prepare(filled.settings)

    assert [*named(again)] == [f"variables {name}" for name in sealed_things.VALUES]
    with again.itself.reading() as tx, pytest.raises(Unreadable, match="not as Stateroom wrote"):
        again.keyring.proofs.check(tx.db.get_one(Variable, "v"))
    again.database.close()


def test_the_servers_duty_finds_it_and_forgets_it_when_it_is_right_again(
    filled: Installation,
) -> None:
    linker.catch_up(filled)
    examiner = Examiner(filled)
    write(filled, update(User).where(User.id == "u").values(is_admin=True))
    run_once(examiner)
    found = dict(filled.suspects)

    write(filled, update(User).where(User.id == "u").values(is_admin=False))
    run_once(examiner)

    assert [*found] == ["users u"]
    assert filled.suspects == {}


def run_once(examiner: Callable[[], float]) -> None:
    while examiner() < 1:
        pass


def key_of(model: type[Proven], row: dict[str, Any]) -> str:
    return reference_of(model, type("Row", (), row))
