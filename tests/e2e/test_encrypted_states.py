"""States that OpenTofu encrypts itself: kept, counted, rotated and backed up, never opened."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.api import Refused
from tests.support.repositories import MODULE
from tests.support.stateroom import Stateroom
from tests.support.tools import Checkout, Tool, find_tool

PASSPHRASE = "correct horse battery staple"
ENCRYPTION = f"""\
terraform {{
  encryption {{
    key_provider "pbkdf2" "words" {{
      passphrase = "{PASSPHRASE}"
    }}
    method "aes_gcm" "sealed" {{
      keys = key_provider.pbkdf2.words
    }}
    state {{
      method   = method.aes_gcm.sealed
      enforced = true
    }}
  }}
}}
"""


@pytest.fixture
def tofu(tmp_path: Path) -> Tool:
    return find_tool("tofu", otherwise=tmp_path)


def test_a_state_that_opentofu_encrypts_is_as_good_as_any_other(
    new_stateroom: Callable[..., Stateroom], tofu: Tool, tmp_path: Path
) -> None:
    installation = new_stateroom()
    installation.start_server()
    place = installation.place()
    told = [f"told-{secrets.token_hex(8)}" for _ in range(2)]
    checkout = Checkout(tofu, tmp_path / "module", MODULE)
    checkout.write("encryption.tf", ENCRYPTION)
    checkout.connect(place.state)
    checkout.init()

    for greeting in told:
        checkout.apply(f"-var=greeting={greeting}")
    rotated = installation.command("keys", "rotate", "--wait")
    assert rotated.wait() == 0, rotated.said()

    # listed as what it is, with the serial and lineage that tofu leaves open
    listed = place.versions()
    assert {version["encrypted"] for version in listed} == {True}
    assert len({version["lineage"] for version in listed}) == 1
    # what would need its content says why it cannot be
    path = place.filled("/projects/{project}/workspaces/{workspace}")
    with pytest.raises(Refused, match="only its own passphrase") as outputs:
        place.api.get(f"{path}/outputs")
    assert outputs.value.problem["code"] == "state-encrypted"
    # read back by who has the passphrase, after the rotation too
    stored = place.state.read().body
    assert b"encrypted_data" in stored
    assert told[1].encode() not in stored
    assert checkout.must("output", "-raw", "greeting") == told[1]
    # and out of a backup, into a folder without any backend
    for command in (["backup", "copy", "--with-keyring"], ["decrypt", "copy", "out"]):
        process = installation.command(*(in_folder(tmp_path, part) for part in command))
        assert process.wait() == 0, process.said()
    assert "1 of them OpenTofu encrypted itself" in process.said()
    recovered = (tmp_path / "out" / place.project / "first.tfstate").read_bytes()
    assert recovered == stored
    alone = Checkout(tofu, tmp_path / "alone", MODULE)
    alone.write("encryption.tf", ENCRYPTION)
    alone.write("terraform.tfstate", recovered.decode())
    alone.init()
    assert alone.must("output", "-raw", "greeting") == told[1]


def in_folder(folder: Path, part: str) -> str:
    return str(folder / part) if part in {"copy", "out"} else part
