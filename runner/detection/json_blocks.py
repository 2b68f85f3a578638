"""Find the backend, cloud and state_store blocks in a .tf.json file.

It follows the JSON rules of HCL, which Python's json module cannot: all duplicate keys count, there
may be arrays at any level, and null is not a block. It reads token by token and stores nothing, so
that a large or deeply nested file only takes time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import islice

from runner.detection.hcl_blocks import (
    MAX_DECLARATIONS,
    MAX_SETTING,
    MAX_SETTINGS,
    Declaration,
    DeclarationKind,
)

_TOKEN = re.compile(
    r"""[ \t\r\n]*+(?:
    (?P<string>"(?:[^"\\\x00-\x1f]++|\\.)*+")
  | (?P<mark>[{}\[\],:])
  | (?P<scalar>[-+.\w]++)
    )""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_SPACE = re.compile(r"[ \t\r\n]*+")
_LARGEST_BODY = 65_536
_MAYBE = re.compile(r"backend|cloud|state_store|\\u")
_LABELLED: dict[str, DeclarationKind] = {"backend": "backend", "state_store": "state_store"}

Visit = Callable[[str, int], None]


class _BrokenJson(Exception):
    pass


def in_json(text: str) -> list[Declaration]:
    """The blocks of the file, in order, until a conflict is certain.

    It never raises: a block that cannot be read is `unreadable`.
    """
    maybe = _MAYBE.search(text)
    if maybe is None:
        return []
    reader = _Reader(text)
    try:
        reader.read()
    except _Enough:
        return reader.found
    except _BrokenJson:
        return [Declaration("unreadable", None, reader.line_of(maybe.start()))]
    return reader.found


class _Enough(Exception):
    pass


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.found: list[Declaration] = []

    def read(self) -> None:
        """Fill `found`. Raises _BrokenJson."""
        self._properties(self._at_top)
        if _SPACE.match(self.text, self.position).end() != len(self.text):  # type: ignore[union-attr]
            raise _BrokenJson

    def line_of(self, position: int) -> int:
        return self.text.count("\n", 0, position) + 1

    def _at_top(self, key: str, _position: int) -> None:
        if key != "terraform":
            self._skip()
        elif self._peek() == "[":
            self._elements(lambda: self._properties(self._in_terraform))
        else:
            self._properties(self._in_terraform)

    def _in_terraform(self, key: str, position: int) -> None:
        if key == "cloud":
            self._block("cloud", None, position)
        elif key in _LABELLED:
            before = self.position
            labels = self._properties(lambda label, at: self._block(_LABELLED[key], label, at))
            if not labels:  # an error for the tools: missing block label
                self._add("unreadable", None, before)
        else:
            self._skip()

    def _block(self, kind: DeclarationKind, label: str | None, position: int) -> None:
        """Add a block for an object, one for each element of an array, and none for null."""
        first = self._peek()
        if first == "[":
            self._elements(lambda: self._block_element(kind, label, position))
            return
        start = self.position
        text = self._skip()
        if first == "{":
            self._add(kind, label, position, self.text[start : self.position])
        elif text != "null":
            self._add("unreadable", None, position)

    def _block_element(self, kind: DeclarationKind, label: str | None, position: int) -> None:
        start = self.position
        self._skip()
        self._add(kind, label, position, self.text[start : self.position])

    def _add(self, kind: DeclarationKind, label: str | None, position: int, body: str = "") -> None:
        self.found.append(Declaration(kind, label, self.line_of(position), _settings(body)))
        if len(self.found) >= MAX_DECLARATIONS:
            raise _Enough

    def _properties(self, visit: Visit) -> int:
        """Visit each property of an object, or of each object in an array. Returns their number.

        `visit` gets the key and its position, and must read the value.
        """
        first = self._peek()
        if first == "{":
            return self._object(visit)
        count = 0

        def element() -> None:
            nonlocal count
            if self._peek() == "{":
                count += self._object(visit)
            else:
                self._skip()

        if first == "[":
            self._elements(element)
        else:
            self._skip()
        return count

    def _object(self, visit: Visit) -> int:
        self._take()
        count = 0
        while self._peek() != "}":
            raw = self._take()
            position = self.position - len(raw)
            if raw[0] != '"' or self._take() != ":":
                raise _BrokenJson
            visit(_string(raw), position)
            count += 1
            self._separator("}")
        self._take()
        return count

    def _elements(self, element: Callable[[], object]) -> None:
        self._take()
        while self._peek() != "]":
            element()
            self._separator("]")
        self._take()

    def _separator(self, close: str) -> None:
        if self._peek() == ",":
            self._take()
        elif self._peek() != close:
            raise _BrokenJson

    def _skip(self) -> str:
        """Skip one value, and return its first token."""
        first = part = self._take()
        if first in "}],:":
            raise _BrokenJson
        depth = 0
        while True:
            depth += (part in "{[") - (part in "}]")
            if depth == 0:
                return first
            part = self._take()

    def _peek(self) -> str:
        match = _TOKEN.match(self.text, self.position)
        return self.text[match.start(match.lastgroup or 0)] if match else ""

    def _take(self) -> str:
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            raise _BrokenJson
        self.position = match.end()
        return match[match.lastgroup or 0]


def _settings(body: str) -> dict[str, str | None]:
    if len(body) > _LARGEST_BODY:
        return {}
    try:
        found = json.loads(body, strict=False)
    except (ValueError, RecursionError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    given = ((name, _plain(value)) for name, value in entries if value is not None)
    return dict(islice(given, MAX_SETTINGS))


def _plain(value: object) -> str | None:
    return value[:MAX_SETTING] if isinstance(value, str) and "${" not in value else None


def _string(raw: str) -> str:
    try:
        return str(json.loads(raw, strict=False))
    except ValueError as error:
        raise _BrokenJson from error
