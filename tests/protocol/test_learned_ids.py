"""Who is refused a lock is told its ID. With that ID nobody but its holder does anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from backend.models import Lock, Project, Run, State
from backend.runs import claims, moves
from backend.transactions import Caller
from backend.upkeep import installation
from execution import jobs
from tests.support.documents import lock_info, state_document
from tests.support.keeper import Keeper
from tests.support.place import Place
from tests.support.state_address import StateAddress

WRITER = ("state:read", "state:write")


@pytest.fixture
def other(place: Place) -> StateAddress:
    """Somebody else who may lock and write this state."""
    return place.with_scopes(*WRITER)


def learned(address: StateAddress) -> str:
    """The ID that a refused LOCK tells."""
    refused = address.lock(lock_info())
    assert refused.status == 423
    told: str = refused.json()["ID"]
    return told


def test_nobody_writes_under_the_lock_of_another_with_its_id(
    place: Place, other: StateAddress
) -> None:
    held = lock_info()
    place.state.lock(held)
    stolen = learned(other)

    refused = other.write(state_document(), stolen)

    assert stolen == held["ID"]
    assert (refused.status, refused.json()["ID"]) == (423, held["ID"])
    assert place.versions() == []
    assert [kept["reason"] for kept in Keeper(place).rescued()] == ["state-locked"]


def test_nobody_takes_the_lock_of_another_a_second_time_with_its_id(
    place: Place, other: StateAddress
) -> None:
    held = lock_info()
    place.state.lock(held)

    refused = other.lock(held)

    assert refused.status == 423
    assert place.state.lock(held).status == 200  # for its holder, whose answer may have been lost


def test_tokens_of_one_name_are_not_one_holder(place: Place) -> None:
    held, body = lock_info(), state_document()
    first, second = place.with_scopes(*WRITER), place.with_scopes(*WRITER)
    first.lock(held)

    assert second.write(body, held["ID"]).status == 423
    assert second.unlock(held).status == 403
    assert first.write(body, held["ID"]).status == 200
    assert first.unlock(held).status == 200


def test_the_id_of_a_forced_push_forces_nothing_for_another(
    place: Place, other: StateAddress
) -> None:
    held = lock_info(operation="state-push")
    place.state.write(state_document(5, lineage="a"))
    place.state.lock(held)
    stolen = learned(other)
    place.state.unlock(held)

    refused = other.write(state_document(1, lineage="b"), stolen)
    late = place.state.write(state_document(1, lineage="b"), held["ID"])

    assert (refused.status, refused.json()["code"]) == (409, "lock-lost")
    assert late.status == 200  # its holder: nobody locked or wrote since
    assert len(place.versions()) == 2


def test_a_lock_from_before_the_upgrade_still_serves_its_holder(
    place: Place, other: StateAddress
) -> None:
    held, body = lock_info(), state_document()
    place.state.lock(held)
    with place.looking() as database, database.transaction() as db:
        state_id = db.scalar(select(State.id).join(Project).where(Project.name == place.project))
        db.execute(update(Lock).where(Lock.state_id == state_id).values(held_by_id=None))

    assert other.write(body, held["ID"]).status == 423
    assert place.state.write(body, held["ID"]).status == 200
    assert place.state.unlock(held).status == 200
    assert not place.is_locked()


@dataclass(frozen=True)
class AtWork:
    """A claimed run, and the address of the state with the credential that its job has."""

    state: StateAddress
    move: Callable[[str], None]


@pytest.fixture
def at_work(place: Place) -> Iterator[Callable[[str], AtWork]]:
    """Queue and claim a run of this operation."""
    here = installation.existing(place._settings)

    def claim(operation: str) -> AtWork:
        run_id = place.queue(operation).id
        with here.itself.transaction() as tx:
            run = claims.claim(tx, run_id, "worker", timedelta(minutes=5))
            assert run is not None
            job = jobs.resolve(tx, run)

        def move(status: str) -> None:
            with here.itself.reading() as tx:
                itself = claims.itself(tx.db.get_one(Run, run_id))
            with Caller(here, itself).transaction() as tx:
                moves.move(tx, claims.own(tx), status)

        path = f"/api/terraform/state/{place.project}/{place.workspace}"
        return AtWork(StateAddress(place.wire, path, job.backend.password), move)

    yield claim
    here.database.close()


Claim = Callable[[str], AtWork]


def test_the_credential_of_a_plan_reads_and_locks_and_writes_nothing(
    place: Place, at_work: Claim
) -> None:
    body, own = state_document(1, lineage="a"), lock_info()
    place.state.write(body)
    plan = at_work("plan")

    locked = plan.state.lock(own)
    refused = [
        plan.state.write(state_document(2, lineage="a"), own["ID"]).status,
        plan.state.write(state_document(2, lineage="a")).status,
        plan.state.delete().status,
    ]
    read = plan.state.read()
    unlocked = plan.state.unlock(own)

    assert (locked.status, read.body, unlocked.status) == (200, body, 200)
    assert refused == [403, 403, 403]
    assert len(place.versions()) == 1
    assert Keeper(place).rescued() == []


def test_a_plan_does_nothing_with_the_id_of_another_lock(place: Place, at_work: Claim) -> None:
    held = lock_info()
    place.state.lock(held)
    plan = at_work("plan")

    told = learned(plan.state)
    wrote = plan.state.write(state_document(), told)
    unlocked = plan.state.unlock(held)
    broken = plan.state.send_chunked("UNLOCK", [], {})

    assert (told, wrote.status, unlocked.status, broken.status) == (held["ID"], 403, 403, 403)
    assert place.is_locked()
    assert place.versions() == []


def test_an_apply_writes_from_the_moment_it_applies_and_under_its_own_lock(
    place: Place, at_work: Claim
) -> None:
    first, own, body = lock_info(), lock_info(), state_document()
    run = at_work("apply")
    run.move("planning")
    run.state.lock(first)
    early = run.state.write(body, first["ID"])
    run.state.unlock(first)

    run.move("applying")
    run.state.lock(own)
    wrote = run.state.write(body, own["ID"])
    stranger = place.state.write(state_document(2), own["ID"])
    run.move("applied")

    assert (early.status, wrote.status, stranger.status) == (403, 200, 423)
    assert place.state.read().body == body


def test_an_apply_writes_nothing_under_the_lock_of_a_person(place: Place, at_work: Claim) -> None:
    run = at_work("apply")
    for status in ("planning", "applying"):
        run.move(status)
    place.state.lock(lock_info())

    refused = run.state.write(state_document(), learned(run.state))

    assert refused.status == 423
    assert place.versions() == []
