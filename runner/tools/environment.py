"""What surrounds a command of the tool: its environment, its own settings, and its sandbox."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from runner.errors import ToolError
from runner.job import Backend, Job
from runner.processes.process import child_environment
from runner.processes.sandbox import Confinement, choose
from runner.processes.workdir import WorkDir
from runner.tools.tool import Tool

# what would point the tool at another state, account or program, or write where it likes
_DENIED = frozenset(
    (
        *("PATH", "HOME", "TMPDIR", "ENV", "BASH_ENV", "BROWSER", "GODEBUG"),
        *("TRACEPARENT", "TRACESTATE", "SSH_AUTH_SOCK", "SSH_AGENT_PID", "SSH_ASKPASS"),
        *("TERRAFORM_CONFIG", "TF_CLI_CONFIG_FILE", "TF_DATA_DIR", "TF_DISABLE_PLUGIN_TLS"),
        *("TF_FORCE_LOCAL_BACKEND", "TF_INPUT", "TF_IN_AUTOMATION", "TF_LOG_PATH"),
        *("TF_PLUGIN_CACHE_DIR", "TF_REATTACH_PROVIDERS", "TF_STATE_PERSIST_INTERVAL"),
        *("TF_TEMP_LOG_PATH", "TF_WORKSPACE", "CHECKPOINT_DISABLE"),
    )
)
_DENIED_PREFIXES = (
    *("TF_CLI_ARGS", "TOFU_", "OPENTOFU_", "OTEL_"),
    *("XDG_", "LD_", "GIT_", "PYTHON", "STATEROOM_"),
)
# what opens the backend that the sources name: never beside ours, whose credential they would win
_OF_BACKENDS = ("TF_HTTP_", "TF_CLOUD_", "TF_TOKEN_")
_LONGEST = 131071  # bytes that the kernel takes for one variable, its name and = included


@dataclass(frozen=True)
class Environment:
    """`warnings` name the variables that somebody set and that the tool does not get."""

    values: dict[str, str] = field(repr=False)
    warnings: tuple[str, ...]


def environment(job: Job, work: WorkDir) -> Environment:
    """The whole environment of the tool, its settings file in `work.home` included.

    What protects git and holds the SSH agent is to be added for init, and for every command either
    `http_credential` or `own_credentials`, by the backend that is used.
    Raises ToolError `variable-invalid`, `variable-too-large` or `provider-mirror-missing`.
    """
    given = {v.name: v.value for v in job.variables if v.kind == "environment"}
    denied = sorted(name for name in given if _is_denied(name))
    for name, value in given.items():
        _check(name, value)
    settings = work.home / "settings.tfrc"
    settings.write_text(_settings(job.provider_mirror), encoding="utf-8")
    own = {
        "TF_CLI_CONFIG_FILE": str(settings),
        "TF_DATA_DIR": str(work.data),
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
    }
    left_out = {*denied, *own_credentials(job)}
    allowed = {name: value for name, value in given.items() if name not in left_out}
    path = os.environ.get("PATH", os.defpath)
    return Environment(
        child_environment(work.home, work.tmp, path, {**allowed, **own}),
        tuple(not_handed(name, job) for name in denied),
    )


def not_handed(name: str, job: Job) -> str:
    return f"The variable {name} is not handed to {job.tool}: it is ours."


def http_credential(backend: Backend) -> dict[str, str]:
    """Opens our state. Only for runs that use our backend: any other address would get it too."""
    return {"TF_HTTP_USERNAME": backend.username, "TF_HTTP_PASSWORD": backend.password}


def own_credentials(job: Job) -> dict[str, str]:
    """What the workspace sets for the backend that the sources name. Only where that one is used.

    GitLab's is an http backend, with a login in TF_HTTP_USERNAME and TF_HTTP_PASSWORD.
    """
    return {
        v.name: v.value
        for v in job.variables
        if v.kind == "environment" and v.name.startswith(_OF_BACKENDS)
    }


def confinement(tool: Tool, job: Job, work: WorkDir, *writable: Path) -> Confinement | None:
    """The sandbox of the tool in this job's mode: its work folder, `writable`, and what it reads.

    Raises ToolError `sandbox-unavailable`.
    """
    mirror = (job.provider_mirror,) if job.provider_mirror else ()
    certificates = [os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")]
    root = job.work_root.resolve()
    # keys and database are beside the work root; a folder directly under / holds the system
    hidden = root.parent if len(root.parent.parts) > 2 else root
    readable = (
        *tool.folders,
        *mirror,
        *job.source.policy.local_roots,
        *(Path(path) for path in certificates if path),
    )
    return choose(job.sandbox, Confinement((work.root, *writable), readable, (hidden,)))


def _is_denied(name: str) -> bool:
    return name in _DENIED or name.startswith(_DENIED_PREFIXES)


def _check(name: str, value: str) -> None:
    if not name or "=" in name or "\0" in name + value:
        raise ToolError("variable-invalid", f"{name!r} cannot be an environment variable.")
    if len(os.fsencode(name)) + 1 + len(os.fsencode(value)) > _LONGEST:
        raise ToolError(
            "variable-too-large",
            f"The environment variable {name} is larger than 128 KiB: "
            "make it a terraform variable, which may be of any size.",
        )


def _settings(mirror: Path | None) -> str:
    lines = ["disable_checkpoint = true"]
    if mirror:
        held = json.dumps(_held(mirror))
        lines += [
            "provider_installation {",
            f"  filesystem_mirror {{ path = {json.dumps(str(mirror.absolute()))} }}",
            # asking the registry too would fail without a network
            f"  direct {{ exclude = {held} }}",
            "}",
        ]
    return "\n".join([*lines, ""])


def _held(mirror: Path) -> list[str]:
    """The providers that the mirror has, as host/namespace/type."""
    if not mirror.is_dir():
        raise ToolError(
            "provider-mirror-missing",
            f"The folder of the provider mirror does not exist here: {mirror}",
        )
    return sorted(str(p.relative_to(mirror)) for p in mirror.glob("*.*/*/*") if p.is_dir())
