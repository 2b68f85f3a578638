"""`stateroom doctor` against real deployments, sound ones and misconfigured ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from client.conformance.suite import is_sound
from tests.support.documents import state_document
from tests.support.examination import (
    DOCTOR,
    ROOT,
    environment,
    examined,
    leftovers,
    run,
    said,
)
from tests.support.installations import Installations
from tests.support.nginx import nginx, self_signed
from tests.support.processes import free_port
from tests.support.stateroom import Stateroom


@pytest.fixture
def stateroom(installations: Installations) -> Stateroom:
    return installations.server()


def test_a_deployment_without_anything_in_between_is_sound(stateroom: Stateroom) -> None:
    done = run(
        stateroom.url, "--max-bytes", "2000000", "--stall", "0.5", STATEROOM_TOKEN=stateroom.token
    )

    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert {line.split()[0] for line in lines[:-3]} == {"ok"}
    assert lines[-1].startswith(f"The deployment at {stateroom.url} (Stateroom ")
    assert " is sound: " in lines[-1]
    assert stateroom.token not in done.stdout + done.stderr
    assert leftovers(stateroom) == []


def test_what_the_doctor_finds_is_reported_to_the_server(stateroom: Stateroom) -> None:
    done = run(stateroom.url, "--quick", "--report", STATEROOM_TOKEN=stateroom.token)

    assert done.returncode == 0, done.stdout + done.stderr
    kept = stateroom.api.get("/installation/doctor")
    assert (kept["by"], kept["content"]["sound"]) == ("administrator", True)
    assert len(kept["content"]["checks"]) > 10
    refused = run("--address", f"{stateroom.url}/x", "--report", TF_HTTP_PASSWORD="x")
    assert refused.returncode == 2
    assert "not for --address" in refused.stderr


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ({}, "not signed by an authority that this machine trusts"),
        ({"days": -1}, "is not valid now"),
        ({"address": "127.0.0.9"}, "is for another name"),
    ],
    ids=["of an unknown authority", "expired", "for another name"],
)
def test_a_certificate_that_cannot_be_trusted_is_named(
    stateroom: Stateroom, tmp_path: Path, certificate: dict[str, str], words: str
) -> None:
    file = self_signed(tmp_path / "tls.pem", **certificate)  # type: ignore[arg-type]
    trusted = {"SSL_CERT_FILE": str(file)} if certificate else {}
    server = f"location / {{ proxy_pass {stateroom.url}; }}"

    with nginx(tmp_path / "nginx", free_port(), server, file) as url:
        done = run(url, STATEROOM_TOKEN=stateroom.token, **trusted)

    assert done.returncode == 1
    assert words in " ".join(done.stdout.split())


def test_a_port_that_nobody_listens_on_is_named() -> None:
    outcomes = examined(f"http://127.0.0.1:{free_port()}", "a-token")

    assert "Nothing listens at" in said(outcomes)
    assert not is_sound(outcomes)


def test_a_wrong_token_is_named(stateroom: Stateroom) -> None:
    outcomes = examined(stateroom.url, "not-a-token")

    assert not is_sound(outcomes)
    assert "The credential is refused" in said(outcomes)


def test_a_token_of_one_project_examines_within_it(installations: Installations) -> None:
    place = installations.place()
    path = f"/projects/{place.project}/tokens"
    token = place.api.post(path, name="doctor", scopes=["admin"])["secret"]

    outcomes = examined(place.wire.url, token)

    assert is_sound(outcomes), said(outcomes)
    workspaces = place.api.get(f"/projects/{place.project}/workspaces")["items"]
    assert [workspace["name"] for workspace in workspaces] == [place.workspace]


def test_a_token_that_may_make_no_workspace_is_told_what_it_needs(
    installations: Installations,
) -> None:
    place = installations.place()
    path = f"/projects/{place.project}/tokens"
    token = place.api.post(path, name="reader", scopes=["state:read", "runs:read"])["secret"]

    outcomes = examined(place.wire.url, token)

    assert "Use a token that has state:read, state:write" in said(outcomes)
    assert not is_sound(outcomes)


def test_an_address_that_somebody_made_is_examined_and_deleted(
    installations: Installations,
) -> None:
    place = installations.place()
    credentials = {"TF_HTTP_USERNAME": "anybody", "TF_HTTP_PASSWORD": place.state.token}

    done = run("--address", place.state.url, "--quick", **credentials)

    assert done.returncode == 0, done.stdout + done.stderr
    assert place.state.read().status == 410
    assert not place.is_locked()


def test_an_alias_is_examined_by_its_own_login(installations: Installations) -> None:
    place = installations.place()
    path = f"/projects/{place.project}/workspaces/{place.workspace}/aliases"
    alias = place.api.post(path, name="laptop", access="read-write")
    credentials = {
        "TF_HTTP_USERNAME": alias["username"],
        "TF_HTTP_PASSWORD": alias["password"],
    }

    done = run("--address", alias["address"], "--quick", **credentials)

    assert done.returncode == 0, done.stdout + done.stderr
    assert alias["password"] not in done.stdout + done.stderr
    assert "which has the content of the checks" in " ".join(done.stdout.split())
    assert not place.is_locked()


def test_a_state_that_holds_something_is_not_touched(installations: Installations) -> None:
    place = installations.place()
    body = state_document()
    place.state.write(body)
    credentials = {"TF_HTTP_USERNAME": "anybody", "TF_HTTP_PASSWORD": place.state.token}

    done = run("--address", place.state.url, "--quick", **credentials)

    assert done.returncode == 1
    assert "it must never have been written" in " ".join(done.stdout.split())
    assert place.state.read().body == body
    assert len(place.versions()) == 1


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (["http://127.0.0.1:1"], {}, "set STATEROOM_TOKEN"),
        (["127.0.0.1:1"], {"STATEROOM_TOKEN": "t"}, "must begin with https://"),
        (["https://me:secret@host"], {"STATEROOM_TOKEN": "t"}, "No credentials in the URL"),
        (["--token-file", "/there/is/none", "http://host"], {}, "cannot be read"),
        ([], {"STATEROOM_TOKEN": "t"}, "Give the URL"),
    ],
)
def test_a_wrong_call_is_told_what_is_missing(
    arguments: list[str], given: dict[str, str], words: str
) -> None:
    done = subprocess.run(
        [*DOCTOR, *arguments],
        env=environment() | given,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert words in done.stderr
    assert "secret" not in done.stderr
