"""What `stateroom inspect` says about folders."""

from __future__ import annotations

import json
from pathlib import Path

from runner.recipes.inspection import (
    PLACEHOLDER,
    Finding,
    as_json,
    as_text,
    exit_status,
    inspect_many,
    modules_under,
)
from tests.runner.detection.detection_variants import HIT, PLAIN


def module(folder: Path, text: str, name: str = "main.tf") -> Path:
    folder.mkdir(parents=True)
    (folder / name).write_text(text)
    return folder


def only(path: Path) -> Finding:
    (finding,) = inspect_many([path], "terraform")
    return finding


def test_a_folder_without_a_backend_shows_the_file_that_a_run_would_write(tmp_path: Path) -> None:
    folder = module(tmp_path / "net", PLAIN)

    finding = only(folder)

    said = as_json(finding)
    assert said["verdict"] == "none"
    assert said["inject"] is True
    assert said["override_file"] == "zz_backend_override.tf"
    assert PLACEHOLDER in str(said["text"])
    assert "zz_backend_override.tf" in as_text(finding)
    assert f'      address        = "{PLACEHOLDER}"' in as_text(finding)
    assert not list(folder.glob("*override*"))


def test_a_folder_with_a_backend_shows_where_it_is(tmp_path: Path) -> None:
    finding = only(module(tmp_path / "net", HIT))

    said = as_json(finding)
    assert said == {
        "path": str(tmp_path / "net"),
        "tool": "terraform",
        "verdict": "backend:hit",
        "explicit": True,
        "file": "main.tf",
        "line": 2,
        "why": 'backend "hit"',
        "inject": False,
        "override_file": None,
        "text": None,
        "warnings": [],
        "error": None,
    }
    assert "main.tf:2" in as_text(finding)


def test_a_path_that_cannot_be_read_gets_a_row_and_the_others_follow(tmp_path: Path) -> None:
    paths = [tmp_path / "gone", module(tmp_path / "net", PLAIN), Path(__file__)]

    findings = list(inspect_many(paths, "terraform"))

    assert [as_json(f)["verdict"] for f in findings] == [None, "none", None]
    assert [f.exit_status for f in findings] == [2, 0, 2]
    assert "folder-unreadable" in as_text(findings[0])


def test_the_exit_status_is_that_of_the_worst_finding(tmp_path: Path) -> None:
    fine = module(tmp_path / "fine", PLAIN)
    conflict = module(tmp_path / "conflict", HIT + HIT)
    empty = module(tmp_path / "empty", "", "README.md")

    def status(*paths: Path) -> int:
        return exit_status(inspect_many(paths, "terraform"))

    assert status() == 0
    assert status(fine) == 0
    assert status(fine, conflict) == 1
    assert status(empty, fine) == 1
    assert status(conflict, tmp_path / "gone", fine) == 2


def test_findings_can_always_be_printed(tmp_path: Path) -> None:
    folder = module(tmp_path / "a\udcffb\x1b[2J\n", HIT, "\udcff.tf")

    finding = only(folder)

    assert all(line.isprintable() for line in as_text(finding).splitlines())
    assert len(as_text(finding).splitlines()) == 3
    json.dumps(as_json(finding), ensure_ascii=False).encode()


def test_every_module_below_a_folder_is_found(tmp_path: Path) -> None:
    module(tmp_path / "b", PLAIN)
    module(tmp_path / "a" / "deep", PLAIN, "main.tofu.json")
    module(tmp_path / "docs", "x", "README.md")
    module(tmp_path / ".terraform" / "modules" / "x", PLAIN)
    (tmp_path / "b" / "circle").symlink_to(tmp_path)

    found = [path.relative_to(tmp_path).as_posix() for path in modules_under(tmp_path)]

    assert found == ["a/deep", "b"]


def test_a_wrapper_is_said_with_its_place_and_its_folder_cannot_run(tmp_path: Path) -> None:
    folder = module(tmp_path / "net", PLAIN)
    (folder / "terragrunt.hcl").write_text('\nremote_state {\n  backend = "s3"\n}\n')

    finding = only(folder)
    (ignoring,) = inspect_many([folder], "terraform", ignored_wrappers=["terragrunt"])

    said = as_json(finding)
    assert (said["verdict"], said["file"], said["line"]) == (
        *("wrapper:terragrunt", "terragrunt.hcl", 2),
    )
    assert said["error"] is not None
    assert said["error"]["code"] == "wrapper-found"
    assert finding.exit_status == 1
    assert as_json(ignoring)["inject"] is True


def test_terraform_workspace_is_said_with_its_place_except_for_cloud(tmp_path: Path) -> None:
    use = 'locals {\n  a = "${terraform.workspace}"\n}\n'
    here = only(module(tmp_path / "here", PLAIN + use))
    cloud = only(module(tmp_path / "cloud", "terraform {\n  cloud {\n  }\n}\n" + use))

    (warning,) = as_json(here)["warnings"]
    assert "main.tf:4 uses terraform.workspace" in warning
    assert as_json(cloud)["warnings"] == []
