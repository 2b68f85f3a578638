"""What a run would find in some sources, and what it would inject: without a run, and no tool.

Nothing of the sources is executed. What it says is JSON, because it is made in a process of its own
(execution/preview_process.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import TypedDict

from runner.detection import cli_workspace, declared, detect, override, required_version
from runner.detection.detect import Surroundings, Verdict
from runner.detection.override import Override
from runner.errors import DetectionError, Fact, RunnerError
from runner.job import Backend, BackendMode, Source, ToolName
from runner.recipes.inspection import PLACEHOLDER
from runner.sources import listing, named_files, source
from runner.sources.checkout import configured
from runner.sources.source import Checkout

_MOST_WARNINGS = 50
_FOLDERS = 8
_LONGEST = 500  # letters of a warning


@dataclass(frozen=True)
class Wanted:
    """The fields of a template that decide what a run finds. `address` is that of the state."""

    source: Source
    tool: ToolName = "terraform"
    backend_mode: BackendMode = "auto"
    override_file: str | None = None
    ignored_wrappers: tuple[str, ...] = ()
    variable_files: tuple[str, ...] = ()
    address: str = PLACEHOLDER


class DetectionJson(TypedDict):
    verdict: str
    explicit: bool
    file: str | None
    line: int | None
    why: str
    wrapper: str | None


class FileJson(TypedDict):
    name: str
    text: str


class RequirementJson(TypedDict):
    text: str | None
    where: str


class VariableJson(TypedDict):
    """`default` is None for a required one, and for a sensitive one. `is_set`: by a file."""

    name: str
    type: str | None
    required: bool
    default: str | None
    description: str
    sensitive: bool
    where: str
    is_set: bool


class ProblemJson(TypedDict):
    """What would stop a run, or keep it from beginning."""

    code: str
    message: str
    facts: dict[str, Fact]


class PreviewJson(TypedDict):
    commit: str | None
    subject: str
    author: str
    detection: DetectionJson | None
    override: FileJson | None
    requirements: list[RequirementJson]
    variables: list[VariableJson]
    warnings: list[str]
    problem: ProblemJson | None
    refs: list[str]


def preview(wanted: Wanted, work: Path, seconds: float) -> PreviewJson:
    """Check out the sources in `work`, which is empty, and look at them. It raises for no source.

    `refs` are names like that of a branch that is missing.
    """
    ends = monotonic() + seconds
    found = _nothing()
    try:
        checkout = source.clone(wanted.source, work / "source", work=work, deadline=seconds)
        found["commit"], found["subject"] = checkout.commit, checkout.subject
        found["author"], found["warnings"] = checkout.author, [*checkout.warnings]
        _look(wanted, checkout, found)
    except RunnerError as error:
        facts = dict(error.facts)
        if error.code == "nothing-to-run":
            facts["folders"] = list(islice(configured(work / "source"), _FOLDERS))
        found["problem"] = {"code": error.code, "message": error.message, "facts": facts}
        if error.code == "ref-not-found":
            found["refs"] = listing.close_to(wanted.source, work, max(1.0, ends - monotonic()))
    found["warnings"] = [said[:_LONGEST] for said in found["warnings"][:_MOST_WARNINGS]]
    return found


def _look(wanted: Wanted, checkout: Checkout, found: PreviewJson) -> None:
    """Put into `found` what the checkout has. Raises DetectionError and SourceError."""
    tool, folder = wanted.tool, checkout.folder
    around = Surroundings(checkout.root, wanted.ignored_wrappers)
    verdict = detect.inspect(folder, tool, None, around)
    found["detection"] = _as_json(verdict)
    found["requirements"] = [
        {"text": one.text, "where": one.where} for one in required_version.required(folder, tool)
    ]
    files = named_files.outside(checkout, wanted.variable_files)
    given = declared.names_set(folder, checkout.root, files)
    found["variables"] = [_variable(one, given) for one in declared.variables(folder, tool)]
    try:
        injected = _injected(wanted, folder, verdict)
    except DetectionError:
        found["warnings"] += verdict.warnings
        raise
    found["warnings"] += injected.warnings if injected else verdict.warnings
    if verdict.workspace_at and (injected or verdict.kind != "cloud"):
        found["warnings"].append(cli_workspace.warning(verdict.workspace_at))
    if injected:
        found["override"] = {"name": injected.file_name, "text": injected.text}


def _injected(wanted: Wanted, folder: Path, verdict: Verdict) -> Override | None:
    at = wanted.address
    backend = Backend(at, at, at, username="", password="")
    return override.plan_override(
        folder, wanted.tool, None, verdict, wanted.backend_mode, backend, wanted.override_file
    )


def _nothing() -> PreviewJson:
    return {
        "commit": None, "subject": "", "author": "", "detection": None, "override": None,
        "requirements": [], "variables": [], "warnings": [], "problem": None, "refs": [],
    }  # fmt: skip


def _as_json(verdict: Verdict) -> DetectionJson:
    return {
        "verdict": str(verdict),
        "explicit": verdict.explicit,
        "file": verdict.file,
        "line": verdict.line,
        "why": verdict.why,
        "wrapper": verdict.wrapper.name if verdict.wrapper else None,
    }


def _variable(one: declared.Declared, given: set[str]) -> VariableJson:
    return {
        "name": one.name,
        "type": one.type,
        "required": one.default is None,
        "default": None if one.sensitive else one.default,
        "description": one.description,
        "sensitive": one.sensitive,
        "where": one.file if one.line is None else f"{one.file}:{one.line}",
        "is_set": one.name in given,
    }
