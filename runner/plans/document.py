"""The JSON of a saved plan (`show -json`), as far as it is read.

The document has the values of each resource up to five times, so nearly all of it is skipped, and
what is needed is decoded piece by piece from the file.
"""

from __future__ import annotations

import json
import math
import mmap
import os
from typing import IO, Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from runner.errors import ToolError

T = TypeVar("T")

_MAJORS = ("0", "1")  # of the format; 0.2 is that of terraform 1.0


class Importing(Struct, frozen=True):
    id: str | None = None


class ChangeHead(Struct, frozen=True):
    """What is to be done to a thing. The marks are true where a value is sensitive."""

    actions: tuple[str, ...]
    before_sensitive: Raw = Raw(b"false")
    after_sensitive: Raw = Raw(b"false")
    importing: Importing | None = None


class ChangeBody(Struct, frozen=True):
    """The values. What is not known before the apply is missing in `after`."""

    before: Any = None
    after: Any = None
    after_unknown: Any = None
    before_sensitive: Any = None
    after_sensitive: Any = None
    replace_paths: Any = None


class Entry(Struct, frozen=True):
    """One object of `resource_changes` or `resource_drift`."""

    address: str
    mode: str
    type: str
    name: str
    change: ChangeHead
    provider_name: str = ""
    previous_address: str | None = None
    deposed: str | None = None
    action_reason: str | None = None


class EntryBody(Struct, frozen=True):
    change: Raw


class Trigger(Struct, frozen=True):
    triggering_resource_address: str = ""
    action_trigger_event: str = ""


class Invocation(Struct, frozen=True):
    """An action (terraform 1.14 and later) that the apply invokes."""

    address: str
    type: str = ""
    provider_name: str = ""
    lifecycle_action_trigger: Trigger | None = None


class GivenVariable(Struct, frozen=True):
    value: Raw = Raw(b"null")


class DeclaredVariable(Struct, frozen=True):
    sensitive: bool = False


class _Module(Struct, frozen=True):
    variables: dict[str, DeclaredVariable] = {}


class _Configuration(Struct, frozen=True):
    root_module: _Module = _Module()


class Document(Struct, frozen=True):
    """A whole plan. The raw parts are views of the file."""

    format_version: str
    terraform_version: str = ""
    variables: dict[str, GivenVariable] = {}
    resource_changes: tuple[Raw, ...] = ()
    resource_drift: tuple[Raw, ...] = ()
    output_changes: dict[str, Raw] = {}
    action_invocations: tuple[Invocation, ...] = ()
    configuration: _Configuration = _Configuration()


def opened(file: IO[bytes]) -> tuple[mmap.mmap, Document]:
    """The bytes of a file, and the plan in it. The file may be closed. Raises ToolError."""
    file.flush()
    if os.fstat(file.fileno()).st_size == 0:
        raise _unreadable("it is empty")
    content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    document = decoded(content, Document)
    if document.format_version.partition(".")[0] not in _MAJORS:
        raise _unreadable(f"its format {document.format_version[:20]!r} is not known")
    return content, document


def decoded(content: mmap.mmap | Raw | bytes, what: type[T]) -> T:
    """A part of a plan. Raises ToolError `plan-json-unreadable`."""
    try:
        return msgspec.json.decode(content, type=what)
    except RecursionError:
        raise _unreadable("a value in it is nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _unreadable(str(error)) from None


def value_of(content: Raw) -> Any:
    """Any value of a plan. A number that is too large for a float is its text."""
    try:
        return decoded(content, object)
    except ToolError:
        return _loosely(bytes(content))


def body_of(content: Raw) -> ChangeBody:
    """The values of a change. Raises ToolError."""
    try:
        return decoded(content, ChangeBody)
    except ToolError:
        return msgspec.convert(_loosely(bytes(content)), ChangeBody)


def _loosely(content: bytes) -> Any:
    try:
        found = json.loads(content, parse_float=_number)
        msgspec.json.encode(found)  # else there is something in it that is no text
    except RecursionError:
        raise _unreadable("a value in it is nested too deeply") from None
    except ValueError as error:
        raise _unreadable(str(error)) from None
    return found


def _number(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _unreadable(why: str) -> ToolError:
    return ToolError(
        "plan-json-unreadable", f"The plan as JSON, which the tool wrote, cannot be read: {why}."
    )
