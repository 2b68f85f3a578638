"""Where the sources use terraform.workspace, which is always "default" here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from runner.detection.cli_workspace import first_use_in_modules
from runner.detection.detect import inspect

USE = 'locals {\n  name = "net-${terraform.workspace}"\n}\n'
CALL = 'module "a" {\n  source = "./modules/a"\n}\n'


def used(root: Path, files: Mapping[str, str], folder: str = ".") -> str | None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (root / ".git").mkdir()
    return inspect(root / folder, "terraform").workspace_at


@pytest.mark.parametrize(
    "text",
    [
        "locals {\n  a = terraform.workspace\n}\n",
        "locals {\n  a = 1 + 1 # }\n  b = terraform . workspace == 2\n}\n".replace("1 +", "1 +"),
        USE,
        "locals {\n  a = <<-E\n    ${upper(terraform.workspace)}\n  E\n}\n",
        'locals {\n  a = "${"${terraform.workspace}"}"\n}\n',
    ],
)
def test_a_use_is_found(text: str, tmp_path: Path) -> None:
    found = used(tmp_path, {"main.tf": text})

    assert found is not None
    assert found.startswith("main.tf:")


@pytest.mark.parametrize(
    "text",
    [
        "# terraform.workspace\n",
        "/* terraform.workspace\n*/\n",
        'locals {\n  a = "terraform.workspace"\n}\n',
        'locals {\n  a = "$${terraform.workspace}"\n}\n',
        "locals {\n  a = <<E\nterraform.workspace\nE\n}\n",
        "locals {\n  a = local.terraform.workspace\n}\n",
        "locals {\n  a = terraform.workspaces\n}\n",
    ],
)
def test_what_only_looks_like_one_is_not(text: str, tmp_path: Path) -> None:
    assert used(tmp_path, {"main.tf": text}) is None


def test_local_modules_are_looked_at_too_and_the_place_is_said(tmp_path: Path) -> None:
    files = {
        "live/main.tf": 'module "a" {\n  source = "../modules/a"\n}\n',
        "modules/a/main.tf": 'module "b" {\n  source = "./b"\n}\n',
        "modules/a/b/x.tf": f"\n{USE}",
    }

    assert used(tmp_path, files, "live") == "../modules/a/b/x.tf:3"


def test_a_module_that_nobody_calls_does_not_count(tmp_path: Path) -> None:
    files = {"main.tf": f"/*\n{CALL}*/\n", "modules/a/main.tf": USE}

    assert used(tmp_path, files) is None


def test_json_has_it_in_its_strings(tmp_path: Path) -> None:
    files = {
        "main.tf.json": json.dumps({"module": {"a": {"source": "./modules/a"}}}),
        "modules/a/main.tf.json": json.dumps({"locals": {"n": "${terraform.workspace}"}}),
    }

    assert used(tmp_path, files) == "modules/a/main.tf.json:1"


def test_modules_that_call_each_other_or_leave_the_repository_end(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "main.tf").write_text(USE)
    back = 'module "a" {\n  source = "../a"\n}\nmodule "o" {\n  source = "../../outside"\n}\n'
    files = {"a/main.tf": 'module "b" {\n  source = "../b"\n}\n', "b/main.tf": back}

    assert used(tmp_path / "repository", files, "a") is None


def test_modules_that_init_has_fetched_are_read_by_its_index(tmp_path: Path) -> None:
    folder, fetched = tmp_path / "source", tmp_path / "data" / "modules" / "net"
    for path in (folder, fetched):
        path.mkdir(parents=True)
    (fetched / "main.tf").write_text(USE)
    index = {"Modules": [{"Key": "", "Dir": "."}, {"Key": "net", "Dir": "../data/modules/net"}]}
    (fetched.parent / "modules.json").write_text(json.dumps(index))

    found = first_use_in_modules(tmp_path / "data", folder, "terraform", (1, 11, 4))

    assert found == "net/main.tf:2"


@pytest.mark.parametrize("index", ["", "{", "[]", '{"Modules": 1}', '{"Modules": [{"Key": "a"}]}'])
def test_an_index_that_says_nothing_is_no_error(index: str, tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "modules.json").write_text(index)

    assert first_use_in_modules(tmp_path, tmp_path, "terraform", None) is None
