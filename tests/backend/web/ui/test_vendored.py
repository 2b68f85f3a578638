"""The files of others are those that they published, and their documents name all of them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from tests.support.project import ROOT

FOLDERS = ("backend/web/ui/static/vendor", "tests/support/axe")
ROW = re.compile(r"^\| `([^`]+\.js)` \|.*\| `([0-9a-f]{64})` \|$", re.MULTILINE)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_files_are_those_that_were_published(folder: str) -> None:
    noted = dict(ROW.findall((ROOT / folder / "VENDORED.md").read_text(encoding="utf-8")))

    assert noted == {path.name: _digest(path) for path in (ROOT / folder).glob("*.js")}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
