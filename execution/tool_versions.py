"""The versions of tools that a template may ask for: the runner's rules, for the server."""

from __future__ import annotations

from backend.errors import Invalid
from runner.tools import constraints


def check(version: str) -> None:
    """Raise Invalid for a text that asks for no version."""
    if version == constraints.AUTO:
        return
    try:
        constraints.wanted(version)
    except constraints.WrongVersion as error:
        raise Invalid(str(error), code="tool-version-invalid", field="tool_version") from None
