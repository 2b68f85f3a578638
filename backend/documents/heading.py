"""The heading of a state document: its version, serial, lineage and whether it is encrypted.

There are two readers with the same results: `read_heading` for a body in memory, and
`HeadingReader` for a larger one as it arrives. Both check with
msgspec that the whole document is JSON in UTF-8.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from backend.errors import Invalid

LONGEST_VALUE = 1024  # bytes of a serial, lineage or version as written; real ones have up to 40
LARGEST_SERIAL = 2**63 - 1  # the largest integer of a database column
_WHOLE_NUMBER = re.compile(rb"-?(0|[1-9][0-9]*)")
# the key of a value that a piece of a document goes on with; nobody outside knows it
CONTINUED = secrets.token_hex(8)
_SPACE = b" \t\r\n"
_TRUNCATED = "Input data was truncated"
_REASON = re.compile(r"^JSON is malformed: | \(byte \d+\)$")  # removed from msgspec's message


Part = msgspec.Raw | msgspec.UnsetType


class TopLevel(msgspec.Struct):
    """The top level as written. Other keys are skipped; the last of several equal keys counts."""

    serial: Part = msgspec.UNSET
    lineage: Part = msgspec.UNSET
    version: Part = msgspec.UNSET
    terraform_version: Part = msgspec.UNSET
    encrypted_data: Part = msgspec.UNSET
    outputs: Part = msgspec.UNSET
    continued: Part = msgspec.field(default=msgspec.UNSET, name=CONTINUED)


_HEADING = ("serial", "lineage", "version", "terraform_version", "encrypted_data")
_decoder = msgspec.json.Decoder(TopLevel)


@dataclass(frozen=True, slots=True)
class Heading:
    """Values that the document lacks are None. `encrypted` means by OpenTofu, at the client."""

    serial: int | None
    lineage: str | None
    version: int | None
    terraform_version: str | None
    encrypted: bool


def read_heading(body: bytes) -> Heading:
    """Check a whole document and read its heading.

    Raises Invalid with the code `state-empty`, `state-truncated`, `state-not-json`, or, for JSON
    that terraform and tofu could not read, `not-a-state`.
    """
    start = body[:LONGEST_VALUE].lstrip(_SPACE) or body.lstrip(_SPACE)
    if not start:
        raise empty()
    check_start(start)
    if not body.isascii():
        _check_utf8(body)
    return heading_of(fields_of(body, at_end=True))


def check_start(text: bytes) -> None:
    if not text.startswith(b"{"):
        raise not_json("it does not start with {")


def _check_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        # If only the last letter is cut, the JSON parser reports it as a truncated document.
        if error.reason != "unexpected end of data":
            raise not_json("it is not in UTF-8") from None


def fields_of(text: bytes, *, at_end: bool) -> dict[str, bytes]:
    """The first bytes of each heading value in a JSON object, as written. Raises Invalid."""
    return first_bytes(top_level(text, at_end=at_end))


def first_bytes(found: TopLevel) -> dict[str, bytes]:
    """The first bytes of each heading value, as written."""
    return {
        name: bytes(memoryview(raw)[: LONGEST_VALUE + 1])
        for name in _HEADING
        if (raw := getattr(found, name)) is not msgspec.UNSET
    }


def top_level(text: bytes, *, at_end: bool) -> TopLevel:
    """The values of a JSON object that somebody asks for. Raises Invalid."""
    try:
        return _decoder.decode(text)
    except RecursionError:
        raise not_json("it is nested too deeply") from None
    except msgspec.DecodeError as error:
        if at_end and str(error) == _TRUNCATED:
            raise Invalid("The body ends before its JSON does.", code="state-truncated") from None
        raise not_json(_REASON.sub("", str(error))) from None


def heading_of(fields: Mapping[str, bytes]) -> Heading:
    """Raises Invalid `not-a-state`."""
    encrypted = fields.get("encrypted_data", b"").startswith(b'"')
    heading = Heading(
        serial=_number(fields, "serial"),
        lineage=_text(fields, "lineage"),
        version=_number(fields, "version"),
        terraform_version=_text(fields, "terraform_version"),
        encrypted=encrypted,
    )
    if heading.version is None and not encrypted:
        raise _not_a_state("it has neither a version nor encrypted_data")
    return heading


def _number(fields: Mapping[str, bytes], name: str) -> int | None:
    raw = fields.get(name, b"null")
    if raw == b"null":
        return None
    if len(raw) > LONGEST_VALUE or not _WHOLE_NUMBER.fullmatch(raw):
        raise _not_a_state(f"its {name} is not a whole number")
    number = int(raw)
    if not 0 <= number <= LARGEST_SERIAL:
        raise _not_a_state(f"its {name} is out of range")
    return number


def _text(fields: Mapping[str, bytes], name: str) -> str | None:
    raw = fields.get(name, b"null")
    if raw == b"null":
        return None
    if len(raw) > LONGEST_VALUE or not raw.startswith(b'"'):
        raise _not_a_state(f"its {name} is not a string of at most {LONGEST_VALUE} bytes")
    text = msgspec.json.decode(raw, type=str)
    if "\0" in text:
        raise _not_a_state(f"its {name} contains a NUL")  # PostgreSQL refuses a NUL in text
    return text


def empty() -> Invalid:
    return Invalid("The body is empty: a state document was expected.", code="state-empty")


def not_json(reason: str) -> Invalid:
    return Invalid(f"The body is not a JSON object: {reason}.", code="state-not-json")


def _not_a_state(reason: str) -> Invalid:
    return Invalid(f"The body is not a Terraform or OpenTofu state: {reason}.", code="not-a-state")
