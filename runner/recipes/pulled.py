"""A state as `state pull` prints it: what it contains, and how to compare two of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from runner.errors import TransferError

# the content of a state; the other keys describe which tool wrote it, and when
_CONTENT = ("resources", "outputs", "check_results")


@dataclass(frozen=True)
class Pulled:
    """`body` is the document byte for byte. If OpenTofu `encrypted` it, its content is unknown."""

    body: bytes = field(repr=False)
    serial: int
    lineage: str
    encrypted: bool
    _content: dict[str, Any] = field(repr=False)

    @property
    def holds_something(self) -> bool:
        return self.encrypted or bool(self._content["resources"] or self._content["outputs"])

    def holds_the_same(self, other: Pulled) -> bool:
        """Whether both have the same content. Serial and lineage may differ."""
        return self.encrypted == other.encrypted and self._content == other._content

    def is_same(self, other: Pulled) -> bool:
        return self.version == other.version and self.holds_the_same(other)

    def described(self) -> dict[str, object]:
        return {"serial": self.serial, "lineage": self.lineage}

    @property
    def version(self) -> tuple[str, int]:
        return self.lineage, self.serial


def parse(body: bytes) -> Pulled | None:
    """The state in a document, or None if it was never written. Raises TransferError."""
    if not body.strip():
        return None
    try:
        document = json.loads(body)
        serial, lineage = document.get("serial", 0), document.get("lineage", "")
    except (ValueError, AttributeError, RecursionError):
        raise _no_state() from None
    if not isinstance(serial, int) or not isinstance(lineage, str):
        raise _no_state()
    content = {name: document.get(name) or None for name in _CONTENT}
    found = Pulled(body, serial, lineage, "encrypted_data" in document, content)
    # backends without files print an empty document for a state that does not exist
    return found if lineage or found.holds_something else None


def _no_state() -> TransferError:
    return TransferError("not-a-state", "The document is not a state of terraform or tofu.")
