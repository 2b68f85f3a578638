"""The variables of a run, as a variables file that exists only in memory.

The tool gets it as `-var-file=/dev/stdin`. TF_VAR_name is not used, because a terraform.tfvars in
the repository would override it, because the declared type would decide whether it is a string or
an expression, and because it is limited to 128 KiB.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from runner.detection.config_files import ConfigFile, Unreadable, configuration, read
from runner.detection.hcl_text import hcl_string
from runner.errors import ToolError
from runner.job import Variable, VariableKind
from runner.tools.tool import Tool

_NAME = re.compile(r"[^\W\d][\w-]*")


def var_file(variables: Iterable[Variable]) -> bytes | None:
    """The terraform variables in HCL, or None if there are none. Raises as `assignments`."""
    return assignments(variables, "terraform")


def assignments(variables: Iterable[Variable], kind: VariableKind) -> bytes | None:
    """The variables of a kind in HCL, or None if there are none. Of equal names the last counts.

    Raises ToolError with `variable-invalid`.
    """
    lines = {v.name: _assignment(v) for v in variables if v.kind == kind}
    return "".join(lines.values()).encode() if lines else None


def may_be_ephemeral(folder: Path, tool: Tool) -> bool:
    """Whether the sources may declare an ephemeral variable. It saves starting the tool to ask.

    Raises DetectionError with `folder-unreadable`.
    """
    return any(map(_says_ephemeral, configuration(folder, tool.name, tool.version)))


def _says_ephemeral(file: ConfigFile) -> bool:
    try:
        content = read(file)
    except Unreadable:
        return True
    return b"ephemeral" in content or (file.is_json and rb"\u" in content)


def _assignment(variable: Variable) -> str:
    if not _NAME.fullmatch(variable.name):
        raise ToolError("variable-invalid", f"{variable.name!r} cannot be a variable's name.")
    if variable.type in ("hcl", "number", "bool"):
        if not variable.value.strip():
            raise ToolError("variable-invalid", f"The expression of {variable.name} is empty.")
        # the parentheses keep the value from setting other variables
        return f"{variable.name} = (\n{variable.value}\n)\n"
    return f"{variable.name} = {_quoted(variable)}\n"


def _quoted(variable: Variable) -> str:
    try:
        variable.value.encode()
    except UnicodeEncodeError as error:
        message = f"The value of {variable.name} is not valid text."
        raise ToolError("variable-invalid", message) from error
    return hcl_string(variable.value)
