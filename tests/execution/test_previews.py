"""Processes that look at repositories, and how they end."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from backend.errors import Conflict, Unavailable
from execution import previews
from execution.previews import Previews
from runner.job import SourcePolicy
from tests.support.repositories import Repository


def test_somebody_who_looks_at_something_newer_gets_that(tmp_path: Path) -> None:
    """The process that looks at a repository which never answers is ended for the next one."""
    policy = SourcePolicy((tmp_path,), plain_http=True, private_hosts=True)
    here = Previews(tmp_path / "previews", policy)
    silent = socket.create_server(("127.0.0.1", 0))
    first: list[object] = []

    def look_first() -> None:
        try:
            first.append(here.look("ann", wanted(f"http://127.0.0.1:{silent.getsockname()[1]}/x")))
        except Conflict as error:
            first.append(error.code)

    thread = threading.Thread(target=look_first)
    thread.start()
    held, _ = silent.accept()
    Repository(tmp_path / "infra")

    found = here.look("ann", wanted(str(tmp_path / "infra")))

    thread.join(20)
    held.close()
    silent.close()
    assert (found["problem"], first) == (None, ["superseded"])
    assert not any((tmp_path / "previews").iterdir())


def test_who_comes_when_all_places_are_taken_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "AT_ONCE", 1)
    monkeypatch.setattr(previews, "WAIT", 0.1)
    here = Previews(tmp_path / "previews", SourcePolicy())

    with here._room.enter(), pytest.raises(Unavailable, match="Other repositories") as refused:
        here.look("ann", wanted("https://h.example/x"))

    assert refused.value.code == "busy"


def test_a_process_that_needs_too_much_ends_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "MEMORY", 30_000_000)
    here = Previews(tmp_path / "previews", SourcePolicy())

    with pytest.raises(Unavailable, match="more time or memory") as refused:
        here.look("ann", wanted("https://h.example/x"))

    assert refused.value.code == "preview-exceeded"
    assert not any((tmp_path / "previews").iterdir())


def wanted(repository: str) -> dict[str, Any]:
    return {
        "repository": repository, "ref": None, "path": ".", "credential": {}, "known_hosts": "",
        "submodules": False, "lfs": False, "tool": "terraform", "backend_mode": "auto",
        "override_file": None, "ignored_wrappers": [], "variable_files": [],
        "address": "https://h.example/x",
    }  # fmt: skip
