"""Find the first mark of some kind in a file, with its line: a block of HCL, or a pattern."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from runner.detection.config_files import ConfigFile, Unreadable, read
from runner.detection.hcl_lexer import BrokenSyntax, Item, items

STATE = re.compile(r"\b(?:backend|cloud|remote_state)\b")
_BOM = b"\xef\xbb\xbf"


class Mark(NamedTuple):
    """`name` is the word of a block or argument at the top level, `text` the whole of it."""

    name: str
    line: int
    text: str

    @property
    def is_of_the_state(self) -> bool:
        return STATE.search(self.text) is not None


def text_of(path: Path) -> str | None:
    """The text of a file, or None if it cannot be read. It never blocks, as config_files.read."""
    try:
        content = read(ConfigFile(path.name, path, path.is_symlink()))
    except Unreadable:
        return None
    return content.removeprefix(_BOM).decode("utf-8", "surrogateescape")


def at_the_top(text: str, words: Collection[str]) -> list[Mark]:
    """The blocks and arguments with one of these names at the top level of HCL, in order.

    In a file that the lexer cannot read, each line that begins with one of the words counts.
    """
    try:
        return list(_marks(text, words))
    except BrokenSyntax:
        wanted = "|".join(map(re.escape, words))
        found = re.finditer(rf"^[ \t]*({wanted})\b.*", text, re.MULTILINE)
        return [Mark(m[1], line_at(text, m.start()), m[0]) for m in found]


def line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _marks(text: str, words: Collection[str]) -> Iterator[Mark]:
    for item in items(text, 0, len(text)):
        name = _name(text, item)
        if name in words:
            yield Mark(name, line_at(text, item[0].start), text[item[0].start : item[-1].end])


def _name(text: str, item: Item) -> str:
    first = item[0]
    return text[first.start : first.end] if first.kind == "word" else ""
