"""What a run of a template would find and inject, before there is a run, or a template."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import structlog
from sqlalchemy import select

from backend import audit, names
from backend.catalogue import keys, projects, sources, templates
from backend.db import now
from backend.models import Project, Template, Worker
from backend.runs import workers
from backend.states import addresses
from backend.transactions import Caller, Installation, Transaction

log = structlog.get_logger()


@dataclass(frozen=True)
class ToolChoice:
    """The tool of a run, as far as the workers that are alive say what they have.

    `asked` is what decides about the version, `version` the one that would run; None: a worker
    decides, or none has it. `available` are all versions of the tool, the newest first.
    """

    name: str
    asked: str | None
    version: str | None
    available: Sequence[str]
    warning: str | None


@dataclass(frozen=True)
class Preview:
    """`found` is what runner/recipes/preview.py says."""

    found: Mapping[str, Any]
    tool: ToolChoice


def preview(
    caller: Caller, project: str, workspace: str | None, **fields: Unpack[templates.Fields]
) -> Preview:
    """Look at the sources of a template with these fields. Nothing of it is stored.

    That a password was sent to the host of a repository is audited.
    `workspace` is the name of the one whose address would be injected. Raises what
    `templates.create` raises, Conflict `superseded`, and Unavailable.
    """
    here, who = caller.here, caller.principal
    with caller.reading() as tx:
        at = projects.named(tx, project)
        template = templates.unsaved(tx, at, **fields)
        alive = workers.alive(workers.every(tx.db), tx.db.scalars(select(now())).one())
        wanted = _wanted(tx, at, template, workspace)
    key = template.key
    if key is not None and key.kind == "password":  # its password goes to the host
        with caller.transaction() as tx:
            audit.record(
                tx, "template.preview", key.id, project_id=at.id,
                name=key.name, repository=template.repository,
            )  # fmt: skip
    found = here.look_at(who.user_id or who.token_id, wanted)
    problem = found["problem"]
    log.info("sources_previewed", project=at.id, refused=problem and problem["code"])
    return Preview(found, _tool(here, alive, template, found["requirements"]))


def _wanted(
    tx: Transaction, project: Project, template: Template, workspace: str | None
) -> Mapping[str, Any]:
    """What has to be looked at, secrets included: it goes to a process, and nowhere else."""
    name = workspace or template.name or names.made_of(sources.last_part(template.repository))
    key = template.key
    return {
        "repository": template.repository,
        "ref": template.ref,
        "path": template.path,
        "credential": {} if key is None else dict(keys.opened(tx.keyring, key)),
        "known_hosts": project.known_hosts,
        "submodules": template.submodules,
        "lfs": template.lfs,
        "tool": template.tool,
        "backend_mode": template.backend_mode,
        "override_file": template.override_file,
        "ignored_wrappers": template.ignored_wrappers,
        "variable_files": template.variable_files,
        "address": addresses.of_workspace(
            tx.settings.url, project.name, name or "WORKSPACE"
        ).address,
    }


def _tool(
    here: Installation,
    alive: Iterable[Worker],
    template: Template,
    requirements: Sequence[Mapping[str, Any]],
) -> ToolChoice:
    held = [tool for worker in alive for tool in worker.tools or ()]
    available = sorted(
        {tool["version"] for tool in held if tool["name"] == template.tool},
        key=_newness,
        reverse=True,
    )
    needed = ", ".join(one["text"] for one in requirements if one["text"])
    asked = template.tool_version
    if asked == "auto":
        asked = needed or None
    fitting = [one for one in available if asked is None or here.tool_fits(asked, one)]
    is_clear = len(fitting) == 1 or (asked is not None and bool(fitting))
    version = fitting[0] if is_clear else None
    warning = _warning(here, template, needed, asked, available, version)
    return ToolChoice(template.tool, asked, version, available, warning)


def _warning(  # noqa: PLR0913 each is one fact of the choice
    here: Installation,
    template: Template,
    needed: str,
    asked: str | None,
    available: Sequence[str],
    version: str | None,
) -> str | None:
    if not available:
        return f"No worker says that it has {template.tool}: a run waits for one."
    if asked is not None and version is None:
        return (
            f"No worker has {template.tool} {asked}, but {', '.join(available)}: a run waits, or "
            "its worker installs it."
        )
    if needed and version and not here.tool_fits(needed, version):
        return (
            f"The sources ask for {template.tool} {needed}, and {version} would run, which refuses "
            "them. Choose the version auto."
        )
    return None


def _newness(version: str) -> tuple[list[int], bool]:
    numbers = [int(number) for number in re.findall(r"[0-9]+", version.partition("-")[0])]
    return numbers, "-" not in version
