"""No web page writes a state with the login that a browser remembers for its address."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.documents import lock_info, state_document
from tests.support.place import Place
from tests.support.wire import Answer, basic

PAGES = [
    {"Origin": "https://elsewhere.example"},
    {"Origin": "null"},
    {"Origin": "OWN"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "something new"},
]
VERBS = ["GET", "HEAD", "POST", "PUT", "DELETE", "LOCK", "UNLOCK", "OPTIONS", "PATCH"]


def spellings(place: Place) -> list[str]:
    path = place.state.path
    return [path, f"{path}/", f"{path}/lock", f"{path}/lock/", f"{path}?ID=x", f"{path}/more/of/it"]


def code_of(answer: Answer) -> str:
    code: str = answer.json()["code"]
    return code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: ": ".join(*page.items()))
@pytest.mark.parametrize("verb", VERBS)
def test_what_a_web_page_sends_is_refused_at_every_address_of_a_state(
    place: Place, verb: str, page: dict[str, str]
) -> None:
    info, body = lock_info(), state_document(1, lineage="a")
    place.state.lock(info)
    place.state.write(body, info["ID"])
    said = {name: place.wire.url if value == "OWN" else value for name, value in page.items()}
    sent = None if verb in {"GET", "HEAD", "DELETE"} else state_document(2, lineage="a")

    for path in spellings(place):
        refused = place.state.send(verb, sent, path=path, headers=said)
        assert refused.status == 403, path
        if verb != "HEAD":
            assert code_of(refused) == "browser-request", path

    assert place.state.read().body == body
    assert place.lock_id() == info["ID"]


def test_a_page_is_told_so_before_anybody_asks_for_its_login(place: Place) -> None:
    refused = place.wire.send("POST", place.state.path, b"{}", {"Origin": "https://x.example"})

    assert (refused.status, code_of(refused)) == (403, "browser-request")
    assert "www-authenticate" not in refused.headers


def test_who_opens_the_address_itself_reads_the_state(place: Place) -> None:
    place.state.write(state_document(1, lineage="a"))

    for site in ("none", "same-origin"):
        assert place.state.read({"Sec-Fetch-Site": site}).status == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None]
)
@pytest.mark.parametrize(
    ("verb", "path"),
    [("POST", ""), ("PUT", ""), ("LOCK", ""), ("POST", "/lock"), ("PUT", "/lock")],
)
def test_a_body_that_is_not_said_to_be_json_is_a_415_that_says_which_header_to_send(
    place: Place, verb: str, path: str, kind: str | None
) -> None:
    headers = basic(place.state.token) | ({} if kind is None else {"Content-Type": kind})

    refused = place.wire.send(verb, place.state.path + path, state_document(1), headers)

    assert (refused.status, code_of(refused)) == (415, "unsupported-media-type")
    assert "Content-Type: application/json" in refused.json()["detail"]
    assert place.versions() == []
    assert not place.is_locked()


@pytest.mark.parametrize(
    ("verb", "path"), [("UNLOCK", ""), ("UNLOCK", "/lock"), ("DELETE", "/lock")]
)
def test_an_unlock_needs_the_type_only_for_a_body(place: Place, verb: str, path: str) -> None:
    info = lock_info()
    place.state.lock(info)
    plain = basic(place.state.token) | {"Content-Type": "text/plain"}

    refused = place.wire.send(verb, place.state.path + path, b'{"ID": "x"}', plain)

    assert (refused.status, code_of(refused)) == (415, "unsupported-media-type")
    assert place.is_locked()
    bare = place.wire.send(verb, place.state.path + path, None, basic(place.state.token))
    assert bare.status == 200
    assert not place.is_locked()


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8"])
def test_the_type_that_the_clients_send_is_accepted(place: Place, kind: str) -> None:
    headers: dict[str, Any] = basic(place.state.token) | {"Content-Type": kind}

    assert place.wire.send("POST", place.state.path, state_document(1), headers).status == 200
