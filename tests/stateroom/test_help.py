"""What `--help` says, of every command there is."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from stateroom.main import REMOTE, main


def _all_commands(
    group: click.Group = main, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*words, name), command
        if isinstance(command, click.Group):
            yield from _all_commands(command, (*words, name))


COMMANDS = dict(_all_commands())
GROUPS = [words for words, command in COMMANDS.items() if isinstance(command, click.Group)]


@pytest.mark.parametrize("words", [(), *GROUPS], ids=" ".join)
def test_a_group_lists_its_commands_with_nothing_cut(words: tuple[str, ...]) -> None:
    said = CliRunner().invoke(main, [*words, "--help"]).output

    _, _, listed = said.rpartition("Options:")
    assert listed.count("...") == 0


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_does(words: tuple[str, ...]) -> None:
    options = [one for one in COMMANDS[words].params if isinstance(one, click.Option)]

    assert [one.name for one in options if not one.hidden and not one.help] == []


@pytest.mark.parametrize(
    "words",
    [words for words in COMMANDS if words[-1] == "list" and words[0] in REMOTE],
    ids=" ".join,
)
def test_every_list_of_a_server_may_be_limited(words: tuple[str, ...]) -> None:
    assert "limit" in {one.name for one in COMMANDS[words].params}
