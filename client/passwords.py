"""Passwords of people: typed, or read from a file; never in an argument, which others see."""

from __future__ import annotations

from pathlib import Path

import click

FILE = click.option(
    "--password-file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Read the password there (- for standard input) instead of asking for it.",
)  # fmt: skip


def chosen(file: Path | None) -> str:
    """A new one; who types it does so twice. Raises UsageError."""
    if file is not None:
        return _read(file)
    asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return asked


def known(file: Path | None) -> str:
    """One that the server has. Raises UsageError."""
    if file is not None:
        return _read(file)
    asked: str = click.prompt("Password", hide_input=True, err=True)
    return asked


def _read(file: Path) -> str:
    try:
        with click.open_file(str(file), encoding="utf-8") as opened:
            password: str = opened.read().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file} cannot be read: {error}") from None
    return password
