"""What a dependency lock file selects, and the hash that is added to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import ToolError
from runner.providers import locked

LOCK = """\
# This file is maintained automatically by "terraform init".

provider "registry.terraform.io/hashicorp/aws" {
  version     = "5.100.0"
  constraints = "~> 5.0"
  hashes = [
    "h1:aaaa=",
    "zh:bbbb",
  ]
}

provider "example.com:8443/acme/thing" {
  version = "1.0.0"
  hashes = [
    "zh:cccc",
  ]
}
"""


def test_versions_and_hashes_are_read() -> None:
    selected = locked.parse(LOCK.encode())

    assert selected["registry.terraform.io/hashicorp/aws"].version == "5.100.0"
    assert selected["registry.terraform.io/hashicorp/aws"].hashes == {"h1:aaaa=", "zh:bbbb"}
    assert selected["example.com:8443/acme/thing"].hashes == {"zh:cccc"}


@pytest.mark.parametrize(
    "text",
    [
        LOCK.replace("provider ", "  provider "),
        LOCK.replace('thing" {', 'thing" { # by hand'),
        LOCK.replace('  version = "1.0.0"\n', ""),
        f"/* {LOCK} */",
        "provider {\n}\n",
    ],
)
def test_what_the_tools_did_not_write_is_not_guessed_at(text: str) -> None:
    with pytest.raises(ToolError) as refused:
        locked.parse(text.encode())

    assert refused.value.code == "lock-file-unreadable"


def test_a_folder_without_a_lock_file_selects_nothing(tmp_path: Path) -> None:
    assert locked.read(tmp_path, tmp_path) == {}


def test_a_lock_file_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "other").write_text(LOCK)
    (tmp_path / locked.NAME).symlink_to("other")

    with pytest.raises(ToolError):
        locked.read(tmp_path, tmp_path)


def test_a_hash_is_added_to_the_provider_that_it_is_for() -> None:
    text = locked.accept(LOCK.encode(), "example.com:8443/acme/thing", "h1:dddd=")

    selected = locked.parse(text)
    assert selected["example.com:8443/acme/thing"].hashes == {"h1:dddd=", "zh:cccc"}
    assert selected["registry.terraform.io/hashicorp/aws"].hashes == {"h1:aaaa=", "zh:bbbb"}
