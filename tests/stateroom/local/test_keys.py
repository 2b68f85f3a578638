"""`stateroom keys`, as an operator runs it on the server's machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from backend.config import Settings
from backend.models import StateVersion, Variable
from backend.sealing.keyring import Keyring
from backend.transactions import Installation
from tests.support.databases import one_database
from tests.support.local_command import must, stateroom
from tests.support.sealed_things import EVERYTHING, fill, opened, settle


@pytest.fixture
def here(here: Installation) -> Installation:
    """An installation with one of everything that is sealed."""
    fill(here)
    return here


def status(settings: Settings) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(must(settings, "keys", "status", "--json"))["keys"]
    return found


@one_database
def test_status_says_which_key_seals_and_what_each_wraps(here: Installation) -> None:
    (key,) = status(here.settings)
    said = must(here.settings, "keys", "status")

    assert (key["key_id"], key["seals"]) == (here.keyring.current, True)
    assert key["wraps"]["state_versions"] == 2
    assert key["wraps"]["log_chunks"] == 2
    assert f"{here.keyring.current} " in said
    assert "seals since" in said


def test_rotate_and_wait_leaves_everything_under_a_new_key(here: Installation) -> None:
    old = here.keyring.current

    said = must(here.settings, "keys", "rotate", "--wait")

    found = {key["key_id"]: key for key in status(here.settings)}
    (new,) = found.keys() - {old}
    assert f"Everything is under {new}." in said
    assert f"Back up the keyring now: {here.settings.keyring_path}" in said
    assert (found[old]["wraps"], found[old]["seals"], found[new]["seals"]) == ({}, False, True)
    keyring = Keyring.load(here.settings.keyring_path)
    assert opened(here, Keyring({new: keyring.keys[new]})) == EVERYTHING


@one_database
def test_rotate_leaves_the_rest_to_the_servers(here: Installation) -> None:
    said = must(here.settings, "keys", "rotate")

    old, new = status(here.settings)
    assert "in the background" in said
    assert (new["seals"], old["wraps"]["state_versions"]) == (True, 2)


@one_database
def test_several_machines_get_the_key_before_any_seals_with_it(here: Installation) -> None:
    said = must(here.settings, "keys", "stage")

    old, new = status(here.settings)
    assert f"stateroom keys activate {new['key_id']}" in said
    assert (old["seals"], new["seals"]) == (True, False)
    must(here.settings, "keys", "activate", new["key_id"], "--wait")
    assert [key["seals"] for key in status(here.settings)] == [False, True]


@one_database
def test_a_keyring_in_the_environment_is_changed_there_and_activated_here(
    here: Installation,
) -> None:
    line = must(here.settings, "keys", "new")
    old = " ".join(here.settings.keyring_path.read_text().splitlines()[-1].split())
    both = {"STATEROOM_KEYRING": f"{old};{line.strip()}"}

    refused = stateroom(here.settings, "keys", "rotate", **both)
    done = stateroom(here.settings, "keys", "activate", line.split()[0], "--wait", **both)

    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "stateroom keys activate KEY_ID" in refused.stderr
    assert done.returncode == 0, done.stderr
    lacking = stateroom(here.settings, "keys", "status")
    assert lacking.returncode == 2
    assert "does not open this database" in lacking.stderr


@one_database
def test_a_key_is_dropped_only_when_nothing_needs_it(here: Installation) -> None:
    old = here.keyring.current
    must(here.settings, "keys", "rotate")
    settle(here)

    needed = stateroom(here.settings, "keys", "drop", old)
    must(here.settings, "keys", "activate", status(here.settings)[1]["key_id"], "--wait")
    settle(here)
    must(here.settings, "keys", "drop", old)

    assert (needed.returncode, "2 of state_versions" in needed.stderr) == (2, True)
    assert [key["key_id"] for key in status(here.settings)] != [old]
    assert old not in here.settings.keyring_path.read_text()
    assert must(here.settings, "keys", "verify").endswith("; 0 objects do not.\n")


@one_database
def test_a_key_that_the_keyring_lacks_is_shown(here: Installation) -> None:
    with here.database.transaction() as db:
        db.get_one(StateVersion, "sv000001").key_id = "k9-lost"

    said = must(here.settings, "keys", "status")

    assert "k9-lost" in said
    assert "IS MISSING FROM THE KEYRING" in said


def test_verify_opens_everything(here: Installation) -> None:
    said = json.loads(must(here.settings, "keys", "verify", "--json"))

    assert said["failed"] == []
    assert said["opened"] == {
        "audit_key": 1, "canary": 1, "drifts": 1, "keys": 1, "log_chunks": 2, "plan_documents": 1,
        "plan_pieces": 1, "proof_key": 1,
        "rescued_writes": 1, "state_versions": 2, "variables": 3,
    }  # fmt: skip


def damage(here: Installation) -> None:
    """A bit of a body in the database, of one in a file, of a value; a hash; a wrapped key."""
    with here.database.transaction() as db:
        small = db.get_one(StateVersion, "sv000001")
        assert small.sealed
        small.sealed = small.sealed[:-1] + bytes([small.sealed[-1] ^ 1])
        variable = db.get_one(Variable, "v")
        variable.value = variable.value[:-1] + bytes([variable.value[-1] ^ 1])
        large = db.get_one(StateVersion, "sv000002")
        assert large.blob
        db.execute(text("UPDATE rescued_writes SET md5 = sha256"))
    path = here.blobs.path(large.blob)
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(bytes(body))


def test_verify_names_everything_that_does_not_open(here: Installation) -> None:
    damage(here)

    done = stateroom(here.settings, "keys", "verify", "--json")
    said = stateroom(here.settings, "keys", "verify")

    assert done.returncode == said.returncode == 1
    failed = {(row["table"], row["id"]): row for row in json.loads(done.stdout)["failed"]}
    assert set(failed) == {
        ("state_versions", "sv000001"),
        ("state_versions", "sv000002"),
        ("rescued_writes", "rw"),
        ("variables", "v"),
    }
    assert failed["state_versions", "sv000001"]["where"] == "shop/app version 1"
    assert "state_versions sv000002 shop/app version 2: " in said.stderr
    assert said.stdout.endswith("; 4 objects do not.\n")


def test_verify_names_a_row_that_was_changed_and_accept_takes_it(here: Installation) -> None:
    with here.database.engine.begin() as connection:
        connection.execute(text("UPDATE variables SET sensitive = NOT sensitive WHERE id = 'v'"))

    named = stateroom(here.settings, "keys", "verify")
    must(here.settings, "keys", "accept", "variables", "v")

    assert (named.returncode, "variables v" in named.stderr) == (1, True)
    assert stateroom(here.settings, "keys", "verify").returncode == 0
    assert stateroom(here.settings, "keys", "accept", "variables", "nobody").returncode == 2


@one_database
def test_a_quick_verify_opens_the_keys_and_no_bodies(here: Installation) -> None:
    damage(here)
    assert stateroom(here.settings, "keys", "verify", "--keys-only").returncode == 0
    with here.database.transaction() as db:
        db.get_one(StateVersion, "sv000001").wrapped_key = b"\1" * 60

    done = stateroom(here.settings, "keys", "verify", "--keys-only")

    assert done.returncode == 1
    assert "state_versions sv000001" in done.stderr


def test_nothing_is_made_where_no_installation_is(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "nowhere")

    done = stateroom(settings, "keys", "status")

    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "There is no installation" in done.stderr
    assert not settings.data_dir.exists()
