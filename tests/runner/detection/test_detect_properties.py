"""Properties that hold for every configuration, tested with generated ones."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.detection.detect import Verdict, inspect
from runner.job import ToolName

WORDS = ("terraform", "backend", "cloud", "state_store")
SCRAPS = (
    *(
        "{",
        "}",
        '"',
        "\n",
        " ",
        "#",
        "//",
        "/*",
        "*/",
        "<<E\n",
        "<<-E\r\n",
        "\nE\n",
        "${",
        "%{",
        "~}",
    ),
    *("$${", "%%{", "\\", '\\"', "=", "[", "]", "(", ")", ",", "\r", "\t", "\ufeff", "é", "\x00"),
    *(*WORDS, 'terraform {\n  backend "s3" {\n', "terraform {\n  cloud {\n", ":", "null", "1"),
)
SNIPPETS = (
    'backend "x" {}',
    "terraform {",
    "cloud {",
    "}",
    "{",
    '"',
    "'",
    "*",
    "<",
    "é",
    "a b",
    " ",
)

plain_text = st.lists(st.sampled_from(SNIPPETS), max_size=6).map(" ".join)
line_comment = st.builds("{}{}\n".format, st.sampled_from(["#", "//", " # "]), plain_text)
remark = plain_text.map(lambda text: f"/* {text} */\n")
string = plain_text.map(lambda text: '"' + text.replace('"', '\\"') + '"')
template = st.builds('"a ${{{}}} b$"'.format, string)
heredoc = st.builds("<<{0}EOT\n{1}\n{1} EOT\n  EOT".format, st.sampled_from(["", "-"]), plain_text)
value = st.one_of(string, template, heredoc, st.sampled_from(["1", "var.backend", "[]", "{}"]))
block = st.builds(
    "{} {{\n  backend = {}\n}}\n".format,
    st.sampled_from(['resource "a" "b"', "locals", 'module "terraform"', 'variable "cloud"']),
    value,
)
noise = st.lists(st.one_of(line_comment, remark, block, st.just("\n")), max_size=5).map("".join)
inner = st.lists(st.one_of(line_comment, remark, st.just("\n")), max_size=3).map("".join)

tools: st.SearchStrategy[ToolName] = st.sampled_from(["terraform", "tofu"])


def verdict_of(files: dict[str, bytes], tool: ToolName) -> Verdict:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        return inspect(Path(folder), tool)


@settings(max_examples=150)
@given(noise, noise, inner, tools, st.sampled_from(["\n", "\r\n"]))
def test_noise_around_a_block_never_hides_it_or_changes_its_line(
    before: str, after: str, within: str, tool: ToolName, line_end: str
) -> None:
    text = f'{before}terraform {{\n{within}  backend "hit" {{}}\n{within}}}\n{after}'
    line = (before + "terraform {\n" + within).count("\n") + 1

    verdict = verdict_of({"main.tf": text.replace("\n", line_end).encode()}, tool)

    assert (str(verdict), verdict.line) == ("backend:hit", line)


@settings(max_examples=150)
@given(st.lists(noise, min_size=1, max_size=3), inner, tools)
def test_noise_alone_is_never_a_backend(texts: list[str], within: str, tool: ToolName) -> None:
    files = {f"{n}.tf": text.encode() for n, text in enumerate(texts)}
    files["versions.tf"] = f'terraform {{\n{within}  required_version = ">= 1"\n}}\n'.encode()

    assert str(verdict_of(files, tool)) == "none"


@settings(max_examples=200)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(st.sampled_from(SCRAPS), max_size=40).map(lambda scraps: "".join(scraps).encode()),
    ),
    st.sampled_from(["a.tf", "a.tf.json", "a_override.tf", "a.tofu.json"]),
    tools,
)
def test_no_bytes_make_the_inspection_fail(content: bytes, name: str, tool: ToolName) -> None:
    verdict = verdict_of({name: content, "main.tf": b""}, tool)

    assert verdict.explicit == (str(verdict) != "none")
    assert (verdict.file is None) == (not verdict.explicit)


@settings(max_examples=100)
@given(st.lists(st.sampled_from(SCRAPS), max_size=40).map("".join))
def test_a_block_after_broken_syntax_still_makes_the_file_unreadable(junk: str) -> None:
    # An odd quote before the block: no reading of this file is sure, so `none` would be a guess.
    text = f'x {{\n  y = "\n{junk}\n}}\nterraform {{\n  backend "hit" {{}}\n}}\n'

    assert verdict_of({"main.tf": text.encode()}, "terraform").explicit
