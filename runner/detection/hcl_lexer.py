"""Split HCL into items as HCL's scanner does, one nesting level at a time.

It recognises strings, templates, heredocs and comments, so that a brace inside one does not count.
It has its own stack, so that nesting needs memory but no recursion, and it reads each character a
bounded number of times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

TokenKind = Literal["word", "string", "block", "newline", "other"]

# The characters that Go's bytes.TrimSpace removes around the end marker of a heredoc. Python's
# strip() would also remove U+001C to U+001F.
_GO_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
# A marker never contains "<", which also keeps matching a long run of "<" linear.
_HEREDOC = r"<<-?(?P<marker>[^\s\"{}<]++)\r?\n"
_COMMENT = r"(?:\#|//)[^\n]*+"

_LEVEL = re.compile(
    rf"""[ \t]*+(?:
    (?P<newline>\r?\n)
  | (?P<comment>{_COMMENT})
  | (?P<remark>/\*)
  | (?P<word>[^\W\d][\w-]*+)
  | (?P<quote>")
  | (?P<open>\{{)
  | (?P<heredoc>{_HEREDOC})
  | (?P<close>\}})
  | (?P<other>[^\s\w"{{}}\#/<]++|.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_CODE = re.compile(
    rf"""{_COMMENT}
  | (?P<remark>/\*)
  | (?P<quote>")
  | (?P<heredoc>{_HEREDOC})
  | (?P<open>\{{)
  | (?P<close>\}})""",
    re.VERBOSE,
)
_STRING = re.compile(r'\\[^\r\n]|\$\$\{|%%\{|(?P<template>[$%]\{)|(?P<end>")|(?P<newline>[\r\n])')
_HEREDOC_BODY = re.compile(r"\$\$\{|%%\{|(?P<template>[$%]\{)|(?P<newline>\n)")


_KEPT = 8  # tokens kept of an item; the header of a block has four
_PLAIN: dict[str, TokenKind] = {"newline": "newline", "word": "word", "other": "other"}


class BrokenSyntax(Exception):
    """The text ends inside a string or block, or closes one that is not open."""


class Token(NamedTuple):
    """`start` and `end` are offsets. A block is one token, from its { to its }."""

    kind: TokenKind
    start: int
    end: int


Item = list[Token]


@dataclass
class _Code:
    """The inside of { and }, or of an interpolation in a template. `depth` braces are open."""

    depth: int = 1


@dataclass
class _String:
    pass


@dataclass
class _Heredoc:
    """`line` is where the current line starts, or None if there was a template in it."""

    marker: str
    line: int | None


_Frame = _Code | _String | _Heredoc


def items(text: str, start: int, end: int) -> Iterator[Item]:
    """The items of one body, each with its tokens. An item ends with its line or its block.

    Of a long item only the first tokens and the last one are kept.
    Raises BrokenSyntax after the last valid item.
    """
    item: Item = []
    for token in _tokens(text, start, end):
        if token.kind != "newline":
            del item[_KEPT - 1 :]
            item.append(token)
        if token.kind in ("newline", "block") and item:
            yield item
            item = []
    if item:
        yield item


def code(text: str) -> Iterator[tuple[int, int]]:
    """The parts of the text that are code, interpolations too: no comment, string or heredoc.

    It ends where the syntax is broken.
    """
    frames: list[_Frame] = [_Code()]
    position, end = 0, len(text)
    try:
        while position < end:
            frame = frames[-1] if frames else _Code()
            frames = frames or [frame]
            if isinstance(frame, _Code):
                match = _CODE.search(text, position)
                yield position, match.start() if match else end
                position = _step_code(text, position, end, frames, frame)
            elif isinstance(frame, _String):
                position = _step_string(text, position, end, frames)
            else:
                position = _step_heredoc(text, position, end, frames, frame)
    except BrokenSyntax:
        return


def _tokens(text: str, start: int, end: int) -> Iterator[Token]:
    position = start
    while match := _LEVEL.match(text, position, end):
        kind = match.lastgroup
        position = match.end()
        if kind == "remark":
            position = _after_remark(text, position, end)
        elif kind == "quote":
            position = _skip(text, position, end, _String())
            yield Token("string", match.end() - 1, position)
        elif kind == "heredoc":
            position = _skip(text, position, end, _Heredoc(match["marker"], position))
            yield Token("other", match.start(), position)
        elif kind == "open":
            position = _skip(text, position, end, _Code())
            yield Token("block", match.end() - 1, position)
        elif kind == "close":
            raise BrokenSyntax
        elif kind != "comment":
            yield Token(_PLAIN[kind or "other"], match.start(kind or 0), position)


def _skip(text: str, position: int, end: int, first: _Frame) -> int:
    """The end of the string, heredoc or body whose inside starts at `position`."""
    frames = [first]
    while frames:
        frame = frames[-1]
        if isinstance(frame, _Code):
            position = _step_code(text, position, end, frames, frame)
        elif isinstance(frame, _String):
            position = _step_string(text, position, end, frames)
        else:
            position = _step_heredoc(text, position, end, frames, frame)
    return position


def _step_code(text: str, position: int, end: int, frames: list[_Frame], frame: _Code) -> int:
    match = _found(_CODE, text, position, end)
    position = match.end()
    kind = match.lastgroup
    if kind == "remark":
        return _after_remark(text, position, end)
    if kind == "quote":
        frames.append(_String())
    elif kind == "heredoc":
        frames.append(_Heredoc(match["marker"], position))
    elif kind == "open":
        frame.depth += 1
    elif kind == "close":
        frame.depth -= 1
        if not frame.depth:
            frames.pop()
    return position


def _step_string(text: str, position: int, end: int, frames: list[_Frame]) -> int:
    match = _found(_STRING, text, position, end)
    if match.lastgroup == "newline":
        raise BrokenSyntax
    if match.lastgroup == "template":
        frames.append(_Code())
    elif match.lastgroup == "end":
        frames.pop()
    return match.end()


def _step_heredoc(text: str, position: int, end: int, frames: list[_Frame], frame: _Heredoc) -> int:
    match = _found(_HEREDOC_BODY, text, position, end)
    if match.lastgroup == "template":
        frame.line = None
        frames.append(_Code())
    elif match.lastgroup == "newline":
        if frame.line is not None:
            line = text[frame.line : match.start()]
            if line.strip(_GO_SPACE) == frame.marker:
                frames.pop()
                return match.start()  # the newline still ends the item
        frame.line = match.end()
    return match.end()


def _found(pattern: re.Pattern[str], text: str, position: int, end: int) -> re.Match[str]:
    match = pattern.search(text, position, end)
    if match is None:
        raise BrokenSyntax
    return match


def _after_remark(text: str, position: int, end: int) -> int:
    close = text.find("*/", position, end)
    if close < 0:
        raise BrokenSyntax
    return close + 2
