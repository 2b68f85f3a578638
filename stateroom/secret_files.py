"""What is secret comes from a file, or is typed; never from an argument, which others see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def option(
    name: str, text: str, *, required: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option that names such a file; `-` is standard input."""
    kind = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
    return click.option(name, type=kind, required=required, help=text)


def read(file: Path) -> str:
    """What is in it, without the line end at its end. Raises UsageError."""
    return content(file).rstrip("\r\n")


def content(file: Path) -> str:
    """What is in it, to the last letter. Raises UsageError."""
    try:
        with click.open_file(str(file), encoding="utf-8") as opened:
            found: str = opened.read()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file} cannot be read: {error}") from None
    return found
