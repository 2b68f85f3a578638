"""Rule 12 of the protocol: a refused write is announced at LOCK, with a readable ID."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from tests.protocol.conftest import Running
from tests.support.documents import lock_info, state_document
from tests.support.keeper import Keeper
from tests.support.parallel import all_at_once
from tests.support.place import Place
from tests.support.wire import Answer


def freeze(place: Place) -> None:
    Keeper(place).freeze("we move the network")


def delete(place: Place) -> None:
    place.state.delete()


def archive(place: Place) -> None:
    Keeper(place).archive("s3://bucket/key")


def shrink(place: Place) -> None:
    Keeper(place).set_quotas(max_state_bytes=100)


def pin(place: Place) -> None:
    Keeper(place).pin(1)
    Keeper(place).set_quotas(max_versions=1)


def crowd(place: Place) -> None:
    place.another_workspace()
    Keeper(place).set_quotas(max_states=1)


CLOSINGS = {
    "workspace-frozen": (freeze, "we move the network"),
    "state-deleted": (delete, "restore it first"),
    "state-archived": (archive, "s3://bucket/key"),
    "quota-state-size": (shrink, "100"),
    "quota-versions": (pin, "pinned"),
    "quota-states": (crowd, "2 states"),
}


GONE = {"state-deleted", "state-archived"}  # reading these is 410


def written(place: Place) -> bytes:
    body = state_document(1, lineage="a")
    assert place.state.write(body).status == 200
    return body


def code_of(answer: Answer) -> str:
    code: str = answer.json()["code"]
    return code


@pytest.mark.parametrize("code", CLOSINGS)
def test_a_lock_is_refused_with_an_id_that_says_why(place: Place, code: str) -> None:
    close, said = CLOSINGS[code]
    written(place)
    close(place)

    refused = place.state.lock(lock_info())

    assert refused.status == 423
    assert refused.json()["ID"] == code
    assert said in refused.json()["Info"]
    assert not place.is_locked()


@pytest.mark.parametrize("code", sorted(CLOSINGS.keys() - GONE))
def test_what_takes_no_lock_is_still_read(place: Place, code: str) -> None:
    body = written(place)
    CLOSINGS[code][0](place)

    assert place.state.read().body == body


@pytest.mark.parametrize(
    "code", ["workspace-frozen", "state-archived", "quota-versions", "quota-states"]
)
def test_a_write_without_a_lock_is_refused_and_rescued(place: Place, code: str) -> None:
    written(place)
    CLOSINGS[code][0](place)

    refused = place.state.write(state_document(2, lineage="a"))

    assert (refused.status, code_of(refused)) == (409, code)
    assert [version["number"] for version in place.versions()] == [1]
    assert [kept["reason"] for kept in Keeper(place).rescued()] == [code]


def test_the_same_bytes_again_are_welcome_in_a_frozen_workspace(place: Place) -> None:
    body = written(place)
    freeze(place)

    assert place.state.write(body).status == 200


def test_the_holder_of_a_lock_still_writes_and_unlocks_when_the_workspace_is_frozen(
    place: Place,
) -> None:
    info, body = lock_info(), state_document()
    place.state.lock(info)
    freeze(place)

    answers = [
        place.state.lock(info),  # its answer may have been lost
        place.state.write(body, info["ID"]),
        place.state.unlock(info),
    ]

    assert [answer.status for answer in answers] == [200, 200, 200]
    assert place.state.read().body == body
    assert place.state.lock(lock_info()).json()["ID"] == "workspace-frozen"


def test_a_held_lock_in_a_frozen_workspace_says_that_it_is_frozen(place: Place) -> None:
    place.state.lock(lock_info())
    freeze(place)

    assert place.state.lock(lock_info()).json()["ID"] == "workspace-frozen"


def test_an_unfrozen_workspace_is_locked_and_written_as_before(place: Place) -> None:
    freeze(place)
    Keeper(place).unfreeze()

    assert place.state.lock(lock_info()).status == 200


def test_deleting_a_frozen_state_is_refused(place: Place) -> None:
    body = written(place)
    freeze(place)

    refused = place.state.delete()

    assert (refused.status, code_of(refused)) == (409, "workspace-frozen")
    assert place.state.read().body == body


def chunked(place: Place, body: bytes) -> Answer:
    return place.state.send_chunked("POST", [body], {})


def plain(place: Place, body: bytes) -> Answer:
    return place.state.write(body)


@pytest.mark.parametrize("send", [plain, chunked])
def test_a_document_above_the_quota_of_its_project_is_413(
    place: Place, send: Callable[[Place, bytes], Answer]
) -> None:
    Keeper(place).set_quotas(max_state_bytes=1000)

    refused = send(place, state_document(size=2000))

    assert (refused.status, code_of(refused)) == (413, "too-large")
    assert refused.json()["limit_bytes"] == 1000
    assert "max_state_bytes" in refused.json()["detail"]
    assert place.state.write(state_document()).status == 200


def test_a_smaller_document_may_replace_one_above_the_quota(place: Place) -> None:
    place.state.write(state_document(1, lineage="a", size=2000))
    Keeper(place).set_quotas(max_state_bytes=1000)
    assert place.state.lock(lock_info()).json()["ID"] == "quota-state-size"

    written = place.state.write(state_document(2, lineage="a"))

    assert written.status == 200
    assert place.state.lock(lock_info()).status == 200


def test_an_unpinned_version_makes_room_for_a_new_one(place: Place) -> None:
    written(place)
    pin(place)
    assert place.state.lock(lock_info()).status == 423

    Keeper(place).unpin(1)

    assert place.state.lock(lock_info()).status == 200


def test_a_project_at_its_quota_of_states_still_uses_them(place: Place) -> None:
    Keeper(place).set_quotas(max_states=1)

    assert place.state.lock(lock_info()).status == 200


def test_quotas_of_a_project_are_those_of_no_other(
    running: Callable[[str], Running],
) -> None:
    place, other = running("sqlite").place(), running("sqlite").place()

    Keeper(place).set_quotas(max_states=1, max_versions=1, max_state_bytes=1)

    assert place.state.write(state_document()).status == 413
    assert other.state.write(state_document()).status == 200


def test_of_many_workspaces_made_at_once_none_is_above_the_quota(served_place: Place) -> None:
    Keeper(served_place).set_quotas(max_states=5)
    path = served_place.filled("/projects/{project}/workspaces")
    bodies = [{"name": f"w{number}"} for number in range(20)]

    answers = all_at_once(
        [lambda body=body: served_place.api.send("POST", path, body) for body in bodies]  # type: ignore[misc]
    )

    assert Counter(answer.status for answer in answers) == {201: 4, 409: 16}
    assert len(served_place.api.get(path)["items"]) == 5
