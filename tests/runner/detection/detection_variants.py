"""Small root modules, each with a difficulty, and the right verdict for each tool.

The backend types are made up: a tool that sees the block says so by name, without credentials.
A value is a file's text or bytes, or a LinkTo; a name that ends in / is a folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class LinkTo:
    target: str


@dataclass(frozen=True)
class Variant:
    verdict: str
    files: dict[str, str | bytes | LinkTo] = field(hash=False)
    tofu: str | None = None  # where it differs

    def expected(self, tool: str) -> str:
        return self.tofu if tool == "tofu" and self.tofu is not None else self.verdict

    def create(self, folder: Path) -> Path:
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            if isinstance(content, LinkTo):
                (folder / name).symlink_to(content.target)
            elif name.endswith("/"):
                (folder / name).mkdir()
            else:
                data = content.encode() if isinstance(content, str) else content
                (folder / name).write_bytes(data)
        return folder


PLAIN = 'resource "terraform_data" "a" {\n}\n'


def backend(kind: str) -> str:
    return f'terraform {{\n  backend "{kind}" {{}}\n}}\n'


def local_then(value: str, kind: str = "hit") -> str:
    """A value that could swallow the backend block behind it, were it read wrongly."""
    return f"locals {{\n  x = {value}\n}}\n{backend(kind)}"


HIT = backend("hit")
CLOUD = 'terraform {\n  cloud {\n    organization = "o"\n  }\n}\n'
HIT_JSON = '{"terraform":{"backend":{"hit":{}}}}'

LEXING: dict[str, str | bytes] = {
    "a brace in a string": local_then('"{"'),
    "a quote in an interpolation": local_then('"${"}"}"'),
    "a newline in an interpolation": local_then('"${\n1\n}"'),
    "a comment with a brace in an interpolation": local_then('"${1 # }"\n}"'),
    "a remark with a brace in an interpolation": local_then('"${1 /* }" */}"'),
    "a heredoc in an interpolation": local_then('"${<<E\n}"\nE\n}"'),
    "an object in an interpolation": local_then('"${{ a = "}" }.a}"'),
    "an escaped interpolation": local_then('"$${"'),
    "a dollar before an escaped interpolation": local_then('"$$${"'),
    "two dollars before an escaped interpolation": local_then('"$$$${"'),
    "an escaped directive": local_then('"%%{"'),
    "a percent sign before an interpolation": local_then('"%${1}"'),
    "a dollar before the quote": local_then('"a$"'),
    "a dollar before a backslash": local_then('"a$\\""'),
    "a strip marker": local_then('"${~ 1 ~}"'),
    "a directive in a string": local_then('"%{ if true }{%{ endif }"'),
    "a quote in a heredoc": local_then('<<E\n"\nE'),
    "a marker that is not alone": local_then("<<E\nE x\nxE\nE"),
    "a marker behind an interpolation": local_then("<<E\n${1}E\nE"),
    "a marker behind white space": local_then("<<E\na\n\t E \nE").replace("\nE\n}", "\n}"),
    "a marker behind a no-break space": local_then("<<E\na\n\u00a0E\u00a0"),
    "a marker behind a line separator": local_then("<<E\na\n\u2028E"),
    "a marker beyond ASCII": local_then('<<é\n"\né'),
    "a marker with a dash": local_then('<<-E-1\n  "\n  E-1'),
    "a dollar at the end of a heredoc line": local_then("<<E\na$\nE"),
    "a percent sign at the end of a heredoc line": local_then("<<E\n100%\nE"),
    "a backslash at the end of a heredoc line": local_then("<<E\n\\\nE"),
    "a heredoc with CRLF": local_then('<<E\r\n"\r\nE\r'),
    "a shift that is a heredoc": local_then('[<<E\n"]\nE\n]'),
    "a remark that looks nested": "/* /* */\n" + HIT,
    "the shortest remark": "/**/\n" + HIT + "/***/\n",
    "a remark between type and brace": "terraform /* a\n b */ {\n  backend /* { */ x /**/ {}\n}\n",
    "a comment behind the brace": 'terraform { // }\n  backend "hit" { # }\n  }\n}\n',
    "a NUL in a comment": '# \x00 " {\n' + HIT,
    "bytes that are no UTF-8 in a comment": b'# \xff\xfe " {\n' + HIT.encode(),
    "a byte order mark": "\ufeff" + HIT,
    "no newline at the end": HIT[:-1],
    "a label with an escape": backend("h\\u0069t"),
    "a label beyond ASCII": "terraform {\n  backend é {}\n}\n",
    "the words as names of arguments": "terraform {\n  required_providers {\n    backend = {\n"
    '      source = "terraform.io/builtin/terraform"\n    }\n  }\n}\nlocals {\n  backend = 1\n  cloud = 2\n}\n',
    "blocks called terraform elsewhere": 'variable "terraform" {\n}\nlocals {\n  terraform = {\n'
    '    backend = "s3" }\n}\n',
    "a backend in a comment of the block": 'terraform {\n  # backend "x" {}\n  /*\n  cloud {}\n*/\n}\n',
}
_LEXED = {"a remark between type and brace": "backend:x", "a label beyond ASCII": "backend:é"}
_UNSET = (
    "the words as names of arguments",
    "blocks called terraform elsewhere",
    "a backend in a comment of the block",
)


def _lexing(name: str, text: str | bytes) -> Variant:
    verdict = "none" if name in _UNSET else _LEXED.get(name, "backend:hit")
    return Variant(verdict, {"main.tf": text})


JSON: dict[str, tuple[str, str | bytes]] = {
    "json: an object": ("backend:hit", HIT_JSON),
    "json: a key with an escape": (
        "backend:hit",
        '{"terr\\u0061form":{"b\\u0061ckend":{"hit":{}}}}',
    ),
    "json: the same key twice": (
        "backend:hit",
        '{"terraform":{"backend":{"hit":{}}},"terraform":{"required_version":">= 1"}}',
    ),
    "json: two backends under the same key": (
        "conflict",
        '{"terraform":{"backend":{"a":{}},"backend":{"b":{}}}}',
    ),
    "json: two types in one object": ("conflict", '{"terraform":{"backend":{"a":{},"b":{}}}}'),
    "json: two bodies in an array": ("conflict", '{"terraform":{"backend":{"a":[{},{}]}}}'),
    "json: an array of arrays": ("backend:hit", '{"terraform":[[{"backend":{"hit":{}}}]]}'),
    "json: an array at the top": ("backend:hit", "[{}," + HIT_JSON + "]"),
    "json: cloud is null": ("none", '{"terraform":{"cloud":null}}'),
    "json: the type is null": ("none", '{"terraform":{"backend":{"s3":null}}}'),
    "json: the type is an empty array": ("none", '{"terraform":{"backend":{"s3":[]}}}'),
    "json: backend is null": ("unreadable", '{"terraform":{"backend":null}}'),
    "json: backend is an empty array": ("unreadable", '{"terraform":{"backend":[]}}'),
    "json: backend is a string": ("unreadable", '{"terraform":{"backend":"s3"}}'),
    "json: the type is a string": ("unreadable", '{"terraform":{"backend":{"s3":"x"}}}'),
    "json: a comment": ("none", '{"//":{"terraform":{"backend":{"s3":{}}}}}'),
    "json: the words in values": ("none", '{"locals":{"a":{"terraform":{"backend":{"s3":{}}}}}}'),
    "json: a byte order mark": ("unreadable", "\ufeff" + HIT_JSON),
    "json: text behind the value": ("unreadable", HIT_JSON + "}"),
    "json: broken without a word": ("none", '{"terraform":'),
    "json: bytes that are no UTF-8": (
        "backend:hit",
        b'{"//":"\xff","terraform":{"backend":{"hit":{}}}}',
    ),
}

NAMES: dict[str, Variant] = {
    "an override that only looks like one": Variant("conflict", {"a.tf": HIT, "Override.tf": HIT}),
    "an override called override": Variant(
        "backend:hit", {"a.tf": backend("no"), "override.tf": HIT}
    ),
    "an override with nothing before the underscore": Variant(
        "backend:hit", {"a.tf": backend("no"), "_override.tf": HIT}
    ),
    "json overrides count by the whole name": Variant(
        "backend:hit",
        {"a.tf": PLAIN, "b_override.tf": backend("no"), "b_override.tf.json": HIT_JSON},
    ),
    "a tilde sorts after the letters": Variant(
        "backend:hit", {"a.tf": PLAIN, "zz_override.tf": backend("no"), "~_override.tf": HIT}
    ),
    "bytes sort, not letters": Variant(
        "backend:hit", {"a.tf": PLAIN, "Z_override.tf": backend("no"), "a_override.tf": HIT}
    ),
    "cloud wins inside an override": Variant(
        "cloud", {"a.tf": PLAIN, "o_override.tf": CLOUD + HIT}
    ),
    "two backends in one override": Variant(
        "conflict", {"a.tf": PLAIN, "o_override.tf": HIT + HIT}
    ),
    "two backends in an override that is not the last": Variant(
        "conflict", {"a.tf": PLAIN, "a_override.tf": HIT + HIT, "b_override.tf": backend("b")}
    ),
    "an override replaces cloud": Variant("backend:hit", {"a.tf": CLOUD, "o_override.tf": HIT}),
    "two cloud blocks": Variant("conflict", {"a.tf": CLOUD, "b.tf": CLOUD}),
    "only an override": Variant("backend:hit", {"o_override.tf": HIT}),
    "a folder with the extension": Variant("none", {"a.tf": PLAIN, "b.tf/": ""}),
    "a link to a folder": Variant("unreadable", {"a.tf": PLAIN, "d/": "", "b.tf": LinkTo("d")}),
    "a link to nothing": Variant("unreadable", {"a.tf": PLAIN, "b.tf": LinkTo("gone")}),
    "a link to a file": Variant("backend:hit", {"b.tf": LinkTo("b.txt"), "b.txt": HIT}),
    "a name with only one hash": Variant("backend:hit", {"#b.tf": HIT}),
    "a test file": Variant("none", {"a.tf": PLAIN, "a.tftest.hcl": ""}),
    "an unreadable hidden file": Variant(
        "unreadable", {"a.tf": LinkTo("x"), "a.tofu": PLAIN}, "none"
    ),
    "a hidden conflict": Variant(
        "conflict", {"a.tf": HIT, "b.tf": HIT, "b.tofu": PLAIN}, "backend:hit"
    ),
    "an empty file hides": Variant("backend:hit", {"a.tf": HIT, "a.tofu": ""}, "none"),
    "a folder hides nothing": Variant("backend:hit", {"a.tf": HIT, "a.tofu/": ""}),
    "an ignored file hides nothing": Variant("backend:hit", {"a.tf": HIT, "a.tofu~": ""}),
    "a hidden override": Variant(
        "backend:hit", {"a.tf": PLAIN, "o_override.tf": HIT, "o_override.tofu": ""}, "none"
    ),
    "state_store in a primary file": Variant(
        "state_store:x", {"a.tf": 'terraform {\n  state_store "x" {\n  }\n}\n'}
    ),
    "a broken file with a backend": Variant("unreadable", {"a.tf": '"\n' + HIT}),
    "a broken file with a backend before the break": Variant("backend:hit", {"a.tf": HIT + '"\n'}),
    "a broken file without the words": Variant("none", {"a.tf": "terraform {\n", "b.tf": PLAIN}),
    "a backend without a label": Variant("unreadable", {"a.tf": "terraform {\n  backend {}\n}\n"}),
    "a backend with two labels": Variant(
        "unreadable", {"a.tf": 'terraform {\n  backend "a" "b" {}\n}\n'}
    ),
    "a backend with a template as label": Variant(
        "unreadable", {"a.tf": 'terraform {\n  backend "a${1}" {}\n}\n'}
    ),
    "a backend as an argument": Variant(
        "unreadable", {"a.tf": 'terraform {\n  backend = "s3"\n}\n'}
    ),
    "a backend on the block's line": Variant(
        "backend:s3", {"a.tf": 'terraform { backend "s3" {} }\n'}
    ),
    "no configuration": Variant("empty", {"README.md": "x", "a.tfvars": "x"}),
}

VARIANTS: dict[str, Variant] = (
    {name: _lexing(name, text) for name, text in LEXING.items()}
    | {name: Variant(verdict, {"main.tf.json": text}) for name, (verdict, text) in JSON.items()}
    | NAMES
)
