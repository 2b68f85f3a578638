"""docs/operations.md: its commands are those of the command line, its contents are its chapters."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from stateroom.main import main
from tests.support.project import ROOT

TEXT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def _examples() -> Iterator[str]:
    """Every `stateroom …` in a block of commands, without what a shell does with it."""
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|;|\|", line):
                words = shlex.split(part, comments=True)
                if words and words[0].rpartition("/")[2] == "stateroom":
                    yield shlex.join(_before_redirection(words[1:]))


def _before_redirection(words: list[str]) -> list[str]:
    return words[: words.index(">")] if ">" in words else words


def _inline() -> Iterator[str]:
    """The beginnings of commands that are named in the text."""
    plain = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
    for found in re.findall(r"`stateroom ([a-z][^`]*)`", plain):
        words = found.split()
        yield " ".join(word for word in words if re.fullmatch(r"-{0,2}[a-z][a-z-]*", word))


def _parsed(words: list[str]) -> tuple[click.Command, list[str], click.Context]:
    """The command that the first words name, and what is left for it."""
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no command {words[0]!r}"
        command, words = found, words[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    return command, words, context


@pytest.mark.parametrize("example", sorted(set(_examples())))
def test_every_command_in_a_block_is_one_that_the_command_line_takes(example: str) -> None:
    command, words, context = _parsed(shlex.split(example))

    given, extra, _ = command.make_parser(context).parse_args(list(words))

    assert not isinstance(command, click.Group)
    assert extra == []
    missing = [
        param.name
        for param in command.params
        if param.required and not param.envvar and given.get(str(param.name)) is None
    ]
    assert missing == []


@pytest.mark.parametrize("named", sorted(set(_inline())))
def test_every_command_in_the_text_is_there(named: str) -> None:
    command, words, _ = _parsed(named.split())

    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_contents_are_the_chapters() -> None:
    listed = re.findall(r"^- \[(.+)\]\(#(.+)\)$", TEXT.partition("\n## ")[0], re.MULTILINE)
    chapters = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)

    assert [title for title, _ in listed] == chapters
    for title, anchor in listed:
        assert anchor == re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd here")
    unit = re.search(r"```ini\n(\[Unit\].*?)```", TEXT, re.DOTALL)
    assert unit
    file = tmp_path / "stateroom.service"
    there = unit[1].replace("/opt/stateroom/bin/stateroom", "/bin/true")
    file.write_text(re.sub(r"^(User|Group)=.*$", r"\1=root", there, flags=re.MULTILINE))

    done = subprocess.run(
        [analyze, "verify", "--man=no", str(file)], capture_output=True, text=True, check=False
    )

    assert [line for line in done.stderr.splitlines() if file.name in line] == []
