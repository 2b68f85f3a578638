"""The documents are right."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from backend.config import PREFIX, Settings
from tests.support.processes import wait_until
from tests.support.project import ROOT
from tests.support.repositories import Repository
from tests.support.required import required
from tests.support.stateroom import Stateroom

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "bench" / "README.md"])
CODE_FOLDERS = ("backend", "client", "execution", "runner", "stateroom")
OTHER_FOLDERS = {"tests/", "tests/e2e/", "tests/protocol/", "tests/support/", "bench/", "examples/"}


def test_architecture_names_every_wing_and_nothing_that_is_not_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[a-z_0-9]+/)+(?:[a-z_0-9]+\.py)?|app\.py|worker\.py)`", text))

    wings = {f"{path.parent.relative_to(ROOT)}/" for path in _packages()}
    top = {path.name for path in ROOT.glob("*.py")}

    assert {name for name in named if name.endswith("/")} - OTHER_FOLDERS == wings
    assert top <= named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_operations_has_every_setting_with_its_default_and_meaning() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = re.search(r"\| setting \| default \| what \|\n\|[-|]+\|\n((?:\|.*\n)+)", text)

    assert table
    assert table.group(1) == "".join(_row(name) for name in Settings.model_fields)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_inside_the_project_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", document.read_text(encoding="utf-8"))

    missing = [link for link in links if not (document.parent / link).exists()]

    assert missing == []


def test_decisions_are_numbered_without_gaps_and_named_by_their_title() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("*.md"))

    assert [record.name[:4] for record in records] == [
        f"{n:04}" for n in range(1, len(records) + 1)
    ]
    for record in records:
        title = record.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        slug = "-".join(re.findall(r"[a-z0-9]+", title.lower().replace("'", "")))
        assert record.stem == slug
        assert set(re.findall(r"^## (.+)$", record.read_text(), re.MULTILINE)) >= {"Decision"}


def test_no_document_speaks_of_one_machine() -> None:
    for document in DOCUMENTS:
        assert not re.search(r"/(root|work|home/\w+)/", document.read_text(encoding="utf-8"))


def test_the_readmes_first_use_leads_to_an_applied_run(tmp_path: Path) -> None:
    required("curl")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"<!-- tests/test_docs.py [^>]*-->\n```sh\n(.+?)```", text, re.DOTALL)
    assert len(blocks) == 2
    repository = Repository(tmp_path / "network")
    with TemporaryDirectory(prefix="docs") as short, _installation(Path(short), tmp_path) as here:
        script = _with(blocks[0], here, repository)

        done = _said(script)
        wait_until(lambda: _run(here)["status"] == "planned", "the plan", seconds=60)
        settings, _, _ = blocks[0].partition("api /projects")
        shown = _said(_with(settings, here, repository) + f"\nRUN={_run(here)['id']}\n" + blocks[1])
        wait_until(lambda: _run(here)["finished_at"], "the run to end", seconds=60)

        assert done.count("\n") == 3
        assert '"add":1' in shown
        assert _run(here)["status"] == "applied", here.logs()


def _packages() -> Iterator[Path]:
    for folder in CODE_FOLDERS:
        yield from (ROOT / folder).rglob("__init__.py")


@contextmanager
def _installation(folder: Path, repositories: Path) -> Iterator[Stateroom]:
    stateroom = Stateroom(folder, local_repositories=repositories).start()
    try:
        yield stateroom
    finally:
        stateroom.stop()


def _with(script: str, stateroom: Stateroom, repository: Repository) -> str:
    """The script with its first three lines about this installation."""
    lines = script.splitlines()
    assert [line.split("=")[0] for line in lines[:3]] == ["URL", "TOKEN", "REPOSITORY"]
    here = [stateroom.url, stateroom.token, str(repository.folder)]
    given = [
        f"{name}={value}" for name, value in zip(("URL", "TOKEN", "REPOSITORY"), here, strict=True)
    ]
    return "\n".join([*given, *lines[3:]])


def _said(script: str) -> str:
    shell = ["sh", "-euc", script]
    return subprocess.run(shell, capture_output=True, text=True, check=True).stdout


def _run(stateroom: Stateroom) -> dict[str, Any]:
    run: dict[str, Any] = stateroom.api.get("/projects/platform/runs")["items"][0]
    return run


def _row(name: str) -> str:
    field = Settings.model_fields[name]
    default = field.default
    shown = (
        str(default).lower()
        if isinstance(default, bool)
        else f"{default:g}"
        if isinstance(default, float)
        else ""
        if default is None
        else str(default)
    )
    return f"| `{PREFIX}{name.upper()}` | {f'`{shown}`' if shown else ''} | {field.description} |\n"
