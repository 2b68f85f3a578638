"""What the sources ask for, against what the tools themselves refuse."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from runner.detection.required_version import required
from runner.job import ToolName
from runner.tools import constraints
from runner.tools.constraints import Release, WrongVersion
from runner.tools.tool import Tool
from tests.support.tool_run import tool_named, write
from tests.support.tools import environment

OLD, NEW = "~> 0.12", ">= 1.0"  # which no tool of today fits, and which every one does


def asks(version: str) -> str:
    return f'terraform {{\n  required_version = "{version}"\n}}\n'


def language(version: str) -> str:
    return f'language {{\n  compatible_with {{\n    opentofu = "{version}"\n  }}\n}}\n'


# the files of a module, and where terraform and tofu find what they have to obey
MODULES: list[tuple[dict[str, str], list[str], list[str]]] = [
    ({"main.tf": asks(OLD)}, ["main.tf:2"], []),
    ({"a.tf": asks(NEW), "b.tf": "\n" + asks(OLD)}, ["a.tf:2", "b.tf:3"], []),
    ({"main.tf": asks(OLD), "x_override.tf": asks(NEW)}, ["x_override.tf:2"], []),
    ({"main.tf": asks(NEW), "x_override.tf": asks(OLD)}, ["x_override.tf:2"], []),
    (
        {"main.tf": asks(NEW), "a_override.tf": asks(OLD), "b_override.tf": asks(NEW)},
        ["b_override.tf:2"],
        [],
    ),
    ({"main.tf": asks(OLD), "override.tf": "terraform {\n}\n"}, ["main.tf:2"], []),
    ({"main.tofu": asks(OLD)}, [], ["main.tofu:2"]),
    ({"main.tf": asks(OLD), "main.tofu": asks(NEW)}, ["main.tf:2"], ["main.tofu:2"]),
    ({"a.tofu": asks(NEW), "b_override.tofu": asks(OLD)}, [], ["a.tofu:2", "b_override.tofu:2"]),
    ({"main.tf": asks(OLD), "l.tofu": language(NEW)}, ["main.tf:2"], ["l.tofu:3"]),
    ({"l.tofu": language(OLD)}, [], ["l.tofu:3"]),
    ({"l.tofu.json": '{"language": {"compatible_with": {"opentofu": "~> 0.12"}}}'}, [],
     ["l.tofu.json:1"]),
    ({"m.tf.json": '{"terraform": [\n{"required_version": "~> 0.12"}]}'}, ["m.tf.json:2"], []),
    ({"main.tf": '# required_version = "~> 0.12"\n/*\n' + asks(OLD) + "*/\n"}, [], []),
    ({"main.tf": 'locals {\n  required_version = "~> 0.12"\n}\n'}, [], []),
    ({"main.tf": "terraform {\n  required_version = null\n}\n"}, [], []),
    ({"main.tf": "terraform {\n  required_version = 0.12\n}\n"}, ["main.tf:2"], []),
    ({"main.tf": asks(r"\u007e> 0.12")}, ["main.tf:2"], []),
    ({"main.tf": "\ufeff" + asks(OLD)}, ["main.tf:2"], []),
    ({"sub/main.tf": asks(OLD), "main.tf": "locals {}\n"}, [], []),
]  # fmt: skip
PLACES = ["of terraform", "of tofu"]


def module(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        write(folder, name, content)
    return folder


def names(number: int) -> str:
    return "+".join(MODULES[number][0])


@pytest.mark.parametrize("number", range(len(MODULES)), ids=names)
@pytest.mark.parametrize("tool", ["terraform", "tofu"])
def test_what_a_module_asks_for_is_found_with_its_place(
    tmp_path: Path, tool: ToolName, number: int
) -> None:
    files, of_terraform, of_tofu = MODULES[number]

    found = required(module(tmp_path / "m", files), tool)

    assert [one.where for one in found] == (of_terraform if tool == "terraform" else of_tofu)


@pytest.mark.parametrize("number", range(len(MODULES)), ids=names)
@pytest.mark.parametrize("name", ["wheel", "tofu"])
def test_the_tool_refuses_exactly_what_we_find_to_be_wrong(
    tmp_path: Path, name: str, number: int
) -> None:
    tool = tool_named(name)
    folder = module(tmp_path / "m", MODULES[number][0])

    assert refuses(tool, folder) is not accepted(tool, folder)


def accepted(tool: Tool, folder: Path) -> bool:
    asked = constraints.all_of([one.text or "" for one in required(folder, tool.name)])
    return asked.fits(Release(*tool.version))


def refuses(tool: Tool, folder: Path) -> bool:
    done = subprocess.run(
        [*tool.argv, "init", "-input=false", "-no-color"],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout + done.stderr
    for word in ("Unsupported Terraform Core version", "Incompatible module"):
        if word in said:
            return True
    assert "nitialized" in said, said
    return False


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("main.tf", 'terraform {\n  required_version = format("~> %s", "0.12")\n}\n'),
        ("main.tf", 'terraform {\n  required_version = ["~> 0.12"]\n}\n'),
        ("main.tf.json", '{"terraform": {"required_version": ["~> 0.12"]}}'),
        ("main.tf.json", '{"terraform": {"required_version": true}}'),
        ("main.tf.json", '{"terraform": {"required_version": "${a}"}}'),
    ],
)
def test_a_value_that_only_the_tool_can_read_has_a_place_and_no_text(
    tmp_path: Path, name: str, content: str
) -> None:
    [found] = required(module(tmp_path / "m", {name: content}), "terraform")

    assert found.text is None
    with pytest.raises(WrongVersion):
        constraints.constraints(found.text or "")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("main.tf", asks(OLD)[:-3]),
        ("main.tf.json", '{"terraform": {"required_version": '),
        ("main.tf.json", '{"terraform": ' * 100_000),
        ("main.tf", 'terraform {\n  required_version = "~> 0.12\n}\n'),
        ("main.tf", "terraform {\n  required_version\n}\n"),
    ],
    ids=["cut", "cut JSON", "deep JSON", "open string", "no value"],
)
def test_a_file_that_cannot_be_read_never_stops_the_search(
    tmp_path: Path, name: str, content: str
) -> None:
    found = required(module(tmp_path / "m", {name: content, "z.tf": asks(NEW)}), "terraform")

    assert found[-1] == (NEW, "z.tf", 2)
