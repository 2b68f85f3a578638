"""What completes a backend block of the sources (-backend-config), and what is missing in it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from runner.detection.detect import Verdict
from runner.job import Job, Variable, VariableKind
from runner.tools.variables import assignments

_MOST_BYTES = 1 << 20  # of a file that is read for the names in it
_SETTING = re.compile(r'^[ \t{,]*"?([A-Za-z_][\w-]*)"?[ \t]*[=:]', re.MULTILINE)
KIND: VariableKind = "backend_config"
# without these no backend of this type can be opened; each with variables that may give it
_NEEDED: dict[str, dict[str, tuple[str, ...]]] = {
    "azurerm": dict.fromkeys(("storage_account_name", "container_name", "key"), ()),
    "consul": {"path": ()},
    "cos": {"bucket": (), "region": ("TENCENTCLOUD_REGION",)},
    "gcs": {"bucket": ()},
    "http": {"address": ("TF_HTTP_ADDRESS",)},
    "kubernetes": {"secret_suffix": ()},
    "oci": {"bucket": (), "namespace": ()},
    "oss": {"bucket": ()},
    "pg": {"conn_str": ("PG_CONN_STR", "PGHOST", "PGDATABASE", "PGUSER")},
    "remote": {"organization": ("TF_CLOUD_ORGANIZATION",)},
    "s3": {"bucket": (), "key": ()},
}


def write(folder: Path, variables: Iterable[Variable]) -> Path | None:
    """Write the variables of this kind into a file for -backend-config; None if there are none.

    A file, because others on the machine see the arguments of a command. Raises ToolError with
    `variable-invalid`.
    """
    content = assignments(variables, KIND)
    if content is None:
        return None
    path = folder / "backend.tfbackend"
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def missing(verdict: Verdict, given: Collection[str], environment: Mapping[str, str]) -> list[str]:
    """The settings that the backend needs, and that neither the sources nor the workspace have."""
    if verdict.kind != "backend" or verdict.type is None:
        return []
    needed = _NEEDED.get(verdict.type, {})
    return [
        name
        for name, variables in needed.items()
        if name not in verdict.settings
        and name not in given
        and not any(environment.get(variable) for variable in variables)
    ]


def names(job: Job) -> set[str]:
    return {v.name for v in job.variables if v.kind == KIND}


def names_in(files: Iterable[Path]) -> set[str]:
    """The settings that files for -backend-config have, as far as they are read easily."""
    found: set[str] = set()
    for file in files:
        with file.open("rb") as opened:
            text = opened.read(_MOST_BYTES).decode(errors="replace")
        found.update(match[1] for match in _SETTING.finditer(text))
    return found


def explanation(verdict: Verdict, absent: Collection[str], job: Job, said: str) -> str:
    """What a person has to do about a block that lacks these settings."""
    first = next(iter(absent))
    wrapper = "" if verdict.wrapper is None else f" {verdict.wrapper.why}, which may set them."
    return (
        f"{verdict.where} configures {verdict} without {', '.join(absent)}, which is set by "
        f"-backend-config elsewhere.{wrapper} Set what is missing as variables of kind {KIND}: "
        f"`stateroom variables set -w {job.workspace} --backend-config {first} VALUE`, or POST "
        f'.../workspaces/{job.workspace}/variables with {{"kind": "{KIND}", "name": "{first}", '
        '"value": "..."}. To keep the state here instead, do that, then queue import-state '
        f"(`stateroom runs queue -w {job.workspace} --operation import-state`), then set the "
        f"template's backend mode to override. {said}"
    )
