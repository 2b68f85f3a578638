"""Passwords of people: typed, or read from a file."""

from __future__ import annotations

from pathlib import Path

import click

from stateroom import secret_files

FILE = secret_files.option(
    "--password-file",
    "Read the password from this file (- for standard input) instead of asking for it.",
)


def chosen(file: Path | None) -> str:
    """A new one; who types it does so twice. Raises UsageError."""
    if file is not None:
        return secret_files.read(file)
    asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return asked


def known(file: Path | None) -> str:
    """One that the server has. Raises UsageError."""
    if file is not None:
        return secret_files.read(file)
    asked: str = click.prompt("Password", hide_input=True, err=True)
    return asked
