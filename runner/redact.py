"""Mask secrets in a stream of text, however it is split into pieces.

Every secret is searched in the forms that tools print: as it is, line by line, in base64 at each of
the three alignments and in hex, also wrapped (encoded.py), URL-encoded, and escaped as in JSON and
HCL. Line breaks and tabs count as
spaces, because terraform wraps its messages at 78 columns. Only text that may be the beginning of a
secret is held back, so that a log can be followed live.

A secret of one or two characters is not masked: this would mask parts of every line, and the
pattern would reveal the secret. What has fewer than six is masked only where it is a word of its
own, so that `a1b` hides no part of another word.
"""

from __future__ import annotations

import base64
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import chain
from urllib.parse import quote, quote_plus

from runner.encoded import Codes

MASK = b"***"
_SHORTEST = 3
_ANYWHERE = 6  # bytes from which a form is masked inside of words too
_SHORTEST_LINE = 8
_DEPTH = 4  # bytes that the search looks at before a candidate is compared in full
_SPACES = bytes.maketrans(b"\n\r\t", b"   ")
_LINE_BREAK = re.compile(r"\r\n|\n|\r|\\n")
_INSIDE = re.compile(rb"\w\w")
_PERCENT = re.compile(r"%[0-9A-F]{2}")

_Trie = dict[int, "_Trie"]


class Redactor:
    """Masks one stream. Feed it in order, flush it at the end. It may learn more secrets."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = frozenset(secrets)
        self._forms = _Forms(self._secrets)
        self._held = b""
        self._last = b""  # the byte before what is held
        self._covered = 0  # held bytes at the beginning whose mask was already returned

    def learn(self, secrets: Iterable[str]) -> None:
        """Mask these too from now on, also in text that is held back."""
        known = self._secrets.union(secrets)
        if known != self._secrets:
            self._secrets, self._forms = known, _Forms(known)

    def feed(self, chunk: bytes) -> bytes:
        """The masked text that can be shown now."""
        if not chunk:
            return b""
        text = self._held + chunk
        return self._give_out(text, self._forms.undecided(text))

    def flush(self) -> bytes:
        """The rest of the text, at the end of the stream."""
        return self._give_out(self._held, len(self._held))

    def mask(self, text: str) -> str:
        """Mask a whole text that does not belong to the stream."""
        raw = text.encode(errors="surrogatepass")
        shown, _ = self._forms.masked(raw, 0, len(raw), b"")
        return shown.decode(errors="replace")

    def _give_out(self, text: bytes, until: int) -> bytes:
        if until == 0:
            self._held = text
            return b""
        shown, covered = self._forms.masked(text, self._covered, until, self._last)
        self._last = text[until - 1 : until]
        self._held, self._covered = text[until:], max(0, covered - until)
        return shown


class _Forms:
    """All forms of all secrets, sorted, so that one search finds the longest one at a place."""

    def __init__(self, secrets: Iterable[str]) -> None:
        secrets = list(secrets)
        self._codes = Codes(_whole(secrets))
        forms = {form.translate(_SPACES) for secret in secrets for form in _forms(secret)}
        self._sorted = sorted(form for form in forms if len(form) >= _SHORTEST)
        self._shorter = _longest_prefixes(self._sorted)
        self._longest = max(map(len, self._sorted), default=0)
        self._words = frozenset(form for form in self._sorted if len(form) < _ANYWHERE)
        self._longest_word = max(map(len, self._words), default=0)
        self._start = re.compile(_pattern(self._sorted)) if self._sorted else None

    def masked(self, text: bytes, covered: int, until: int, last: bytes) -> tuple[bytes, int]:
        """The text up to `until` with its secrets masked, and where the last secret ends.

        The first `covered` bytes belong to a mask that was returned before; `last` is the byte
        before the text.
        """
        shown = bytearray()
        end = covered
        codes = (place for place in self._codes.matches(text) if place[0] < until)
        for start, stop in merge(self._matches(text, until, last), codes):
            if start >= end:
                shown += text[end:start] + MASK
            end = max(end, stop)
        shown += text[end:until]
        return bytes(shown), end

    def undecided(self, text: bytes) -> int:
        """The start of the longest part at the end that may be the beginning of a secret."""
        if self._start is None:
            return len(text)
        return min(self._undecided(text), self._codes.undecided(text))

    def _undecided(self, text: bytes) -> int:
        """The same for the forms, which are compared in full."""
        if self._start is None:
            return len(text)
        folded = text.translate(_SPACES)
        # a word is decided by what comes after it
        first = max(0, len(text) - max(self._longest - 1, self._longest_word))
        near_end = max(first, len(text) - _DEPTH + 1)
        for place in chain(_places(self._start, folded, first), range(near_end, len(text))):
            if self._is_beginning(folded[place:]):
                return place
        return len(text)

    def _matches(self, text: bytes, until: int, last: bytes) -> Iterator[tuple[int, int]]:
        """The places of secrets that start before `until`, also overlapping ones, in order."""
        if self._start is None:
            return
        folded = text.translate(_SPACES)
        for place in _places(self._start, folded, 0):
            if place >= until:
                return
            form = self._longest_at(folded, place)
            while form in self._words and not _is_word(folded, place, len(form), last):
                form = self._shorter[form]
            if form:
                yield place, place + len(form)

    def _longest_at(self, text: bytes, place: int) -> bytes:
        window = text[place : place + self._longest]
        # everything that sorts between a prefix and the text has that prefix too
        index = bisect_right(self._sorted, window) - 1
        form = self._sorted[index] if index >= 0 else b""
        while not window.startswith(form):
            form = self._shorter[form]
        return form

    def _is_beginning(self, text: bytes) -> bool:
        if text in self._words:
            return True
        index = bisect_right(self._sorted, text)
        return index < len(self._sorted) and self._sorted[index].startswith(text)


def _is_word(text: bytes, place: int, length: int, last: bytes) -> bool:
    """Whether what is here is no part of a longer word. The text ends with a word's end."""
    before = text[place - 1 : place] if place else last
    begins = before + text[place : place + 1]
    ends = text[place + length - 1 : place + length + 1]
    return not (_INSIDE.fullmatch(begins) or _INSIDE.fullmatch(ends))


def _places(pattern: re.Pattern[bytes], text: bytes, first: int) -> Iterator[int]:
    """The places where the pattern matches, also overlapping ones."""
    found = pattern.search(text, first)
    while found:
        yield found.start()
        found = pattern.search(text, found.start() + 1)


def _longest_prefixes(ordered: list[bytes]) -> dict[bytes, bytes]:
    """For each form, the longest other form that is a prefix of it, if any."""
    shorter: dict[bytes, bytes] = {}
    open_forms: list[bytes] = [b""]
    for form in ordered:
        while not form.startswith(open_forms[-1]):
            open_forms.pop()
        shorter[form] = open_forms[-1]
        open_forms.append(form)
    return shorter


def _pattern(forms: list[bytes]) -> bytes:
    """A pattern that matches where a form may start. It has the first bytes of all forms."""
    root: _Trie = {}
    previous = b""
    for form in sorted({form[:_DEPTH] for form in forms}):
        if previous and form.startswith(previous):
            continue
        previous, node = form, root
        for byte in form:
            node = node.setdefault(byte, {})
    return _branches(root)


def _branches(node: _Trie) -> bytes:
    by_rest: dict[bytes, list[int]] = {}
    for byte, child in node.items():
        by_rest.setdefault(_branches(child) if child else b"", []).append(byte)
    branches = [
        b"[" + b"".join(re.escape(bytes([byte])) for byte in first) + b"]" + rest
        for rest, first in by_rest.items()
    ]
    return b"(?:" + b"|".join(branches) + b")"


def _whole(secrets: Iterable[str]) -> Iterator[bytes]:
    """The secrets that are long enough, with and without the space around them."""
    for secret in secrets:
        for text in {secret, secret.strip()}:
            if len(text) >= _SHORTEST:
                yield text.encode(errors="surrogatepass")


def _forms(secret: str) -> Iterator[bytes]:
    """The forms in which a secret may be printed."""
    whole = {secret, secret.strip()}
    lines = {line.strip() for line in _LINE_BREAK.split(secret)}
    for text in whole | {line for line in lines if len(line) >= _SHORTEST_LINE}:
        if len(text) >= _SHORTEST:
            raw = text.encode(errors="surrogatepass")
            yield raw
            if text in whole:  # the base64 of a line is a part of that of the whole
                yield from _base64_forms(raw)
            yield from _url_forms(raw)
            yield from _escaped_forms(text)


def _base64_forms(raw: bytes) -> Iterator[bytes]:
    """What the base64 encoding of any text with the secret contains, at each alignment."""
    for before in range(3):
        code = base64.b64encode(bytes(before) + raw)
        first, last = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        for form in (code[first:last], code[first:].rstrip(b"="), code[first:]):
            if before and len(form) < _ANYWHERE:
                continue  # inside of another code it is no word of its own
            yield form
            yield form.translate(bytes.maketrans(b"+/", b"-_"))


def _url_forms(raw: bytes) -> Iterator[bytes]:
    for form in (quote(raw, safe=""), quote(raw), quote_plus(raw), quote_plus(raw, safe="/")):
        yield form.encode()
        yield _PERCENT.sub(lambda found: found[0].lower(), form).encode()


def _escaped_forms(text: str) -> Iterator[bytes]:
    """The text escaped as in JSON, as in JSON inside JSON, and as terraform prints strings."""
    for ascii_only in (True, False):
        plain = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        go = plain.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")
        hcl = plain.replace("${", "$${").replace("%{", "%%{")
        twice = (json.dumps(form, ensure_ascii=ascii_only)[1:-1] for form in (plain, go))
        for form in (plain, go, hcl, *twice):
            yield form.encode(errors="surrogatepass")
