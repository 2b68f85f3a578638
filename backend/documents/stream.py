"""Read the heading of a document of any size as it arrives, with only a few pieces in memory.

The text is cut into pieces between tokens (or inside a long string). Text is added on both sides of
a piece to make it a whole JSON document, which msgspec checks: `0]}` is added after `{"a":[1,`, and
`{"":[0,` before the next piece. If every completed piece is valid, the whole document is valid.
A piece may therefore be cut at a guessed place: after a wrong guess it does not validate, and the
piece is read token by token instead.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from backend.documents import heading
from backend.documents.heading import CONTINUED, LONGEST_VALUE, Heading, TopLevel, not_json
from backend.errors import Invalid

PIECE = 64 * 1024
_LONG = 2 * LONGEST_VALUE  # a longer string may be cut, because it is not a heading value
_DEEPEST = 1000  # open brackets; the parser refuses fewer
_ROUNDS = 12  # of removing pairs of brackets: enough for real states, few enough for hostile ones
_RUN = 64  # spaces or digits in a row; a longer run is shortened to this
_SPACE = b" \t\r\n"
_DIGITS = b"0123456789"
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_LIKELY = (b",\n", b',"', b"},{")  # commas between values, as json.MarshalIndent and jq -c write
_HALF_ESCAPE = re.compile(rb"\\(u[0-9a-fA-F]{0,3})?\Z")
_HALF_PAIR = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\Z")

# The text that completes a piece, before and after it, by the last token and its container.
_BEFORE = {
    ("start", b""): b"",
    ("comma", b"["): b"[0,",
    ("comma", b"{"): b'{"":0,',
    ("opened", b"["): b"[",
    ("opened", b"{"): b"{",
    ("closed", b"["): b"[0",
    ("closed", b"{"): b'{"":0',
    ("closed", b""): b"{}",
    ("string", b"["): b'["',
    ("string", b"{"): b'{"":"',
    ("key", b"{"): b'{"-',  # never the name of a heading value
}
_AFTER = {
    ("comma", b"["): b"0",
    ("comma", b"{"): b'"":0',
    ("opened", b"["): b"",
    ("opened", b"{"): b"",
    ("closed", b"["): b"",
    ("closed", b"{"): b"",
    ("closed", b""): b"",
    ("string", b"["): b'"',
    ("string", b"{"): b'"',
    ("key", b"{"): b'":0',
}
GOES_ON = b'{"' + CONTINUED.encode() + b'":'  # before a piece inside a value of the top level
_OPENED_BY = {ord("["): b"[", ord("{"): b'{"":'}
_PARTNER = {ord("]"): ord("["), ord("}"): ord("{")}
_IN_STRING = ("string", "key")
_COMES_LAST = {b",": "comma", b"[": "opened", b"{": "opened", b"]": "closed", b"}": "closed"}
_CLOSED_BY = {ord("["): b"]", ord("{"): b"}"}


@dataclass(frozen=True, slots=True)
class _Position:
    """A place in the text: the token before it, and the open brackets."""

    last: str = "start"
    open: bytes = b""

    def is_possible(self) -> bool:
        known = (self.last, self.open[-1:]) in _AFTER and len(self.open) <= _DEEPEST
        return known and not _PARTNER.keys() & {*self.open}

    def before(self) -> bytes:
        outer = b"".join(_OPENED_BY[bracket] for bracket in self.open[1:-1])
        start = GOES_ON if len(self.open) > 1 else b""
        return start + outer + _BEFORE[self.last, self.open[-1:]]

    def after(self) -> bytes:
        closers = b"".join(_CLOSED_BY[bracket] for bracket in reversed(self.open))
        return _AFTER[self.last, self.open[-1:]] + closers


class HeadingReader:
    """`feed` it the whole document, then call `finish`. Both raise Invalid like `read_heading`."""

    def __init__(self, piece: int = PIECE) -> None:
        self._piece = piece
        self._place = _Position()
        self._text = b""
        self._fields: dict[str, bytes] = {}
        self._utf8 = codecs.getincrementaldecoder("utf-8")()

    def feed(self, chunk: bytes) -> None:
        self._check_utf8(chunk)
        for start in range(0, len(chunk), self._piece):
            self._text += chunk[start : start + self._piece]
            if self._place.last == "start":
                self._begin()
            if len(self._text) >= self._piece:
                self._advance()

    def finish(self) -> Heading:
        if self._place.last == "start" and not self._text:
            raise heading.empty()
        self._check(self._place.before(), self._text, None)
        return heading.heading_of(self._fields)

    def _check_utf8(self, chunk: bytes) -> None:
        if chunk.isascii() and not self._utf8.getstate()[0]:
            return
        try:
            self._utf8.decode(chunk)
        except UnicodeDecodeError:
            raise not_json("it is not in UTF-8") from None

    def _begin(self) -> None:
        text = self._text.lstrip(_SPACE)
        self._dropped(0, self._text[: len(self._text) - len(text)])
        self._text = text
        if self._text:
            heading.check_start(self._text)

    def _advance(self) -> None:
        """Check as much of the text as possible, and keep the rest for the next call."""
        try:
            if self._take(_guess(self._text, self._place)):
                return
        except Invalid:
            pass  # the guess or the text is wrong: reading it token by token will tell
        scan = _Scan(self._text, self._place)
        self._take(scan.cut())
        if not scan.ends_in_string:
            text = _shortened(self._text)
            self._dropped(len(text), self._text[len(text) :])
            self._text = text
        if len(self._text) > 4 * (self._piece + _LONG):
            raise not_json("it goes on without any structure")

    def _take(self, cut: tuple[int, _Position] | None) -> bool:
        """Check the text before the cut, and drop it. Raises Invalid."""
        if cut is None:
            return False
        at, place = cut
        self._check(self._place.before(), self._text[:at], place.after())
        self._text = self._text[at:]
        self._place = place
        return True

    def _check(self, before: bytes, text: bytes, after: bytes | None) -> None:
        """Check the next piece, completed with `before` and `after`; None after the last piece."""
        whole = b"".join((before, text, after or b""))
        found = heading.top_level(whole, at_end=after is None)
        self._fields |= heading.first_bytes(found)
        self._checked(found, whole, len(before), len(before) + len(text))

    def _checked(self, found: TopLevel, whole: bytes, start: int, end: int) -> None:
        """Called with each completed piece that is valid; `start` and `end` are those of its text.

        What follows the end are the brackets that close everything that is still open.
        """

    def _dropped(self, at: int, dropped: bytes) -> None:
        """Called when bytes without meaning were dropped from the text at this place."""


def _guess(text: bytes, place: _Position) -> tuple[int, _Position] | None:
    """A cut after a late comma, assuming that no string contains a bracket. Cheap, mostly right."""
    if place.last in _IN_STRING or not place.open:
        return None
    late = (text.rfind(sign, len(text) // 2) for sign in _LIKELY)
    sign_at = next((at for at in late if at >= 0), None)
    if sign_at is None:
        return None
    at = text.index(b",", sign_at) + 1
    open_ = _still_open(place.open + text[:at].translate(None, _NO_BRACKETS))
    found = _Position("comma", open_)
    return (at, found) if found.is_possible() else None


class _Scan:
    """The text read token by token. Exact for every start of a JSON document."""

    def __init__(self, text: bytes, place: _Position) -> None:
        self._place = place
        if b"\\" in text:  # hide escaped quotes without changing the length
            text = text.replace(b"\\\\", b"..").replace(b'\\"', b"..")
        self._text = text
        # `in` is ten times faster than `split` when there is no quote, as in most long strings
        self._parts = text.split(b'"') if b'"' in text else [text]
        self._first_outside = int(place.last in _IN_STRING)
        self.ends_in_string = len(self._parts) % 2 == self._first_outside

    def cut(self) -> tuple[int, _Position] | None:
        """The last place where the text may be cut. Raises Invalid if it cannot be JSON."""
        if not self._place.open and self._place.last == "closed":
            return len(self._text), self._place
        in_long_string = self.ends_in_string and len(self._parts[-1]) > _LONG
        found = self._within_string() if in_long_string else self._after_structure()
        if found is not None and not found[1].is_possible():
            raise not_json("its brackets do not match, or are nested too deeply")
        return found

    def _within_string(self) -> tuple[int, _Position]:
        at = len(self._text)
        for half in (_HALF_ESCAPE, _HALF_PAIR):
            if found := half.search(self._text, max(0, at - 16), at):
                at = found.start()
        outside = self._parts[self._first_outside : -1 : 2]
        if not outside:
            return at, self._place
        open_ = self._open_after(outside)
        before = outside[-1].rstrip(_SPACE)[-1:]
        starts_item = before in (b",", b"{") if before else self._place.last in ("comma", "opened")
        is_key = starts_item and open_.endswith(b"{")
        return at, _Position("key" if is_key else "string", open_)

    def _after_structure(self) -> tuple[int, _Position] | None:
        end = len(self._text)
        for index in range(len(self._parts) - 1, -1, -1):
            part = self._parts[index]
            start = end - len(part)
            if index % 2 == self._first_outside:
                at = max(part.rfind(sign) for sign in _COMES_LAST)
                if at >= 0:
                    outside = self._parts[self._first_outside : index : 2]
                    open_ = self._open_after([*outside, part[: at + 1]])
                    return start + at + 1, _Position(_COMES_LAST[part[at : at + 1]], open_)
            end = start - 1
        return None

    def _open_after(self, outside: list[bytes]) -> bytes:
        brackets = b"".join(outside).translate(None, _NO_BRACKETS)
        return _still_open(self._place.open + brackets)


def _still_open(brackets: bytes) -> bytes:
    """The brackets that are still open. Closing ones remain only if they do not match."""
    for _ in range(_ROUNDS):
        fewer = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if len(fewer) == len(brackets):
            return brackets
        brackets = fewer
    left = bytearray()
    for bracket in brackets:
        if left and _PARTNER.get(bracket) == left[-1]:
            left.pop()
        else:
            left.append(bracket)
    return bytes(left)


def _shortened(text: bytes) -> bytes:
    """The text with a shorter run of spaces or digits at its end, which is not inside a string."""
    for run in (_SPACE, _DIGITS):
        shorter = text[: len(text.rstrip(run)) + _RUN]
        if len(shorter) < len(text):
            return shorter
    return text
