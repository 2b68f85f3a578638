"""Rule 2 of the protocol: a state is never accidentally empty, whatever happened to it here.

The rules that every client can see are in client/conformance; here is what looks inside.
"""

from __future__ import annotations

import json

import pytest

from tests.support.documents import lock_info, state_document
from tests.support.place import Place
from tests.support.wire import Answer, basic

BODIES = {
    "POST": state_document(),
    "PUT": state_document(),
    "LOCK": json.dumps(lock_info()).encode(),
    "UNLOCK": json.dumps(lock_info()).encode(),
}
VERBS = ["GET", "POST", "PUT", "DELETE", "LOCK", "UNLOCK"]


def says_there_is_no_state(answer: Answer) -> bool:
    """What makes terraform plan to create everything again."""
    return answer.status in {204, 404} or (answer.status == 200 and not answer.body)


@pytest.mark.parametrize(
    "path",
    [
        "/api/terraform/state/{project}/mistyped",
        "/api/terraform/state/mistyped/{workspace}",
        "/api/terraform/state/mistyped",
        "/api/terraform/state/{project}/{workspace}/more",
        "/api/terraform/state/{project}/{workspace}/more/still",
        "/api/terraform/state/{project}//{workspace}",
        "/api/terraform/state//{project}/{workspace}",
        "//api/terraform/state/{project}/{workspace}",
        "/api/terraform//state/{project}/{workspace}",
        "/api/terraform/state/",
        "/api/terraform/state",
        "/api/terraform/mistyped",
        "/api/terraform/",
        "/api/terraform/state/{project}/{workspace}%00",
        "/api/terraform/state/{project}/%2e%2e",
    ],
)
def test_a_mistyped_address_never_says_that_there_is_no_state(place: Place, path: str) -> None:
    place.state.write(state_document())

    read = place.state.send("GET", path=place.filled(path))

    assert not says_there_is_no_state(read), read
    assert not 300 <= read.status < 400, read


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_address_and_a_strangers_credential_answer_alike(
    place: Place, verb: str
) -> None:
    body = BODIES.get(verb)
    stranger = place.stranger()

    known = stranger.send(verb, body)
    unknown = stranger.send(verb, body, path=place.filled("/api/terraform/state/{project}/none"))

    assert (known.status, known.body) == (unknown.status, unknown.body)
    assert known.status == 403


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("path", ["{project}/{workspace}", "{project}/none", "none/none", "none"])
def test_a_wrong_password_is_a_401_at_every_address(place: Place, verb: str, path: str) -> None:
    refused = place.state.send(
        verb,
        BODIES.get(verb),
        path=place.filled(f"/api/terraform/state/{path}"),
        headers=basic("wrong"),
    )

    assert refused.status == 401
    assert refused.headers["www-authenticate"].startswith("Basic")


def test_a_token_that_may_only_read_writes_and_locks_nothing(place: Place) -> None:
    reader = place.with_scopes("state:read")

    refused = [
        reader.write(state_document()).status,
        reader.lock(lock_info()).status,
        reader.delete().status,
    ]

    assert refused == [403, 403, 403]
    assert place.state.read().status == 404


def test_a_state_that_cannot_be_decrypted_is_an_error_and_not_empty(place: Place) -> None:
    place.state.write(state_document())

    place.damage_the_newest_version()

    assert place.state.read().status == 500


def test_a_large_state_whose_file_is_damaged_is_an_error_and_not_empty(place: Place) -> None:
    place.state.write(state_document(size=3_000_000))

    place.damage_the_newest_version()

    read = place.state.read_or_cut()
    assert read is None or read.status == 500


def test_a_large_state_whose_file_is_gone_is_an_error_and_not_empty(place: Place) -> None:
    place.state.write(state_document(size=3_000_000))

    place.remove_the_file_of_the_newest_version()

    read = place.state.read_or_cut()
    assert read is None or read.status == 500
