"""I6: no secret of an installation is on a disk in clear."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from client.conformance.wire import bearer
from tests.support.documents import encrypted_document, state_document
from tests.support.place import Place
from tests.support.postgres import Postgres
from tests.support.ssh_keys import ssh_key
from tests.support.stateroom import Stateroom

MODULE = """\
variable "told" {}

variable "answer" {}

resource "terraform_data" "x" {
  input = var.told

  provisioner "local-exec" {
    command = "echo %s"
  }
}
"""


def canary() -> str:
    return f"canary-{secrets.token_hex(16)}"


class Planted:
    """The planted secrets, and where each was given."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}

    def new(self, where: str) -> str:
        return self.add(where, canary())

    def add(self, where: str, secret: str) -> str:
        self.secrets[where] = secret
        return secret

    def found_in(self, content: bytes) -> list[str]:
        """Where what is found here was entrusted to: as it is, in base64, or in hex."""
        return [
            where
            for where, secret in self.secrets.items()
            if any(form in content for form in _forms(secret.encode()))
        ]


def _forms(clear: bytes) -> set[bytes]:
    middles = {base64.b64encode(b" " * shift + clear)[4:-4] for shift in range(3)}
    return {clear, clear.hex().encode(), *middles}


def files_below(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


@pytest.mark.parametrize("tool", ["terraform"], indirect=True)
def test_nothing_that_was_entrusted_lies_on_a_disk_in_clear(
    new_stateroom: Callable[..., Stateroom],
    run_repository: Callable[[dict[str, str]], dict[str, str]],
    request: pytest.FixtureRequest,
    database: str,
    tmp_path: Path,
) -> None:
    installation = new_stateroom(database_url=database).start()
    planted = Planted()
    log_line = planted.new("the log of a run")
    place = installation.place(**run_repository({"main.tf": MODULE % log_line}))
    entrust_states(place, planted)
    entrust_credentials(installation, place, planted)
    place.set_variable("told", planted.new("a variable, and a state that a run wrote"))
    answer = {"name": "answer", "value": planted.new("a variable of a run")}
    run = place.queue("apply", variables=[answer])
    run.wait("applied")
    assert log_line in run.log()

    rotated = installation.command("keys", "rotate", "--wait")
    assert rotated.wait() == 0, rotated.said()
    folders = [installation.folder]
    if database:
        postgres: Postgres = request.getfixturevalue("postgres")
        postgres.flush()
        folders.append(postgres.files())
    else:
        copied = installation.command("backup", str(tmp_path / "backup"))
        assert copied.wait() == 0, copied.said()
        folders.append(tmp_path / "backup")

    names = [path.name for path in files_below(*folders)]
    assert len([name for name in names if len(name) == 62]) >= 2  # large states
    assert database or {"stateroom.db", "stateroom.db-wal"} <= {*names}
    assert any(place.project.encode() in path.read_bytes() for path in files_below(*folders))
    found = {path: planted.found_in(path.read_bytes()) for path in files_below(*folders)}
    assert {path: where for path, where in found.items() if where} == {}


def entrust_states(place: Place, planted: Planted) -> None:
    for where, size in (("a small state", 0), ("a large state", 1_300_000)):
        address = place.another_workspace()
        kept = state_document(5, lineage="a", size=size)
        told = planted.new(where)
        document = json.loads(kept)
        document["outputs"] = {"told": {"value": told, "type": "string"}} | document["outputs"]
        assert address.write(json.dumps(document).encode()).status == 200
        document["serial"] = 4
        document["outputs"]["told"]["value"] = planted.new(f"a rescued write beside {where}")
        assert address.write(json.dumps(document).encode()).status == 409
    sealed = encrypted_document(secret=planted.new("a state of OpenTofu").encode())
    assert place.another_workspace().write(sealed).status == 200


def entrust_credentials(installation: Stateroom, place: Place, planted: Planted) -> None:
    api, project = place.api, f"/projects/{place.project}"
    workspace = f"{project}/workspaces/{place.workspace}"
    place.set_variable("OPEN", planted.new("an open variable"), kind="environment")
    place.set_variable("SECRET", planted.new("a sensitive one"), kind="environment", sensitive=True)
    api.post(f"{project}/variable-sets", name="common")
    shared = {"name": "SHARED", "kind": "environment", "value": planted.new("a variable of a set")}
    api.post(f"{project}/variable-sets/common/variables", **shared)
    api.patch(workspace, variable_sets=["common"])
    login = {"kind": "password", "username": "ann", "password": planted.new("a password's key")}
    api.post(f"{project}/keys", name="login", **login)
    passphrase = planted.new("a passphrase")
    locked, _ = ssh_key(passphrase=passphrase)
    ssh = {"private_key": locked.private_key, "passphrase": passphrase}
    planted.add("an SSH key", locked.private_key.splitlines()[2])
    api.post(f"{project}/keys", name="ssh", kind="ssh", **ssh)
    api.post("/users", name="ann", password=planted.new("a person's password"), is_admin=False)
    signed_in = sign_in(installation, planted.secrets["a person's password"])
    planted.add("a session", signed_in)
    token = api.post(f"{project}/tokens", name="ci", scopes=["state:read"])
    planted.add("a token", token["secret"])
    alias = api.post(f"{workspace}/aliases", name="laptop", access="read-only")
    planted.add("an alias", alias["password"])
    installation.wire.send("GET", place.state.path, None, bearer(token["secret"]))


def sign_in(installation: Stateroom, password: str) -> str:
    body = json.dumps({"username": "ann", "password": password}).encode()
    headers = {"Content-Type": "application/json"}
    answer = installation.wire.send("POST", "/api/login", body, headers)
    assert answer.status == 200, answer
    token: dict[str, Any] = answer.json()
    return str(token["access_token"])
