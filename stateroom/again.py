"""Commands that are printed for somebody to type."""

from __future__ import annotations

import shlex
from urllib.parse import unquote

import click
from click.core import ParameterSource

_OPTIONS = {"url": "--url", "token_file": "--token-file", "data_dir": "--data-dir"}


def command(*words: str) -> str:
    """`stateroom WORDS`, with the options that led the running command to its server and project.

    What came from the environment is there for the next command too, and is left out.
    """
    context = click.get_current_context()
    typed = ["stateroom", *words]
    for name, option in {**_OPTIONS, "project": "--project"}.items():
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            value = str(context.params[name])
            typed += [option, _name(value) if name == "project" else value]
    return shlex.join(typed)


def _name(path: str) -> str:
    """The project's, of the path that the option was turned into."""
    return unquote(path.rpartition("/")[2])
