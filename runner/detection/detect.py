"""Detect which backend the configuration in a folder has, and in which file and line.

The result (the verdict) is what terraform or tofu would find in the same folder. In backend mode
auto, our backend is only configured for the verdict `none`. A file that cannot be read but may
configure a backend gives `unreadable`, and the run is refused. If the tools find nothing, but a
wrapper such as Terragrunt runs the folder, the verdict is `wrapper:terragrunt`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from runner.detection.cli_workspace import Candidate, first_use, may_matter
from runner.detection.config_files import (
    ConfigFile,
    Unreadable,
    Version,
    configuration,
    leaves,
    read,
    shown,
)
from runner.detection.hcl_blocks import Declaration, ParseBudget, in_hcl
from runner.detection.json_blocks import in_json
from runner.detection.wrappers import Listings, Wrapper, find, repository_of
from runner.job import ToolName

VerdictKind = Literal["none", "empty", "backend", "cloud", "state_store", "conflict", "unreadable"]

_WORDS = (b"backend", b"cloud", b"state_store")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Verdict:
    """`file` and `line` (from 1) are the place of the deciding block; `why` is for people.

    The kind is what the tool itself would find. `wrapper` runs the tool in this folder, and
    `workspace_at` is the place of the first use of terraform.workspace, in local modules too.
    `settings` are the arguments of the backend block, None if they are no plain strings. Everything
    else is safe to print and to store, whatever the repository contains.
    """

    kind: VerdictKind
    type: str | None = None
    file: str | None = None
    line: int | None = None
    why: str = ""
    warnings: tuple[str, ...] = ()
    wrapper: Wrapper | None = None
    workspace_at: str | None = field(default=None, compare=False)
    settings: Mapping[str, str | None] = field(default_factory=dict, compare=False, repr=False)

    @property
    def explicit(self) -> bool:
        """Whether the sources configure, or may configure, where their state is stored."""
        return self.kind not in ("none", "empty") or self.wrapper is not None

    @property
    def where(self) -> str:
        """`file:line`, as far as they are known."""
        return ":".join(str(part) for part in (self.file, self.line) if part is not None)

    def __str__(self) -> str:
        if self.wrapper is not None and self.kind in ("none", "empty"):
            return f"wrapper:{self.wrapper.name}"
        return self.kind if self.type is None else f"{self.kind}:{self.type}"


@dataclass(frozen=True)
class _Finding:
    file: ConfigFile
    declaration: Declaration
    problem: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What is known about the folder besides its content.

    `root` is that of the repository: without it, it is looked for. `ignored` are the names of
    wrappers that do not count, because a person says so. `listings` remembers folders that several
    modules have as parents.
    """

    root: Path | None = None
    ignored: Collection[str] = ()
    listings: Listings | None = None


def inspect(
    folder: Path,
    tool: ToolName,
    version: Version | None = None,
    around: Surroundings = Surroundings(),
) -> Verdict:
    """The verdict on the root module in this folder. Sub-folders do not count.

    Raises DetectionError with `folder-unreadable`. The content of a file never makes it raise.
    """
    candidates: list[Candidate] = []
    verdict = _of_the_tool(folder, tool, version, candidates)
    wrappers = find(folder, around.root, around.listings)
    ignored = [w for w in wrappers if w.name in around.ignored]
    warnings = (*verdict.warnings, *(f"{w.where}: {w.why}, which is ignored" for w in ignored))
    verdict = replace(verdict, warnings=warnings)
    if candidates:
        root = around.root or repository_of(folder, around.listings)
        verdict = replace(verdict, workspace_at=first_use(candidates, root, tool, version))
    counting = [w for w in wrappers if w.name not in around.ignored]
    return _wrapped(verdict, counting[0]) if counting else verdict


def _wrapped(verdict: Verdict, wrapper: Wrapper) -> Verdict:
    if verdict.explicit:
        warning = f"{wrapper.where}: {wrapper.why}, and may configure it differently"
        return replace(verdict, wrapper=wrapper, warnings=(*verdict.warnings, warning))
    file, line, why = wrapper.file, wrapper.line, f"{wrapper.why}; {verdict.why}"
    return replace(verdict, wrapper=wrapper, file=file, line=line, why=why)


def _of_the_tool(
    folder: Path, tool: ToolName, version: Version | None, candidates: list[Candidate]
) -> Verdict:
    """The verdict without what is around the folder. Files that may matter become candidates."""
    files = configuration(folder, tool, version)
    if not files:
        return Verdict("empty", why=_empty_reason(tool))
    budget = ParseBudget()
    findings = [finding for file in files for finding in _findings(file, budget, candidates)]
    warnings = tuple(
        f"{shown(file.name)} is a link that leaves the folder"
        for file in files
        if leaves(folder, file)
    )
    return _verdict(findings, warnings)


def _findings(file: ConfigFile, budget: ParseBudget, candidates: list[Candidate]) -> list[_Finding]:
    try:
        content = read(file)
    except Unreadable as problem:
        return [_Finding(file, Declaration("unreadable", None, None), str(problem))]
    if may_matter(content):
        candidates.append((file, content))
    return [_Finding(file, declaration) for declaration in _declarations(file, content, budget)]


def _declarations(file: ConfigFile, content: bytes, budget: ParseBudget) -> list[Declaration]:
    if file.is_json:
        return in_json(content.decode("utf-8", "surrogateescape"))
    if b"terraform" not in content or not any(word in content for word in _WORDS):
        return []
    return in_hcl(content.removeprefix(_BOM).decode("utf-8", "surrogateescape"), budget)


def _verdict(findings: list[_Finding], warnings: tuple[str, ...]) -> Verdict:
    clash = _clash(findings)
    if clash:
        return _at(clash[-1], "conflict", warnings, _clash_reason(clash))
    for kind in ("unreadable", "state_store"):
        # The tools fail on a conflict, and no override file can replace a state_store block.
        for finding in findings:
            if finding.declaration.kind == kind:
                return _at(finding, finding.declaration.kind, warnings, finding.problem)
    if not findings:
        return Verdict("none", why="no backend, cloud or state_store block", warnings=warnings)
    effective = _effective(findings)
    if effective.declaration.type == "local":
        warnings += (f"the local backend of {_place(effective)} stores its state in the checkout",)
    return _at(effective, effective.declaration.kind, warnings, "")


def _effective(findings: Sequence[_Finding]) -> _Finding:
    """The block that counts: that of the last override file, and in it cloud before backend."""
    overrides = [f for f in findings if f.file.is_override]
    if not overrides:
        return findings[0]
    last = [f for f in overrides if f.file == overrides[-1].file]
    return next((f for f in last if f.declaration.kind == "cloud"), last[-1])


def _clash(findings: list[_Finding]) -> list[_Finding]:
    """The blocks that the tools do not allow together, or none."""
    readable = [f for f in findings if f.declaration.kind != "unreadable"]
    primary = [f for f in readable if not f.file.is_override]
    if len(primary) > 1:
        return primary[:2]
    seen: dict[tuple[str, str], _Finding] = {}
    for finding in readable:
        if finding.file.is_override:
            first = seen.setdefault((finding.file.name, finding.declaration.kind), finding)
            if first is not finding:
                return [first, finding]
    return []


def _at(finding: _Finding, kind: VerdictKind, warnings: tuple[str, ...], why: str) -> Verdict:
    declared = finding.declaration
    label = shown(declared.type) if declared.type is not None and kind != "conflict" else None
    reason = why or _reason(finding)
    where = shown(finding.file.name), declared.line
    return Verdict(kind, label, *where, reason, warnings, settings=declared.settings)


def _reason(finding: _Finding) -> str:
    if finding.declaration.kind == "unreadable":
        return "what looks like a backend, cloud or state_store block cannot be read"
    override = " in an override file" if finding.file.is_override else ""
    return f"{_block(finding)}{override}"


def _clash_reason(clash: list[_Finding]) -> str:
    return " and ".join(f"{_block(f)} at {_place(f)}" for f in clash)


def _block(finding: _Finding) -> str:
    declared = finding.declaration
    label = "" if declared.type is None else f' "{shown(declared.type)}"'
    return f"{declared.kind}{label}"


def _place(finding: _Finding) -> str:
    return f"{shown(finding.file.name)}:{finding.declaration.line}"


def _empty_reason(tool: ToolName) -> str:
    return f"there is no file that {tool} would read"
