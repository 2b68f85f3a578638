"""Find the backend, cloud and state_store blocks in the terraform blocks of an HCL file.

The lexer cuts the terraform blocks out, because parsing a large file takes seconds, and fails for
some files that the tools accept. Each block is then read twice. Its tokens give the label and the
line, also of blocks that python-hcl2 drops (those with a comment before the brace). python-hcl2
knows the grammar: if it finds a block that the tokens do not show, the file is `unreadable`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from runner.detection.hcl_lexer import BrokenSyntax, Item, Token, items

DeclarationKind = Literal["backend", "cloud", "state_store", "unreadable"]

WORDS = re.compile(r"(?<![\w-])(?:backend|cloud|state_store)(?![\w-])")
_LABELLED = ("backend", "state_store")
_TERRAFORM = re.compile(r"(?<![\w-])terraform(?![\w-])")
_ESCAPE = re.compile(r"\\(?:(?P<simple>[nrt\"\\])|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8}))")
_SIMPLE = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_TEMPLATE = re.compile(r"(?<!\$)\$\{|(?<!%)%\{")


class Declaration(NamedTuple):
    """One block that configures where the state is stored.

    `type` is the label of the block, if it has one. `line` counts from 1, or is None if unknown.
    `settings` are its arguments, None if they are no plain strings.
    """

    kind: DeclarationKind
    type: str | None
    line: int | None
    settings: Mapping[str, str | None] = MappingProxyType({})


# There are four kinds. Of five blocks two have the same kind: that is a conflict, or unreadable.
MAX_DECLARATIONS = 5
MAX_SETTINGS = 100  # of one block; the backends of the tools have at most 60
MAX_SETTING = 2000


@dataclass
class ParseBudget:
    """How many characters python-hcl2 may still read: 16,000 can take it half a second.

    Real blocks have less than 5,000. When the budget is used up, only the tokens are read.
    """

    left: int = 65_536

    def takes(self, source: str) -> bool:
        cost = max(len(source), 500)  # each call takes time too
        if cost > self.left:
            return False
        self.left -= cost
        return True


def in_hcl(text: str, budget: ParseBudget) -> list[Declaration]:
    """The blocks of the file, in order, until a conflict is certain.

    It never raises: a block that cannot be read is `unreadable`.
    """
    found: list[Declaration] = []
    try:
        for item in items(text, 0, len(text)):
            if _is_terraform_block(text, item):
                found += _in_block(text, item, budget)
            if len(found) >= MAX_DECLARATIONS:
                break
    except BrokenSyntax:
        return found or _in_broken(text)
    return found


def _is_terraform_block(text: str, item: Item) -> bool:
    # The tools refuse a terraform block with labels, but its content counts nevertheless.
    first, last = item[0], item[-1]
    kinds = (first.kind, last.kind)
    return kinds == ("word", "block") and text[first.start : first.end] == "terraform"


def _in_block(text: str, item: Item, budget: ParseBudget) -> list[Declaration]:
    start, end = item[0].start, item[-1].end
    source = text[start:end]
    if not WORDS.search(source):
        return []
    written = list(islice(_written(text, item[-1]), MAX_DECLARATIONS))
    parsed = _parsed(source) if budget.takes(source) else set()
    if parsed - {declaration.kind for declaration in written}:
        written.append(Declaration("unreadable", None, text.count("\n", 0, start) + 1))
    return written


def _written(text: str, block: Token) -> Iterator[Declaration]:
    """The declarations in the tokens of the block."""
    for item in items(text, block.start + 1, block.end - 1):
        word = text[item[0].start : item[0].end]
        if item[0].kind == "word" and WORDS.fullmatch(word):
            kind, label = _header(text, word, item[1:])
            settings = _settings(text, item[-1]) if item[-1].kind == "block" else {}
            yield Declaration(kind, label, text.count("\n", 0, item[0].start) + 1, settings)


def _settings(text: str, block: Token) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for item in islice(items(text, block.start + 1, block.end - 1), MAX_SETTINGS):
        kinds = [token.kind for token in item]
        if kinds[0] == "word":
            plain = kinds == ["word", "other", "string"]
            value = string_of(text, item[2]) if plain else None
            name = text[item[0].start : item[0].end]
            found[name] = None if value is None else value[:MAX_SETTING]
    return found


def _header(text: str, word: str, rest: list[Token]) -> tuple[DeclarationKind, str | None]:
    kinds = [token.kind for token in rest]
    if word == "cloud" and kinds == ["block"]:
        return "cloud", None
    if word in _LABELLED and kinds in (["string", "block"], ["word", "block"]):
        label = string_of(text, rest[0])
        if label is not None:
            return ("backend" if word == "backend" else "state_store"), label
    return "unreadable", None


def string_of(text: str, token: Token) -> str | None:
    """The label as the tools read it, or None if it contains a template."""
    if token.kind == "word":
        return text[token.start : token.end]
    raw = text[token.start + 1 : token.end - 1]
    if _TEMPLATE.search(raw):
        return None
    return _ESCAPE.sub(_unescaped, raw.replace("$${", "${").replace("%%{", "%{"))


def _unescaped(match: re.Match[str]) -> str:
    if simple := match["simple"]:
        return _SIMPLE[simple]
    code = int(match["u"] or match["U"], 16)
    return chr(code) if code <= 0x10FFFF else "\ufffd"


def _parsed(source: str) -> set[str]:
    """The kinds of declaration that python-hcl2 finds, or none if it cannot read the block."""
    # Imported here: importing takes longer than inspecting a folder without such a block.
    from hcl2 import loads  # noqa: PLC0415
    from hcl2.utils import SerializationOptions  # noqa: PLC0415

    options = SerializationOptions(with_comments=False, strip_string_quotes=True)
    try:
        document: dict[str, Any] = loads(source + "\n", serialization_options=options)
    except Exception:  # noqa: BLE001 - its parser raises errors of all kinds, also RecursionError
        return set()
    return {key for body in document.get("terraform", []) for key in body if WORDS.fullmatch(key)}


def _in_broken(text: str) -> list[Declaration]:
    """For a file that the lexer cannot read: one of the words after `terraform` counts."""
    start = _TERRAFORM.search(text)
    word = WORDS.search(text, start.end()) if start else None
    if word is None:
        return []
    return [Declaration("unreadable", None, text.count("\n", 0, word.start()) + 1)]
