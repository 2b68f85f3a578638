"""Who can write to the disk can damage things, but cannot make anybody read something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from backend.documents.intake import IN_COLUMN
from backend.models import (
    Key,
    LogChunk,
    RescuedWrite,
    Run,
    State,
    StateVersion,
    Variable,
    Workspace,
)
from backend.runs import claims, logs
from backend.sealing.blobs import Blobs
from backend.upkeep import installation
from tests.support.documents import state_document
from tests.support.place import Place
from tests.support.state_address import StateAddress
from tests.support.wire import Answer, basic

pytestmark = pytest.mark.parametrize("place", ["sqlite", "postgresql"], indirect=True)

Change = Callable[[Session], None]
DOES_NOT_OPEN = {"unreadable", "unknown-key", "blob-missing", "body-missing"}


def change(place: Place, how: Change) -> None:
    with place.looking() as database, database.transaction() as db:
        how(db)


def versions(db: Session, address: StateAddress) -> list[StateVersion]:
    """Oldest first, with their bodies."""
    return list(
        db.scalars(
            select(StateVersion)
            .join(State, State.id == StateVersion.state_id)
            .join(Workspace, Workspace.id == State.workspace_id)
            .where(Workspace.name == named(address))
            .order_by(StateVersion.number)
            .options(undefer(StateVersion.sealed))
        )
    )


def written(address: StateAddress, *serials: int, size: int = 0) -> list[bytes]:
    bodies = [state_document(serial, lineage="a", size=size) for serial in serials]
    assert [address.write(body).status for body in bodies] == [200] * len(bodies)
    return bodies


def does_not_open(answer: Answer) -> bool:
    """500 with a code of ours, and nothing of any document."""
    assert (answer.status, answer.json()["code"] in DOES_NOT_OPEN) == (500, True), answer
    assert b"lineage" not in answer.body
    return True


def flipped(value: bytes, at: int) -> bytes:
    return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


@pytest.mark.parametrize("at", [0, 4, 8, 30, -1], ids="at byte {}".format)
@pytest.mark.parametrize("column", ["sealed", "wrapped_key"])
def test_a_version_with_a_flipped_bit_does_not_open(place: Place, column: str, at: int) -> None:
    address = place.another_workspace()
    written(address, 1)

    def flip(db: Session) -> None:
        (version,) = versions(db, address)
        value = getattr(version, column)
        setattr(version, column, flipped(value, at % len(value)))

    change(place, flip)

    assert does_not_open(address.read())
    assert does_not_open(download(place, address))


def download(place: Place, address: StateAddress, number: object = "latest") -> Answer:
    path = f"{workspace_path(place, address)}/states/{number}/download"
    return place.api.send("GET", path)


@pytest.mark.parametrize(
    "column", ["number", "serial", "lineage", "state_id", "key_id"], ids="another {}".format
)
def test_a_version_that_says_it_is_another_one_does_not_open(place: Place, column: str) -> None:
    address, other = place.another_workspace(), place.another_workspace()
    written(address, 1, 2)

    def pretend(db: Session) -> None:
        version = versions(db, address)[-1]
        db.refresh(version)
        told = {
            "number": version.number + 5,
            "serial": 99,
            "lineage": "b",
            "key_id": "k9",
            "state_id": state_of(db, other).id,
        }
        setattr(version, column, told[column])
        state_of(db, address).current = version.number
        state_of(db, other).current = version.number

    change(place, pretend)

    assert does_not_open((other if column == "state_id" else address).read())


def state_of(db: Session, address: StateAddress) -> State:
    found = select(State).join(Workspace, Workspace.id == State.workspace_id)
    return db.scalars(found.where(Workspace.name == named(address))).one()


SWAPPED = [("sealed", "wrapped_key", "key_id"), ("sealed",), ("wrapped_key",)]


@pytest.mark.parametrize("columns", SWAPPED, ids="-".join)
def test_the_versions_of_two_states_cannot_be_swapped(
    place: Place, columns: tuple[str, ...]
) -> None:
    one, other = place.another_workspace(), place.another_workspace()
    written(one, 1)
    written(other, 1)

    change(place, lambda db: swap(versions(db, one)[0], versions(db, other)[0], columns))

    assert does_not_open(one.read())
    assert does_not_open(other.read())


@pytest.mark.parametrize("columns", SWAPPED, ids="-".join)
def test_an_older_version_cannot_be_put_in_the_place_of_the_newest(
    place: Place, columns: tuple[str, ...]
) -> None:
    address = place.another_workspace()
    written(address, 1, 2)

    change(place, lambda db: swap(*_two(versions(db, address)), columns))

    assert does_not_open(address.read())
    assert does_not_open(download(place, address, 1))


def swap(one: Any, other: Any, columns: tuple[str, ...]) -> None:
    for column in columns:
        mine, theirs = getattr(one, column), getattr(other, column)
        setattr(one, column, theirs)
        setattr(other, column, mine)


def test_the_files_of_two_large_states_cannot_be_swapped(place: Place) -> None:
    one, other = place.another_workspace(), place.another_workspace()
    written(one, 1, size=IN_COLUMN + 5000)
    written(other, 1, size=IN_COLUMN + 5000)

    change(place, lambda db: swap(versions(db, one)[0], versions(db, other)[0], ("blob",)))

    assert does_not_open(one.read())
    assert does_not_open(other.read())


@pytest.mark.parametrize("cut", [1, 1000, -1], ids="{} bytes".format)
def test_a_file_that_was_cut_or_added_to_does_not_open(place: Place, cut: int) -> None:
    address = place.another_workspace()
    written(address, 1, size=IN_COLUMN + 5000)
    with place.looking() as database, database.reading() as db:
        path = Blobs(place.data_dir / "blobs").path(versions(db, address)[0].blob or "")
    body = path.read_bytes()

    path.write_bytes(body + b"\0" if cut < 0 else body[:-cut])

    assert does_not_open(address.read())


def test_a_rescued_write_does_not_open_as_another_one_or_as_a_version(place: Place) -> None:
    address = place.another_workspace()
    written(address, 5)
    for serial in (3, 4):
        assert address.write(state_document(serial, lineage="a")).status == 409
    path = f"{workspace_path(place, address)}/rescued"
    ids = [one["id"] for one in place.api.get(path)["items"]]

    def mix(db: Session) -> None:
        with_body = [undefer(RescuedWrite.sealed)]
        one, other = (db.get_one(RescuedWrite, i, options=with_body) for i in ids)
        swap(one, other, ("sealed", "wrapped_key"))
        swap(other, versions(db, address)[0], ("sealed", "wrapped_key", "key_id"))

    change(place, mix)

    for rescued in ids:
        assert does_not_open(place.api.send("GET", f"{path}/{rescued}/download"))
    assert does_not_open(address.read())


def workspace_path(place: Place, address: StateAddress) -> str:
    return f"/projects/{place.project}/workspaces/{named(address)}"


def _rows(db: Session, model: type[Any], ids: list[str]) -> tuple[Any, Any]:
    return _two([db.get_one(model, i) for i in ids])


def _two(rows: list[Any]) -> tuple[Any, Any]:
    one, other = rows
    return one, other


def test_variables_cannot_be_swapped(place: Place) -> None:
    path = f"/projects/{place.project}/workspaces/{place.workspace}/variables"
    ids = []
    for name in ("one", "other"):
        place.set_variable(name, f"value of {name}")
        ids.append(place.api.get(f"{path}/terraform/{name}")["id"])

    change(place, lambda db: swap(*_rows(db, Variable, ids), ("value",)))

    for variable in ids:
        answer = place.api.send("GET", f"{path}/{variable}")
        assert answer.json()["fault"]["code"] == "unreadable"
        assert b"value of" not in answer.body


def test_the_secrets_of_two_keys_cannot_be_swapped(place: Place) -> None:
    path = f"/projects/{place.project}"
    ids, passwords = [], ["first password", "other password"]
    for password in passwords:
        made = place.api.post(
            f"{path}/keys", name=password[:5], kind="password", username="ann", password=password
        )
        ids.append(made["id"])
    alias = place.api.post(
        f"{path}/workspaces/{place.workspace}/aliases", name="a", access="read-only", key="first"
    )
    at = "/api/terraform/" + alias["address"].rpartition("/")[2]
    assert place.wire.send("GET", at, None, basic(passwords[0], "ann")).status == 404

    change(place, lambda db: swap(*_rows(db, Key, ids), ("secret",)))

    for password in passwords:
        assert does_not_open(place.wire.send("GET", at, None, basic(password, "ann")))


def test_the_pieces_of_a_log_cannot_be_swapped_or_moved(place: Place) -> None:
    runs = [place.queue("plan"), place.queue("plan", workspace=named(place.another_workspace()))]
    here = installation.existing(place._settings)
    with here.itself.transaction() as tx:
        for run in runs:
            itself = replace(tx, principal=claims.itself(tx.db.get_one(Run, run.id)))
            for _ in range(2):
                logs.append(itself, f"log of {run.id}\n".encode())
    here.database.close()

    def mix(db: Session) -> None:
        one, other = (log_of(db, run.id) for run in runs)
        swap(one[0], other[0], ("sealed",))
        swap(one[1], other[0], ("sealed",))

    change(place, mix)

    for run in runs:
        answer = place.api.send("GET", f"{run.path}/log")
        assert does_not_open(answer)
        assert b"log of" not in answer.body


def named(address: StateAddress) -> str:
    return address.path.rpartition("/")[2]


def log_of(db: Session, run_id: str) -> list[LogChunk]:
    found = select(LogChunk).where(LogChunk.run_id == run_id).order_by(LogChunk.start)
    return list(db.scalars(found))
