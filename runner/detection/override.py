"""The override: the generated file that configures our backend, and the check that it works.

The file contains addresses only. The credential is in TF_HTTP_USERNAME and TF_HTTP_PASSWORD, so
that it gets into no file, no .terraform folder and no saved plan.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.detection import override_name
from runner.detection.config_files import Version, shown
from runner.detection.detect import Verdict
from runner.detection.hcl_text import hcl_string
from runner.detection.wrappers import Wrapper
from runner.errors import DetectionError
from runner.job import Backend, BackendMode, ToolName

_STATE_BYTES = 1024 * 1024  # far more than the 2 kB that describe a backend


@dataclass(frozen=True)
class Override:
    """A file to write into the root module before init. `warnings` are for the run's log."""

    file_name: str
    text: str
    warnings: tuple[str, ...] = ()


def plan_override(  # noqa: PLR0913 - each is one fact of the job, none belongs to another
    folder: Path,
    tool: ToolName,
    tool_version: Version | None,
    verdict: Verdict,
    mode: BackendMode,
    backend: Backend,
    requested_name: str | None,
) -> Override | None:
    """The file to write for this verdict and mode, or None when the sources' own backend is used.

    Raises DetectionError with `nothing-to-run` (in every mode), `wrapper-found`,
    `backend-conflict`, `state-store`, `unreadable-configuration`, `override-name-invalid`,
    `override-name-taken` or `override-would-duplicate`.
    """
    if verdict.kind == "empty":
        raise _nothing_to_run(folder, verdict)
    if mode == "off" or (mode == "auto" and verdict.kind in ("backend", "cloud", "state_store")):
        return None
    if verdict.wrapper is not None:
        raise _wrapped(verdict, verdict.wrapper)
    _require_injectable(verdict, mode)
    name = override_name.choose(folder, tool, tool_version, verdict, requested_name)
    warnings = verdict.warnings
    if verdict.explicit:
        warnings += (f"our backend replaces {verdict} of {verdict.where}",)
    return Override(name, render(name, backend), warnings)


def write(folder: Path, override: Override) -> Path:
    """Create the file, readable only by its owner. It never follows a link or replaces a file.

    Raises DetectionError with `override-name-taken`.
    """
    path = folder / override.file_name
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError as error:
        name = shown(override.file_name)
        raise DetectionError("override-name-taken", override_name.taken_message(name)) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(override.text)
    return path


def render(name: str, backend: Backend) -> str:
    """The text of the file, in HCL or JSON as its name requires."""
    settings = {
        "address": backend.address,
        "lock_address": backend.lock_address,
        "unlock_address": backend.unlock_address,
    }
    if name.endswith(".json"):
        return json.dumps({"terraform": {"backend": {"http": settings}}}, indent=2) + "\n"
    width = max(len(key) for key in settings)
    lines = [f"    {key:<{width}} = {hcl_string(value)}\n" for key, value in settings.items()]
    return 'terraform {\n  backend "http" {\n' + "".join(lines) + "  }\n}\n"


def check_initialised(data_dir: Path, backend: Backend) -> None:
    """Check after init with our override that the tool has recorded type http and our addresses.

    Raises DetectionError with `backend-not-ours`, also if nothing is recorded: the state would be
    local then.
    """
    noted = noted_backend(data_dir)
    config = noted.get("config")
    wanted = (backend.address, backend.lock_address, backend.unlock_address)
    keys = ("address", "lock_address", "unlock_address")
    if (
        noted.get("type") != "http"
        or not isinstance(config, dict)
        or tuple(config.get(key) for key in keys) != wanted
    ):
        raise DetectionError("backend-not-ours", _not_ours_message(noted, backend))


def check_own_backend(data_dir: Path, verdict: Verdict) -> None:
    """Check after init without our override that the tool uses the backend of the verdict.

    Raises DetectionError with `backend-not-used`: the state would be local, and lost with the run.
    """
    noted = noted_backend(data_dir).get("type")
    wanted = verdict.type if verdict.kind == "backend" else verdict.kind
    if verdict.kind in ("backend", "cloud") and (not noted or shown(str(noted)) != wanted):
        raise DetectionError(
            "backend-not-used",
            f"{verdict.where} configures {verdict}, but after init the tool does not use it. The "
            "state would stay in this checkout and be lost. Use backend mode override.",
        )


def _require_injectable(verdict: Verdict, mode: BackendMode) -> None:
    if verdict.kind == "conflict":
        raise DetectionError(
            "backend-conflict",
            f"There is more than one backend: {verdict.why}. The tools refuse this even with an "
            "override file. Remove one of them.",
        )
    if verdict.kind == "state_store":
        raise DetectionError(
            "state-store",
            f"{verdict.where} has a state_store block, which no override file can replace. "
            "Remove it, or run the template with backend mode off.",
        )
    if verdict.kind == "unreadable" and mode == "auto":
        raise DetectionError(
            "unreadable-configuration",
            f"{verdict.where}: {verdict.why}, so it is unknown whether the code configures a "
            "backend. Correct the file, or choose backend mode override or off for the template.",
        )


def _wrapped(verdict: Verdict, wrapper: Wrapper) -> DetectionError:
    nothing = f" Without it, {verdict.why.rpartition('; ')[2]}." if verdict.kind == "empty" else ""
    return DetectionError(
        "wrapper-found",
        f"{wrapper.where}: {wrapper.why}, and may store the state of these sources where no file "
        f"here says.{nothing} With our backend a run would begin a second state of everything that "
        f"exists, so nothing was injected. Import that state first (`{wrapper.pull} > FILE` and "
        "`stateroom states push --import FILE`), then say that the wrapper does not count here: "
        f"`stateroom templates set TEMPLATE --ignore-wrapper {wrapper.name}`, or "
        f'ignored_wrappers: ["{wrapper.name}"] in a PATCH of the template.',
    )


def _nothing_to_run(folder: Path, verdict: Verdict) -> DetectionError:
    if verdict.wrapper is not None:
        return _wrapped(verdict, verdict.wrapper)
    return DetectionError(
        "nothing-to-run",
        f"There is nothing to run in {shown(folder.name) or 'the folder'}: {verdict.why}. "
        "Check the template's path, branch and tool.",
    )


def noted_backend(data_dir: Path) -> dict[str, Any]:
    """What init recorded about its backend; empty if nothing can be read."""
    try:
        descriptor = os.open(data_dir / "terraform.tfstate", os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as stream:
            document = json.loads(stream.read(_STATE_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    noted = document.get("backend") if isinstance(document, dict) else None
    return noted if isinstance(noted, dict) else {}


def _not_ours_message(noted: dict[str, Any], backend: Backend) -> str:
    kind = noted.get("type")
    seen = f"uses backend {shown(str(kind))} with another address" if kind else "uses no backend"
    return (
        f"After init the tool {seen}, not {backend.address}. Nothing was planned. A file in the "
        "repository may hide or replace the generated override file: remove its backend block."
    )
