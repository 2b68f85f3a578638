"""Rules 3, 11 and 15 of the protocol: addresses, verbs and deletion."""

from __future__ import annotations

import json

import pytest

from tests.support.documents import lock_info, md5_of, state_document
from tests.support.place import Place


@pytest.mark.parametrize("verb", ["LOCK", "POST", "PUT"])
def test_the_lock_address_of_gitlab_takes_the_lock(place: Place, verb: str) -> None:
    info = lock_info()

    locked = place.state.send(verb, json.dumps(info).encode(), path=f"{place.state.path}/lock")

    assert locked.status == 200
    assert place.state.lock(lock_info()).json()["ID"] == info["ID"]


@pytest.mark.parametrize("verb", ["UNLOCK", "DELETE"])
def test_the_lock_address_of_gitlab_frees_the_lock(place: Place, verb: str) -> None:
    info = lock_info()
    place.state.lock(info)

    freed = place.state.send(verb, json.dumps(info).encode(), path=f"{place.state.path}/lock")

    assert freed.status == 200
    assert place.state.lock(lock_info()).status == 200


def test_a_lock_refused_at_the_lock_address_shows_its_holder(place: Place) -> None:
    held = lock_info()
    place.state.lock(held)

    body = json.dumps(lock_info()).encode()
    refused = place.state.send("POST", body, path=f"{place.state.path}/lock")

    assert refused.status == 423
    assert refused.json()["ID"] == held["ID"]


def test_a_read_of_the_lock_address_is_refused(place: Place) -> None:
    refused = place.state.send("GET", path=f"{place.state.path}/lock")

    assert refused.status == 405


@pytest.mark.parametrize("verb", ["PATCH", "MKCOL", "PROPFIND", "OPTIONS", "TRACE"])
def test_other_verbs_are_refused_with_those_there_are(place: Place, verb: str) -> None:
    refused = place.state.send(verb)

    assert refused.status == 405
    allowed = {name.strip() for name in refused.headers["allow"].split(",")}
    assert {"GET", "POST", "PUT", "DELETE", "LOCK", "UNLOCK"} <= allowed


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "LOCK", "UNLOCK", "DELETE"])
def test_a_trailing_slash_is_no_redirect(place: Place, verb: str) -> None:
    body = {"POST": state_document(), "PUT": state_document()}.get(verb)
    body = json.dumps(lock_info()).encode() if verb in {"LOCK", "UNLOCK"} else body

    answer = place.state.send(verb, body, path=f"{place.state.path}/")

    assert not 300 <= answer.status < 400
    assert "location" not in answer.headers


def test_a_project_address_is_its_default_workspace(place: Place) -> None:
    body = state_document()
    place.state.write(body)

    read = place.state.send("GET", path=place.filled("/api/terraform/state/{project}"))

    assert (read.status, read.body) == (200, body)


@pytest.mark.parametrize("part", ["%00", "w%00", "%ff%fe", "%ed%a0%80", "w%0a", "..", "%2e%2e%2fx"])
@pytest.mark.parametrize("verb", ["GET", "POST", "LOCK", "UNLOCK", "DELETE"])
def test_an_address_that_cannot_be_one_is_refused_like_an_unknown_one(
    place: Place, verb: str, part: str
) -> None:
    body = state_document() if verb == "POST" else json.dumps(lock_info()).encode()
    sent = None if verb in {"GET", "DELETE"} else body

    refused = place.state.send(verb, sent, path=f"/api/terraform/state/{place.project}/{part}")
    unknown = place.state.send(verb, sent, path=f"/api/terraform/state/{part}/first")

    assert (refused.status, unknown.status) == (403, 403)


def test_a_problem_says_the_status_that_it_is_sent_with(place: Place) -> None:
    refused = place.state.write(b"{")

    assert (refused.status, refused.json()["status"]) == (400, 400)


def test_a_deleted_state_is_gone_and_cannot_be_locked_or_written(place: Place) -> None:
    place.state.write(state_document(1, lineage="a"))

    deleted = place.state.delete()

    assert deleted.status == 200
    assert place.state.read().status == 410
    assert place.state.write(state_document(2, lineage="a")).status == 410
    refused = place.state.lock(lock_info())
    assert refused.status == 423
    # terraform shows the ID and nothing else
    assert refused.json()["ID"] == "state-deleted"


def test_deleting_twice_is_harmless(place: Place) -> None:
    place.state.write(state_document())
    place.state.delete()

    again = place.state.delete()

    assert again.status == 200


def test_a_locked_state_cannot_be_deleted(place: Place) -> None:
    body, held = state_document(), lock_info()
    place.state.write(body)
    place.state.lock(held)

    refused = place.state.delete()

    assert refused.status == 423
    assert refused.json()["ID"] == held["ID"]
    assert place.state.read().body == body


def test_deleting_needs_its_own_permission(place: Place) -> None:
    writer = place.with_scopes("state:read", "state:write")

    refused = writer.delete()

    assert refused.status == 403


def test_a_head_request_is_as_honest_as_a_read(place: Place) -> None:
    body = state_document()
    place.state.write(body)

    answer = place.state.send("HEAD")

    assert answer.status in {200, 405}
    if answer.status == 200:
        assert answer.headers["content-md5"] == md5_of(body)
