from __future__ import annotations

from pathlib import Path

import pytest

from runner.job import ToolName, Variable
from runner.tools import encryption
from runner.tools.tool import Tool
from tests.support.tool_run import job, write

BLOCK = "terraform {\n  encryption {\n    state { method = method.aes_gcm.m }\n  }\n}\n"


def encrypts(folder: Path, name: ToolName = "tofu", *variables: Variable) -> bool:
    tool = Tool(name, (name,), (1, 12, 0), "PATH", ())
    return encryption.of_states(folder, tool, job(folder, *variables))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("main.tf", BLOCK),
        ("main.tofu", BLOCK),
        ("main.tf.json", '{"terraform": [{"encryption": {"state": {}}}]}'),
        ("main.tf.json", '{"terraform": {"\\u0065ncryption": [{"state": {}}]}}'),
        ("main.tf.json", '{"terraform": {"encryption": '),
        ("main.tf", BLOCK + "}"),
    ],
)
def test_sources_that_encrypt_their_state_are_seen(tmp_path: Path, name: str, content: str) -> None:
    write(tmp_path, name, content)

    assert encrypts(tmp_path)
    assert not encrypts(tmp_path, "terraform")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("main.tf", 'resource "x" "y" {\n  encryption {\n    state {}\n  }\n}\n'),
        ("main.tf", "# terraform { encryption { state {} } }\n"),
        ("main.tf", "terraform {\n  encryption {\n    plan {}\n  }\n}\n"),
        ("main.tf.json", '{"encryption": {"state": {}}}'),
        ("main.tf.json", '{"terraform": {"encryption": null}, "locals": "encryption"}'),
    ],
)
def test_other_things_of_that_name_are_not_taken_for_it(
    tmp_path: Path, name: str, content: str
) -> None:
    write(tmp_path, name, content)

    assert not encrypts(tmp_path)


def test_a_variable_of_the_workspace_counts(tmp_path: Path) -> None:
    assert encrypts(tmp_path, "tofu", Variable("TF_ENCRYPTION", "x", kind="environment"))
    assert not encrypts(tmp_path, "tofu", Variable("TF_ENCRYPTION", "x"))
