"""Rules 2, 11 and 15 of the protocol: our own addresses, and deletion.

The rules that every client can see are in client/conformance; here is what looks inside.
"""

from __future__ import annotations

import json

import pytest

from tests.support.documents import lock_info, state_document
from tests.support.place import Place


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


def test_deleting_needs_its_own_permission(place: Place) -> None:
    writer = place.with_scopes("state:read", "state:write")

    refused = writer.delete()

    assert refused.status == 403
