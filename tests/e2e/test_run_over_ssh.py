"""A clone over ssh, from a key in the key store to a state."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
)

from tests.support.api import Refused
from tests.support.command_line import CommandLine
from tests.support.installations import Installations
from tests.support.place import Place
from tests.support.repositories import Repository
from tests.support.shown import shown
from tests.support.sshd import Sshd, any_sshd
from tests.support.stateroom import Stateroom

PASSPHRASE = "correct horse battery staple"
CALLER = """
module "private" {{
  source = "{source}"
}}
output "said" {{
  value = module.private.greeting
}}
"""


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with any_sshd(tmp_path / "sshd") as server:
        yield server


@pytest.fixture
def private_key(sshd: Sshd) -> str:
    """A key with a passphrase, that may clone here."""
    private, public = key_pair()
    sshd.authorize(public)
    return private


def key_pair() -> tuple[str, str]:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    encryption = BestAvailableEncryption(PASSPHRASE.encode())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, encryption)
    return private.decode(), public.decode()


@pytest.fixture(scope="session")
def private_hosts(installations: Installations) -> Stateroom:
    """An installation that may clone from this machine."""
    installation = installations.server(allow_private_hosts=True)
    if not installation.workers:
        installation.start_worker()
    return installation


@pytest.fixture
def place(private_hosts: Stateroom, sshd: Sshd, repository: Repository, private_key: str) -> Place:
    """A project whose template is cloned over ssh with that key; it knows no host yet."""
    place = private_hosts.place(repository=sshd.url(repository.folder))
    place.api.post(
        f"/projects/{place.project}/keys",
        name="deploy",
        kind="ssh",
        private_key=private_key,
        passphrase=PASSPHRASE,
    )
    place.api.patch(f"/projects/{place.project}/templates/module", key="deploy")
    return place


def test_a_key_with_a_passphrase_clones_from_a_host_that_is_known(place: Place, sshd: Sshd) -> None:
    place.api.patch(f"/projects/{place.project}", known_hosts=sshd.known_hosts_line)

    place.queue("apply").wait("applied")

    assert place.state.read().json()["outputs"]["greeting"]["value"] == "hello"


def test_a_host_that_is_not_known_is_refused_until_the_named_command_has_run(
    place: Place, sshd: Sshd
) -> None:
    cli = CommandLine(place.wire.url, place.api.token, place.project)

    run = place.queue("apply")
    ended = run.wait("errored")
    commands = [
        re.search("`stateroom (.+?)`", ended["error"][said]) for said in ("message", "next")
    ]
    told = shown(place, run)
    for command in commands:
        assert command
        cli.must(*command.group(1).split(), "--fingerprint", sshd.fingerprint)
    place.queue("apply").wait("applied")

    assert told["error"] == "host-key-unknown"
    assert f"does not know the host key of {sshd.host}" in told["what is wrong"]
    assert (
        f"`stateroom projects host-keys scan -p {place.project} {sshd.host}:{sshd.port}`"
        in (told["do next"])
    )


def test_a_host_that_is_trusted_at_first_sight_is_known_from_then_on(place: Place) -> None:
    place.api.patch(f"/projects/{place.project}", accept_new_host_keys=True)

    place.queue("apply").wait("applied")

    known: str = place.api.get(f"/projects/{place.project}")["known_hosts"]
    assert known.count("ssh-ed25519") == 1


def test_a_wrong_passphrase_is_refused_when_the_key_is_stored(
    place: Place, private_key: str
) -> None:
    with pytest.raises(Refused) as refusal:
        place.api.post(
            f"/projects/{place.project}/keys",
            kind="ssh",
            private_key=private_key,
            passphrase="wrong",
        )

    assert refusal.value.status == 422
    assert "passphrase" in refusal.value.problem["detail"]


def test_a_key_that_the_host_does_not_take_is_told(place: Place, sshd: Sshd) -> None:
    project = f"/projects/{place.project}"
    place.api.patch(project, known_hosts=sshd.known_hosts_line)
    unknown, _ = key_pair()
    place.api.post(
        f"{project}/keys", name="other", kind="ssh", private_key=unknown, passphrase=PASSPHRASE
    )
    place.api.patch(f"{project}/templates/module", key="other")

    run = place.queue("apply")
    run.wait("errored")
    told = shown(place, run)

    assert told["error"] == "repository-access-denied"
    assert "does not let this key read the repository" in told["what is wrong"]
    assert f"stateroom templates show -p {place.project} module" in told["do next"]
    assert f"stateroom templates set -p {place.project} module --key NAME" in told["do next"]


@pytest.fixture
def caller_place(private_hosts: Stateroom, sshd: Sshd, private_key: str, tmp_path: Path) -> Place:
    """A project whose template calls a private module; it has the key, and knows no host yet."""
    module = Repository(tmp_path / "private-module")
    source = f"git::{sshd.url(module.folder)}"
    root = Repository(tmp_path / "root", {"main.tf": CALLER.format(source=source)})
    place = private_hosts.place(repository=str(root.folder))
    place.api.post(
        f"/projects/{place.project}/keys",
        name="modules",
        kind="ssh",
        private_key=private_key,
        passphrase=PASSPHRASE,
    )
    return place


def test_the_workspaces_own_key_opens_private_modules(caller_place: Place, sshd: Sshd) -> None:
    place, project = caller_place, f"/projects/{caller_place.project}"
    place.api.patch(project, known_hosts=sshd.known_hosts_line)

    without = place.queue("apply").wait("errored")
    place.api.patch(f"{project}/workspaces/{place.workspace}", module_key="modules")
    place.queue("apply").wait("applied")

    assert without["error"]["code"] == "module-unavailable"
    assert place.state.read().json()["outputs"]["said"]["value"] == "hello"


def test_a_module_on_a_host_that_is_not_known_is_refused_by_that_name(caller_place: Place) -> None:
    path = f"/projects/{caller_place.project}/workspaces/{caller_place.workspace}"
    caller_place.api.patch(path, module_key="modules")

    ended = caller_place.queue("apply").wait("errored")

    assert ended["error"]["code"] == "host-key-unknown"
    assert "stateroom projects host-keys scan" in ended["error"]["next"]
