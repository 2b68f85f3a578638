"""What the terraform blocks of an HCL file say about where the state is kept.

The lexer cuts the blocks out, because a full parse costs seconds for a large file and fails on
some that the tools accept. Each block is then read twice. Its tokens tell the label and the line,
and also what python-hcl2 drops (it loses a block with a comment before its brace, silently).
python-hcl2 knows the grammar: a block that only it sees makes the file `unreadable`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
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
    """One block that says where the state is kept.

    `type` is the block's label, if it has one; `line` counts from 1, None when it is not known.
    """

    kind: DeclarationKind
    type: str | None
    line: int | None


# There are four kinds: among five, two are alike, and that is a conflict or unreadable.
MAX_DECLARATIONS = 5


@dataclass
class ParseBudget:
    """Characters that python-hcl2 may still read: 16,000 can cost it half a second.

    Real blocks are under 5,000; past the budget the tokens alone are read.
    """

    left: int = 65_536

    def takes(self, source: str) -> bool:
        cost = max(len(source), 500)  # a call has its price too
        if cost > self.left:
            return False
        self.left -= cost
        return True


def in_hcl(text: str, budget: ParseBudget) -> list[Declaration]:
    """Such blocks of the file, in order, until a conflict is certain.

    Never raises: what cannot be read is `unreadable`.
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
    # Labels are an error for the tools; what stands in such a block counts all the same.
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
    """The declarations as the block's own tokens tell them."""
    for item in items(text, block.start + 1, block.end - 1):
        word = text[item[0].start : item[0].end]
        if item[0].kind == "word" and WORDS.fullmatch(word):
            kind, label = _header(text, word, item[1:])
            yield Declaration(kind, label, text.count("\n", 0, item[0].start) + 1)


def _header(text: str, word: str, rest: list[Token]) -> tuple[DeclarationKind, str | None]:
    kinds = [token.kind for token in rest]
    if word == "cloud" and kinds == ["block"]:
        return "cloud", None
    if word in _LABELLED and kinds in (["string", "block"], ["word", "block"]):
        label = _label(text, rest[0])
        if label is not None:
            return ("backend" if word == "backend" else "state_store"), label
    return "unreadable", None


def _label(text: str, token: Token) -> str | None:
    """The label as the tools read it, or None when it holds a template."""
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
    """The kinds of declaration that python-hcl2 reads; none when it cannot read the block."""
    # Imported here: it costs more than inspecting a folder that has no candidate.
    from hcl2 import loads  # noqa: PLC0415
    from hcl2.utils import SerializationOptions  # noqa: PLC0415

    options = SerializationOptions(with_comments=False, strip_string_quotes=True)
    try:
        document: dict[str, Any] = loads(source + "\n", serialization_options=options)
    except Exception:  # noqa: BLE001 - it raises whatever its parser meets, RecursionError too
        return set()
    return {key for body in document.get("terraform", []) for key in body if WORDS.fullmatch(key)}


def _in_broken(text: str) -> list[Declaration]:
    """A file the lexer cannot follow: one of the words behind `terraform` counts."""
    start = _TERRAFORM.search(text)
    word = WORDS.search(text, start.end()) if start else None
    if word is None:
        return []
    return [Declaration("unreadable", None, text.count("\n", 0, word.start()) + 1)]
