"""Write a text as a string of HCL."""

from __future__ import annotations

_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x20), 0x7F)} | {
    ord("\n"): r"\n",
    ord("\r"): r"\r",
    ord("\t"): r"\t",
    ord('"'): r"\"",
    ord("\\"): r"\\",
}


def hcl_string(value: str) -> str:
    """The value as a quoted HCL string, with escapes, templates and control characters quoted."""
    # "$$${" would be a dollar and a template, so the first character is written as \u escape.
    escaped = value.translate(_ESCAPES).replace("${", "\\u0024{").replace("%{", "\\u0025{")
    return f'"{escaped}"'
