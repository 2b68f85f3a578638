"""Rules 8 and 9 of the protocol: an older or a foreign state needs force, and is not lost."""

from __future__ import annotations

import pytest

from tests.support.documents import encrypted_document, lock_info, state_document
from tests.support.place import Place

STORED = state_document(5, lineage="ours")
OBJECTIONABLE = {
    "a lower serial": state_document(4, lineage="ours"),
    "another lineage": state_document(6, lineage="theirs"),
    "the same serial with other bytes": state_document(5, lineage="ours", outputs={"a": "b"}),
    "an encrypted one with a lower serial": encrypted_document(4, lineage="ours"),
}


@pytest.fixture(params=OBJECTIONABLE.values(), ids=list(OBJECTIONABLE))
def objectionable(request: pytest.FixtureRequest) -> bytes:
    document: bytes = request.param
    return document


@pytest.mark.parametrize("operation", ["OperationTypeApply", "OperationTypePlan", "state-mv"])
def test_an_objectionable_state_is_refused_under_an_ordinary_lock(
    place: Place, objectionable: bytes, operation: str
) -> None:
    place.state.write(STORED)
    info = lock_info(operation=operation)
    place.state.lock(info)

    refused = place.state.write(objectionable, info["ID"])

    assert refused.status == 409
    assert place.state.read().body == STORED


def test_an_objectionable_state_is_refused_without_a_lock(
    place: Place, objectionable: bytes
) -> None:
    place.state.write(STORED)

    refused = place.state.write(objectionable)

    assert refused.status == 409
    assert place.state.read().body == STORED


@pytest.mark.parametrize("operation", ["state-push", "migration destination state"])
def test_a_forced_push_is_accepted_and_recorded_as_forced(
    place: Place, objectionable: bytes, operation: str
) -> None:
    place.state.write(STORED)
    info = lock_info(operation=operation)
    place.state.lock(info)

    accepted = place.state.write(objectionable, info["ID"])

    assert accepted.status == 200
    assert place.state.read().body == objectionable
    assert [version["forced"] for version in place.versions()] == [True, False]


def test_an_ordinary_push_is_not_recorded_as_forced(place: Place) -> None:
    place.state.write(STORED)
    info = lock_info(operation="state-push")
    place.state.lock(info)

    place.state.write(state_document(6, lineage="ours"), info["ID"])

    assert place.versions()[0]["forced"] is False


def test_a_refused_state_is_kept(place: Place) -> None:
    place.state.write(STORED)

    refused = place.state.write(OBJECTIONABLE["another lineage"])

    assert refused.json()["rescued"]
    assert "state.rescue" in [action for action, _ in place.audited("rescued")]
