from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from backend.catalogue import ssh_keys
from backend.errors import Invalid
from tests.support.required import required
from tests.support.ssh_keys import ssh_key

PASSPHRASE = "open sesame"


def with_rounds(private_key: str, rounds: int) -> str:
    """The same encrypted key, asking for so many rounds of bcrypt."""
    begin, *body, end = private_key.strip().splitlines()
    raw = bytearray(base64.b64decode("".join(body)))
    salt = raw.index(b"bcrypt") + len("bcrypt") + 4 + 4
    raw[salt + 16 : salt + 20] = rounds.to_bytes(4, "big")
    return "\n".join((begin, base64.b64encode(raw).decode(), end))


@pytest.mark.parametrize("rounds", [257, 2**31, 2**32 - 1])
def test_a_key_that_asks_for_endless_work_is_refused_at_once(rounds: int) -> None:
    key, _ = ssh_key(passphrase=PASSPHRASE)

    with pytest.raises(Invalid, match="rounds of bcrypt"):
        ssh_keys.read(with_rounds(key.private_key, rounds), PASSPHRASE)


@pytest.mark.parametrize("rounds", [257, 2**32 - 1])
@pytest.mark.parametrize("spoiled", ["before", "after", "inside"])
def test_endless_work_is_not_hidden_by_text_around_the_key(rounds: int, spoiled: str) -> None:
    key, _ = ssh_key(passphrase=PASSPHRASE)
    text = with_rounds(key.private_key, rounds)
    begin, body, end = text.splitlines()
    dressed = {
        "before": f"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n{text}",
        "after": f"{text}\n{text}",
        "inside": f"{begin}\n\n {body[:70]}\r\n\t{body[70:]}\n\n{end} ",
    }

    with pytest.raises(Invalid):
        ssh_keys.read(dressed[spoiled], PASSPHRASE)


def test_line_ends_and_blanks_around_a_key_do_no_harm() -> None:
    key, public = ssh_key()

    read = ssh_keys.read("\n  " + key.private_key.replace("\n", "\r\n") + "\r\n ", None)

    assert read.public_key == public
    assert read.private_key == key.private_key


def test_a_passphrase_that_the_key_does_not_need_is_not_kept() -> None:
    key, _ = ssh_key()

    assert ssh_keys.read(key.private_key, PASSPHRASE).passphrase is None


def test_the_fingerprint_is_the_one_that_ssh_keygen_shows(tmp_path: Path) -> None:
    key, public = ssh_key()
    file = tmp_path / "key.pub"
    file.write_text(public, encoding="utf-8")

    shown = subprocess.run(
        [required("ssh-keygen"), "-l", "-f", file], capture_output=True, text=True, check=True
    )

    assert ssh_keys.read(key.private_key, None).fingerprint == shown.stdout.split()[1]
