"""The processes of a server count wrong passwords together."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from tests.support.documents import state_document
from tests.support.installations import Installations
from tests.support.wire import basic

GUESS = "wrong horse battery"


def test_three_processes_allow_no_more_guesses_at_an_alias_than_one(
    installations: Installations,
) -> None:
    place = installations.place("postgresql", server_processes=3)
    path = place.filled("/projects/{project}/workspaces/{workspace}/aliases")
    made = place.api.post(path, name="laptop", access="read-write")
    where = urlsplit(made["address"]).path

    guessed = [
        place.wire.send("GET", where, None, basic(GUESS, made["username"])).status
        for _ in range(15)
    ]

    assert guessed == [401] * 10 + [429] * 5
    right = basic(made["password"], made["username"]) | {"Content-Type": "application/json"}
    assert place.wire.send("POST", where, state_document(), right).status == 200


def test_three_processes_allow_no_more_guesses_at_a_person_than_one(
    installations: Installations,
) -> None:
    place = installations.place("postgresql", server_processes=3)
    body = json.dumps({"username": f"u-{place.project}", "password": GUESS}).encode()
    json_type = {"Content-Type": "application/json"}

    guessed = [place.wire.send("POST", "/api/login", body, json_type).status for _ in range(13)]

    assert guessed == [401] * 10 + [429] * 3
