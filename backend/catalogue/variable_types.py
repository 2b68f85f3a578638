"""What the value of a variable has to be, by its type, and what is said of one that is taken."""

from __future__ import annotations

import re
from collections.abc import Iterator

import hcl2
from lark.exceptions import LarkError

from backend.errors import Invalid
from backend.offload import off_loop

TYPES = ("string", "number", "bool", "hcl", "file")
MAX_VALUE_BYTES = 100_000  # Linux allows 131,072 bytes for one variable
SHORTEST_SECRET = 6  # characters: a log masks only whole words that are shorter

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_MOST_PARSED = 10_000  # characters: parsing them takes a sixth of a second
_OF_BACKENDS = ("TF_HTTP_", "TF_CLOUD_")  # as in runner/tools/environment.py
_DEEPEST = 50  # brackets in one another; the parser calls itself for each


def check_type(kind: str, name: str, value_type: str) -> None:
    """Raises Invalid for a type that a variable of this kind cannot have."""
    if value_type not in TYPES:
        raise _invalid(f"There is no type {value_type!r}: it is one of {', '.join(TYPES)}.")
    if kind == "environment" and value_type == "hcl":
        raise _invalid("An environment variable is no expression: it cannot have the type hcl.")
    if value_type == "file" and kind == "backend_config":
        raise _invalid("Only terraform and environment variables can have the type file.")
    if value_type == "file" and len(name.encode()) > 255:
        raise _invalid("The name of a variable of the type file may have at most 255 bytes.")


def check_value(value_type: str, value: str) -> None:
    """Raises Invalid for what no variable of this type can have as its value."""
    if len(value.encode()) > MAX_VALUE_BYTES or "\0" in value:
        raise _invalid(f"A value may have at most {MAX_VALUE_BYTES:,} bytes, and no NUL.")
    if value_type == "number" and not _NUMBER.fullmatch(value):
        raise _invalid("The value is no number: write it like 3, -0.5 or 1e6.")
    if value_type == "bool" and value not in ("true", "false"):
        raise _invalid("The value of a bool is true or false.")
    if value_type == "hcl":
        _check_expression(value)


def warnings(kind: str, name: str, value: str, *, sensitive: bool) -> list[str]:
    """What a person should know who sets this value."""
    return list(_warnings(kind, name, value, sensitive=sensitive))


def _warnings(kind: str, name: str, value: str, *, sensitive: bool) -> Iterator[str]:
    if sensitive and len(value.strip()) < SHORTEST_SECRET:
        yield (
            f"The value is too short to be hidden in a log: one with less than {SHORTEST_SECRET} "
            "characters may be seen in what the tool prints."
        )
    if value.endswith(("\n", "\r")) and len(value.splitlines()) == 1:
        yield (
            "The value is one line with a line break at its end, which programs take as a part of "
            "it. Set it without one, unless that is meant."
        )
    elif sensitive and value != value.strip() and len(value.splitlines()) == 1:
        yield "The value begins or ends with a space, which programs take as a part of it."
    if kind == "environment" and name.startswith(_OF_BACKENDS):
        yield (
            f"{name} is for the backend that the sources configure. A run whose state is kept here "
            "does not get it."
        )


def _check_expression(value: str) -> None:
    """Raises Invalid for what is clearly no expression. The tool has the last word."""
    if not value.strip():
        raise _invalid("The value is empty: an expression is needed, for example null or [].")
    if not value.isascii() or len(value) > _MOST_PARSED or _depth(value) > _DEEPEST:
        return  # the parser does not know all letters, or would take too long
    try:
        parsed = off_loop(hcl2.loads, f"value = (\n{value}\n)\n")
    except (LarkError, RecursionError) as error:
        line = getattr(error, "line", 0)
        where = f" (line {line - 1})" if isinstance(line, int) and line > 1 else ""
        raise _invalid(f"The value cannot be read as an HCL expression{where}.") from None
    if {name for name in parsed if not name.startswith("__")} != {"value"}:
        raise _invalid("The value is more than one HCL expression.")


def _depth(value: str) -> int:
    """How many brackets may be open at once."""
    deepest = depth = 0
    for letter in value:
        depth += (letter in "([{") - (letter in ")]}")
        deepest = max(deepest, depth)
    return deepest


def _invalid(message: str) -> Invalid:
    return Invalid(message, code="variable-invalid")
