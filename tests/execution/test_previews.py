"""Processes that look at repositories, and how they end."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

from backend.errors import Conflict
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


def wanted(repository: str) -> dict[str, Any]:
    return {
        "repository": repository, "ref": None, "path": ".", "credential": {}, "known_hosts": "",
        "submodules": False, "lfs": False, "tool": "terraform", "backend_mode": "auto",
        "override_file": None, "ignored_wrappers": [], "variable_files": [],
        "address": "https://h.example/x",
    }  # fmt: skip
