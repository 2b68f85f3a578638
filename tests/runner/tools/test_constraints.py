"""Which versions fit a text, and that the tools judge the same way."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from runner.tools import constraints
from runner.tools.constraints import Release, WrongVersion
from runner.tools.tool import Tool
from tests.support.tool_run import tool_named, write
from tests.support.tools import environment

# what a text says about a version
JUDGED = [
    ("1.9.5", "1.9.5", True),
    ("1.9.5", "1.9.6", False),
    ("= 1.9.5", "1.9.5", True),
    ("=1.9", "1.9.0", True),
    ("1.9", "1.9.1", False),
    ("1", "1.0.0", True),
    ("v1.9.5", "1.9.5", True),
    ("!= 1.9.5", "1.9.5", False),
    ("!= 1.9.5", "1.9.4", True),
    ("> 1.9.5", "1.9.5", False),
    ("> 1.9", "1.9.1", True),
    (">= 1.9.5", "1.9.5", True),
    (">= 1.10", "1.9.9", False),
    ("< 1.9.5", "1.9.4", True),
    ("< 2", "2.0.0", False),
    ("<= 1.9.5", "1.9.5", True),
    ("<= 1.9", "1.9.1", False),
    ("~> 1.9", "1.9.0", True),
    ("~> 1.9", "1.15.5", True),
    ("~> 1.9", "1.8.9", False),
    ("~> 1.9", "2.0.0", False),
    ("~> 1.9.2", "1.9.9", True),
    ("~> 1.9.2", "1.9.1", False),
    ("~> 1.9.2", "1.10.0", False),
    ("~> 1", "2.5.0", True),
    ("~> 1.9.2.0", "1.9.2", False),
    ("1.9.2.0", "1.9.2", True),
    (">= 1.9.2.1", "1.9.2", False),
    (">= 1.8, < 2", "1.15.5", True),
    (">= 1.8, < 2", "2.0.0", False),
    (">=1.8,<2,!=1.9.3", "1.9.3", False),
    ("  >= 1.8  ,  < 2  ", "1.9.0", True),
    (">= 1.9.5+meta", "1.9.5", True),
]
# what no tool takes for a version
WRONG = ["", " ", "latest", "1.x", ">= ", "=> 1.9", "~ 1.9", "^1.9", "1.9,", "1..9", ">= 1.9 < 2",
         ">= 1.9; < 2", "1.9 || 1.10", "99999999999999999999"]  # fmt: skip
PRERELEASES = [">= 1.9.0-rc1", "1.9.0-beta1", "~> 1.9.0rc1"]


def fits(text: str, version: str) -> bool:
    found = constraints.release(version)
    assert found is not None
    return all(one.fits(found) for one in constraints.constraints(text))


@pytest.mark.parametrize(("text", "version", "fitting"), JUDGED)
def test_a_constraint_says_which_versions_fit(text: str, version: str, *, fitting: bool) -> None:
    assert fits(text, version) is fitting


@pytest.mark.parametrize("text", [*WRONG, *PRERELEASES, "1" * 300])
def test_a_text_that_is_no_constraint_is_refused(text: str) -> None:
    with pytest.raises(WrongVersion):
        constraints.constraints(text)


def said_by_the_tool(tool: Tool, folder: Path, text: str) -> str:
    """fits, does not, or invalid: what init says about a module that asks for this version."""
    folder.mkdir()
    write(folder, "main.tofu" if tool.name == "tofu" else "main.tf", asking_for(text))
    done = run_init(tool, folder)
    if "Invalid version constraint" in done or "Invalid required_version constraint" in done:
        return "invalid"
    if "Unsupported Terraform Core version" in done or "Incompatible module" in done:
        return "does not"
    assert "successfully initialized" in done, done
    return "fits"


def asking_for(text: str) -> str:
    return f'terraform {{\n  required_version = "{text}"\n}}\n'


def run_init(tool: Tool, folder: Path) -> str:
    from subprocess import run  # noqa: PLC0415

    done = run(
        [*tool.argv, "init", "-input=false", "-no-color"],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def around(version: Release) -> list[str]:
    """Texts of every operator and length, just below, at and above the tool's own version."""
    major, minor, patch = version.numbers
    near = [f"{major}", f"{major}.{minor}", f"{major}.{minor}.{patch}", f"{major}.{minor + 1}"]
    near += [f"{major}.{minor}.{patch + 1}", f"{major}.{minor - 1}", f"{major}.{minor}.{patch}.0"]
    near += [f"{major}.{minor}.{patch}.1", f"{major - 1}.99", f"{major + 1}"]
    return [f"{operator} {n}" for operator in ("", "!=", ">", ">=", "<", "<=", "~>") for n in near]


@pytest.mark.parametrize("name", ["wheel", "tofu"])
def test_the_tool_itself_judges_every_constraint_the_same_way(tmp_path: Path, name: str) -> None:
    tool = tool_named(name)
    version = Release(*tool.version)
    texts = [*around(version), *WRONG, *PRERELEASES, *{text for text, _, _ in JUDGED}]

    differ = {}
    for number, text in enumerate(texts):
        theirs = said_by_the_tool(tool, tmp_path / f"{number}", text)
        try:
            ours = "fits" if fits(text, str(version)) else "does not"
        except WrongVersion:
            ours = "invalid"
        shutil.rmtree(tmp_path / f"{number}")
        if ours != theirs:
            differ[text] = (ours, theirs)

    assert differ == {}


@pytest.mark.parametrize(
    ("text", "version", "fitting"),
    [
        ("1.9", "1.9.7", True),
        ("1.9", "1.10.0", False),
        ("1", "1.10.0", True),
        ("1.9.7", "1.9.7", True),
        ("latest", "1.0.0", True),
        ("latest", "1.10.0-beta1", False),
        ("~> 1.9", "1.10.0-beta1", False),
        ("1.10", "1.10.0-rc2", False),
        ("1.10.0-beta1", "1.10.0-beta1", True),
        ("1.10.0-beta1", "1.10.0", False),
        ("1.10.0", "1.10.0-beta1", False),
        ("~> 1.9", "1.10.0-dev", True),
        (" >= 1.8, < 2 ", "1.9.0", True),
    ],
)
def test_the_version_of_a_template_may_be_a_part_of_one_and_a_prerelease_only_in_full(
    text: str, version: str, *, fitting: bool
) -> None:
    found = constraints.release(version)

    assert found is not None
    assert constraints.wanted(text).fits(found) is fitting


@pytest.mark.parametrize("text", ["", "newest", "1.2.3.4", ">= 1.10.0-beta1", "1.2.3; rm", "a\nb"])
def test_a_template_cannot_ask_for_what_is_no_version(text: str) -> None:
    with pytest.raises(WrongVersion):
        constraints.wanted(text)


def test_versions_are_ordered_as_they_were_released() -> None:
    order = ["1.2.9", "1.10.0-alpha2", "1.10.0-beta1", "1.10.0-rc1", "1.10.0", "1.10.1"]
    found = [constraints.release(text) for text in reversed(order)]

    assert [str(v) for v in sorted((v for v in found if v), key=lambda v: v.age)] == order


def test_a_message_about_several_texts_is_one_line() -> None:
    asked = constraints.all_of(["~>\n1.9", "< 2"])

    assert not re.search(r"\n", asked.text)
    assert asked.fits(Release(1, 9, 3))
    assert not asked.fits(Release(2, 0, 0))
