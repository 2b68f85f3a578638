"""The results of `stateroom inspect`: which backend each folder has, and what a run would write.

Exit status, for scripts: 0 if every folder can run in backend mode auto; 1 if one cannot (empty,
conflict, unreadable, or no file name works); 2 if a path could not be read.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from runner.detection import cli_workspace
from runner.detection.config_files import EXTENSIONS, Version, is_ignored, shown
from runner.detection.detect import Surroundings, Verdict, inspect
from runner.detection.override import Override, plan_override
from runner.detection.wrappers import Listings
from runner.errors import DetectionError
from runner.job import Backend, ToolName

# A placeholder for the address of a workspace's state: `inspect` has no server.
PLACEHOLDER = "https://stateroom.example/api/terraform/state/PROJECT/WORKSPACE"
_BACKEND = Backend(PLACEHOLDER, PLACEHOLDER, PLACEHOLDER, username="", password="")


class FindingJson(TypedDict):
    """One line of `stateroom inspect --json`. `text` is the content of the file to be written."""

    path: str
    tool: ToolName
    verdict: str | None
    explicit: bool | None
    file: str | None
    line: int | None
    why: str
    inject: bool
    override_file: str | None
    text: str | None
    warnings: list[str]
    error: dict[str, str] | None


@dataclass(frozen=True)
class Finding:
    """`verdict` is None if the path could not be read; `override` is None if nothing is injected.

    `error` would stop a run in mode auto. `name` is shown instead of the path.
    """

    path: Path
    tool: ToolName
    verdict: Verdict | None = None
    override: Override | None = None
    error: DetectionError | None = None
    name: str | None = None

    @property
    def exit_status(self) -> int:
        if self.verdict is None:
            return 2
        return 1 if self.error else 0


def inspect_many(
    paths: Iterable[Path],
    tool: ToolName,
    version: Version | None = None,
    ignored_wrappers: Collection[str] = (),
) -> Iterator[Finding]:
    """Yield one finding for each path, in order. It never raises for a path."""
    around = Surroundings(None, ignored_wrappers, Listings())
    for path in paths:
        yield _inspect(path, tool, version, around)


def modules_under(root: Path) -> Iterator[Path]:
    """Every folder below `root` with configuration, except links and hidden folders."""
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith("."))
        if any(name.endswith(EXTENSIONS) and not is_ignored(name) for name in names):
            yield Path(folder)


def as_json(finding: Finding) -> FindingJson:
    verdict, override, error = finding.verdict, finding.override, finding.error
    warnings = override.warnings if override else verdict.warnings if verdict else ()
    if verdict and verdict.workspace_at and (override or verdict.kind != "cloud"):
        warnings = (*warnings, cli_workspace.warning(verdict.workspace_at))
    return {
        "path": shown(finding.name or str(finding.path)),
        "tool": finding.tool,
        "verdict": str(verdict) if verdict else None,
        "explicit": verdict.explicit if verdict else None,
        "file": verdict.file if verdict else None,
        "line": verdict.line if verdict else None,
        "why": verdict.why if verdict else "",
        "inject": override is not None,
        "override_file": override.file_name if override else None,
        "text": override.text if override else None,
        "warnings": list(warnings),
        "error": {"code": error.code, "message": error.message} if error else None,
    }


def as_text(finding: Finding) -> str:
    """A finding as text for people, without a line end."""
    row = as_json(finding)
    verdict = finding.verdict
    lines = [f"{row['path']}: {row['verdict'] or 'cannot be read'} ({finding.tool})"]
    if verdict:
        lines.append("  why: " + (f"{verdict.where}: " if verdict.where else "") + verdict.why)
    lines += [f"  warning: {warning}" for warning in row["warnings"]]
    if finding.error:
        lines.append(f"  {finding.error.code}: {finding.error.message}")
    elif finding.override:
        lines.append(f"  a run in mode auto writes {finding.override.file_name}:")
        lines += [f"    {line}" for line in finding.override.text.splitlines()]
    else:
        lines.append("  a run in mode auto injects nothing: it uses this backend")
    return "\n".join(lines)


def exit_status(findings: Iterable[Finding]) -> int:
    return max((finding.exit_status for finding in findings), default=0)


def _inspect(path: Path, tool: ToolName, version: Version | None, around: Surroundings) -> Finding:
    try:
        verdict = inspect(path, tool, version, around)
    except DetectionError as error:
        return Finding(path, tool, error=error)
    try:
        override = plan_override(path, tool, version, verdict, "auto", _BACKEND, None)
    except DetectionError as error:
        return Finding(path, tool, verdict, error=error)
    return Finding(path, tool, verdict, override)
