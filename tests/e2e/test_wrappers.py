"""A folder that another program runs: nothing is injected there without a person's word."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.support.place import Place
from tests.support.project import ROOT
from tests.support.repositories import MODULE, Repository

CASES = ROOT / "tests" / "cases" / "detection"
WRAPPED = sorted(
    path.parent
    for path in CASES.glob("*/expected.json")
    if "wrapper:" in path.read_text(encoding="utf-8")
)


def files_of(case: Path) -> Mapping[str, str]:
    folder = case / "input"
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in paths}


@pytest.mark.parametrize("case", WRAPPED, ids=lambda case: case.name)
def test_a_run_says_which_wrapper_and_where_and_makes_nothing(
    case: Path, run_place: Callable[..., Place]
) -> None:
    expected = json.loads((case / "expected.json").read_text())
    place = run_place(files_of(case), path=expected["path"])

    ended = place.queue("apply").wait("errored")

    assert ended["error"]["code"] == "wrapper-found"
    assert f"{expected['file']}:{expected['line']}" in ended["error"]["message"]
    assert ended["detection"]["verdict"] == expected["verdicts"]["terraform"]
    assert ended["detection"]["file"] == expected["file"]
    assert ended["detection"]["line"] == expected["line"]
    assert place.versions() == []


def test_the_template_names_the_wrapper_and_then_it_runs_with_a_warning(
    run_place: Callable[..., Place], repository: Repository
) -> None:
    place = run_place({"main.tf": MODULE, "stack.tm.hcl": "stack {\n}\n"})
    place.queue("plan").wait("errored")
    place.api.patch(f"/projects/{place.project}/templates/module", ignored_wrappers=["terramate"])

    ended = place.queue("apply").wait("applied")
    repository.commit({"terragrunt.hcl": 'remote_state {\n  backend = "s3"\n}\n'})
    another = place.queue("apply").wait("errored")

    assert "stack.tm.hcl:1: Terramate runs this folder" in " ".join(ended["warnings"])
    assert ("template.update", ["ignored_wrappers"]) in place.audited("fields")
    assert another["error"]["code"] == "wrapper-found"
    assert "terragrunt.hcl:1" in another["error"]["message"]


def test_the_mode_override_is_no_word_about_the_wrapper(run_place: Callable[..., Place]) -> None:
    files = {"main.tf": MODULE, "cdktf.json": '{\n  "app": "make"\n}\n'}
    place = run_place(files, backend_mode="override")

    ended = place.queue("apply").wait("errored")

    assert ended["error"]["code"] == "wrapper-found"
    assert "cdktf.json:2" in ended["error"]["message"]
