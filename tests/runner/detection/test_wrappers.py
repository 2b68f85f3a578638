"""The programs that run the tool in a folder, and tell it where its state is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest

from backend.catalogue import templates
from runner.detection.detect import Surroundings, inspect
from runner.detection.override import plan_override
from runner.detection.wrappers import WRAPPERS, WrapperName, find
from runner.errors import DetectionError
from runner.job import Backend, BackendMode

MAIN = 'resource "terraform_data" "a" {\n}\n'
S3 = 'terraform {\n  backend "s3" {\n    bucket = "states"\n  }\n}\n'
UNIT = 'include "root" {\n  path = find_in_parent_folders("root.hcl")\n}\n'
ROOT = 'remote_state {\n  backend = "s3"\n}\n'
OURS = Backend("http://state", "http://state", "http://state", "run", "secret")


def repository(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (root / ".git").mkdir(exist_ok=True)
    return root


def refusal(folder: Path, mode: BackendMode, *ignored: str) -> DetectionError | None:
    verdict = inspect(folder, "terraform", around=Surroundings(ignored=ignored))
    try:
        plan_override(folder, "terraform", (1, 11, 4), verdict, mode, OURS, None)
    except DetectionError as refused:
        return refused
    return None


def test_the_server_knows_the_same_wrappers_as_the_runner() -> None:
    assert templates.WRAPPERS == WRAPPERS == get_args(WrapperName)


@pytest.mark.parametrize("mode", ["auto", "override"])
def test_nothing_is_injected_below_a_wrapper_and_the_message_says_what_to_do(
    mode: BackendMode, tmp_path: Path
) -> None:
    root = repository(tmp_path, {"net/main.tf": MAIN, "net/terragrunt.hcl": UNIT, "root.hcl": ROOT})

    refused = refusal(root / "net", mode)

    assert refused is not None
    assert refused.code == "wrapper-found"
    for words in (
        *("../root.hcl:1", "Terragrunt", "terragrunt state pull", "states push --import"),
        *("--ignore-wrapper terragrunt", 'ignored_wrappers: ["terragrunt"]'),
    ):
        assert words in refused.message


def test_a_wrapper_that_a_person_names_does_not_count_and_others_do(tmp_path: Path) -> None:
    files = {"main.tf": MAIN, "terragrunt.hcl": ROOT, "stack.tm.hcl": "stack {\n}\n"}
    root = repository(tmp_path, files)

    first, second = refusal(root, "auto"), refusal(root, "auto", "terragrunt")
    verdict = inspect(root, "terraform", around=Surroundings(ignored=("terragrunt", "terramate")))

    assert first is not None
    assert "--ignore-wrapper terragrunt" in first.message
    assert second is not None
    assert "--ignore-wrapper terramate" in second.message
    assert refusal(root, "auto", "terragrunt", "terramate") is None
    assert str(verdict) == "none"
    assert [w.split(": ")[0] for w in verdict.warnings] == ["terragrunt.hcl:1", "stack.tm.hcl:1"]


def test_a_backend_of_the_sources_is_used_as_before_with_a_warning(tmp_path: Path) -> None:
    root = repository(tmp_path, {"main.tf": MAIN, "backend.tf": S3, "terragrunt.hcl": ROOT})

    verdict = inspect(root, "terraform")
    refused = refusal(root, "override")

    assert (str(verdict), verdict.where) == ("backend:s3", "backend.tf:2")
    assert "terragrunt.hcl:1: Terragrunt runs this folder" in " ".join(verdict.warnings)
    assert refusal(root, "auto") is None
    assert refused is not None
    assert refused.code == "wrapper-found"


def test_a_folder_that_only_a_wrapper_fills_says_so_and_not_that_it_is_empty(
    tmp_path: Path,
) -> None:
    root = repository(tmp_path, {"terragrunt.hcl": UNIT})

    refused = refusal(root, "off")

    assert refused is not None
    assert refused.code == "wrapper-found"
    assert "no file that terraform would read" in refused.message
    ignoring = refusal(root, "auto", "terragrunt")
    assert ignoring is not None
    assert ignoring.code == "nothing-to-run"


def test_parents_are_looked_at_up_to_the_root_of_the_repository_only(tmp_path: Path) -> None:
    (tmp_path / "root.hcl").write_text(ROOT)
    root = repository(tmp_path / "repository", {"net/main.tf": MAIN})

    assert str(inspect(root / "net", "terraform")) == "none"

    (root / "root.hcl").write_text(ROOT)
    assert str(inspect(root / "net", "terraform")) == "wrapper:terragrunt"


def test_parents_of_a_folder_in_no_repository_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "root.hcl").write_text(ROOT)
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "main.tf").write_text(MAIN)

    assert str(inspect(tmp_path / "net", "terraform")) == "none"


def test_a_commented_block_is_no_block_and_a_broken_file_is_one_that_may_have_it(
    tmp_path: Path,
) -> None:
    commented = '/*\ngenerate_hcl "backend.tf" {\n}\n*/\nterramate {\n}\n'
    root = repository(tmp_path, {"main.tf": MAIN, "a.tm.hcl": commented})
    assert find(root) == []

    (root / "a.tm.hcl").write_text('x = "\ngenerate_hcl "backend.tf" {\n')
    (found,) = find(root)

    assert found.where == "a.tm.hcl:2"


def test_a_file_that_cannot_be_read_counts_and_is_not_waited_for(tmp_path: Path) -> None:
    root = repository(tmp_path, {"main.tf": MAIN})
    os.mkfifo(root / "stack.tm.hcl")
    (root / "root.hcl").symlink_to("/dev/zero")

    assert [wrapper.name for wrapper in find(root)] == ["terragrunt", "terramate"]


def test_the_place_is_where_the_state_is_configured(tmp_path: Path) -> None:
    providers = 'generate "provider" {\n  path = "provider.tf"\n}\n'
    files = {"a/main.tf": MAIN, "a/terragrunt.hcl": UNIT + providers, "root.hcl": ROOT}
    files |= {"a/x.tm.hcl": 'generate_hcl "provider.tf" {\n}\n', "x.tm.hcl": f"{GENERATED}\n"}
    root = repository(tmp_path, files)

    places = {wrapper.name: wrapper.where for wrapper in find(root / "a")}

    assert places == {"terragrunt": "../root.hcl:1", "terramate": "../x.tm.hcl:1"}


GENERATED = 'generate_hcl "x.tf" {\n  content {\n    terraform {\n      cloud {}\n    }\n  }\n}'
