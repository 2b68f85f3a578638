"""The variables of a run, as a file that is only ever in memory.

They go to the tool as `-var-file=/dev/stdin`. TF_VAR_name would be weaker than any terraform.tfvars
of the repository, would take a string for an expression or an expression for a string depending on
the type that the variable is declared with, and ends at 128 KiB.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from runner.detection.config_files import ConfigFile, Unreadable, configuration, read
from runner.errors import ToolError
from runner.job import Variable
from runner.tools.tool import Tool

_NAME = re.compile(r"[^\W\d][\w-]*")
_ESCAPES = {code: f"\\u{code:04x}" for code in (*range(0x20), 0x7F)} | {
    ord("\n"): r"\n",
    ord("\r"): r"\r",
    ord("\t"): r"\t",
    ord('"'): r"\"",
    ord("\\"): r"\\",
}


def var_file(variables: Iterable[Variable]) -> bytes | None:
    """The terraform variables among them in HCL, or None without any. Of one name the last counts.

    Raises ToolError `variable-invalid`.
    """
    lines = {v.name: _assignment(v) for v in variables if v.kind == "terraform"}
    return "".join(lines.values()).encode() if lines else None


def may_be_ephemeral(folder: Path, tool: Tool) -> bool:
    """Whether the sources may declare an ephemeral variable: to ask the tool takes a start of it.

    Raises DetectionError `folder-unreadable`.
    """
    return any(map(_says_ephemeral, configuration(folder, tool.name, tool.version)))


def _says_ephemeral(file: ConfigFile) -> bool:
    try:
        content = read(file)
    except Unreadable:
        return True
    return b"ephemeral" in content or (file.is_json and rb"\u" in content)


def ephemeral(variables: Iterable[Variable], plan: Mapping[str, Any]) -> tuple[Variable, ...]:
    """Those that a saved plan (`show -json`) does not hold: apply has to be given them again."""
    declared = plan.get("configuration", {}).get("root_module", {}).get("variables", {})
    wanted = set(declared) - set(plan.get("variables", {}))
    return tuple(v for v in variables if v.kind == "terraform" and v.name in wanted)


def _assignment(variable: Variable) -> str:
    if not _NAME.fullmatch(variable.name):
        raise ToolError("variable-invalid", f"{variable.name!r} cannot be a variable's name.")
    if variable.is_expression:
        if not variable.value.strip():
            raise ToolError("variable-invalid", f"The expression of {variable.name} is empty.")
        # the brackets keep a value from setting other variables
        return f"{variable.name} = (\n{variable.value}\n)\n"
    return f"{variable.name} = {_quoted(variable)}\n"


def _quoted(variable: Variable) -> str:
    try:
        variable.value.encode()
    except UnicodeEncodeError as error:
        message = f"The value of {variable.name} is no valid text."
        raise ToolError("variable-invalid", message) from error
    text = variable.value.translate(_ESCAPES).replace("${", "$${").replace("%{", "%%{")
    return f'"{text}"'
