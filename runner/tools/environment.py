"""The environment of the tool's commands, its settings file, and the terms of its sandbox."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from runner.detection.detect import Verdict
from runner.errors import ToolError
from runner.job import Backend, Job
from runner.processes import placed
from runner.processes.process import child_environment
from runner.processes.room import Room, Terms
from runner.processes.sandbox import View
from runner.processes.workdir import WorkDir
from runner.providers.methods import Methods, Mirror, held
from runner.tools.registries import caches
from runner.tools.tool import Tool, folders_of

# would make the tool use another state, account or program, or write somewhere else
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
# credentials for the sources' backend: never set with ours, whose credential they would replace
_OF_BACKENDS = ("TF_HTTP_", "TF_CLOUD_")
# logins of hosts: of registries, and of what a cloud block or the backend `remote` names
_TOKEN = "TF_TOKEN_"  # noqa: S105 the beginning of a name
_HCP = "app.terraform.io"  # where a cloud block without a hostname is
_LONGEST = 131071  # bytes that the kernel accepts for one variable, with its name and =


@dataclass(frozen=True)
class Environment:
    """`warnings` name the variables of the workspace that the tool does not get."""

    values: dict[str, str] = field(repr=False)
    warnings: tuple[str, ...]


def environment(job: Job, work: WorkDir, room: Room) -> Environment:
    """The whole environment of the tool. Also writes its settings file into `work.home`.

    Its paths are as the room sees them. The caller adds the variables for git and the SSH agent for
    init, and for every command `http_credential` with `registry_tokens`, or `own_credentials`,
    depending on the backend.
    Raises ToolError with `variable-invalid`, `variable-too-large` or `provider-mirror-missing`.
    """
    given = {v.name: v.value for v in job.variables if v.kind == "environment"}
    denied = sorted(name for name in given if _is_denied(name))
    for name, value in given.items():
        _check(name, value)
    own = {
        "TF_CLI_CONFIG_FILE": write_settings(methods(job), work, room, "settings"),
        "TF_DATA_DIR": str(room.seen.data),
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "CHECKPOINT_DISABLE": "1",
    }
    left_out = {*denied, *own_credentials(job)}
    allowed = {name: value for name, value in given.items() if name not in left_out}
    path = os.environ.get("PATH", os.defpath)
    return Environment(
        child_environment(room.seen.home, room.seen.tmp, path, {**allowed, **own}),
        (
            *(not_handed(name, job) for name in denied),
            *(_hidden(name, value) for name, value in sorted(allowed.items()) if room.hides(value)),
        ),
    )


def _hidden(name: str, value: str) -> str:
    return (
        f"{name} names {value}, which the sandbox hides from runs. An administrator can show it to "
        "them with STATEROOM_SANDBOX_READABLE."
    )


def not_handed(name: str, job: Job) -> str:
    return f"The variable {name} is not passed to {job.tool}: it is reserved for Stateroom."


def http_credential(backend: Backend) -> dict[str, str]:
    """The credential of our state. Only for our backend: any other backend would receive it too."""
    return {"TF_HTTP_USERNAME": backend.username, "TF_HTTP_PASSWORD": backend.password}


def own_credentials(job: Job) -> dict[str, str]:
    """What the workspace has for the sources' backend, and for registries.

    All of it is only for runs that use that backend: see `registry_tokens` for the others.
    GitLab's is an http backend, with a login in TF_HTTP_USERNAME and TF_HTTP_PASSWORD.
    """
    return _of_environment(job, (*_OF_BACKENDS, _TOKEN))


def registry_tokens(job: Job, verdict: Verdict) -> dict[str, str]:
    """The tokens of hosts that do not keep the state of the sources (the verdict on them).

    The state is here, so that nothing has to reach that one.
    """
    host = _host_of_state(job, verdict)
    tokens = _of_environment(job, (_TOKEN,))
    if host is None:
        return tokens if verdict.kind != "cloud" and verdict.type != "remote" else {}
    return {name: token for name, token in tokens.items() if _host_of(name) != host}


def _of_environment(job: Job, prefixes: tuple[str, ...]) -> dict[str, str]:
    return {
        v.name: v.value
        for v in job.variables
        if v.kind == "environment" and v.name.startswith(prefixes)
    }


def _host_of_state(job: Job, verdict: Verdict) -> str | None:
    """The host that a cloud block or the backend `remote` names, or None if it is not known."""
    if verdict.kind != "cloud" and (verdict.kind, verdict.type) != ("backend", "remote"):
        return None
    given = _of_environment(job, ("TF_CLOUD_HOSTNAME",)).get("TF_CLOUD_HOSTNAME")
    default = given if verdict.kind == "cloud" and given else _HCP
    named = verdict.settings.get("hostname", default)
    return None if named is None else _compared(named)


def _host_of(name: str) -> str:
    """The host of a TF_TOKEN_… variable, as both tools read it."""
    return _compared(name.removeprefix(_TOKEN).replace("__", "-").replace("_", "."))


def _compared(host: str) -> str:
    """A host as the tools compare it: in lower case, with other letters in punycode."""
    try:
        return host.lower().encode("idna").decode()
    except UnicodeError:
        return host.lower()


def terms(tool: Tool | None, job: Job) -> Terms:
    """What the sandbox of this job's commands shows, hides and limits.

    Without a tool it shows every one of that name, because the sources will say which one runs.
    """
    mirror = (job.provider_mirror,) if job.provider_mirror else ()
    kept = tuple(cache.folder for cache in caches(job))
    for cache in caches(job):
        with contextlib.suppress(OSError):  # then it is not used
            cache.make()
    certificates = [os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")]
    root = job.work_root.resolve()
    # keys and database are beside the work root; a folder directly under / holds the system
    beside = root.parent if len(root.parent.parts) > 2 else root
    readable = (
        *(tool.folders if tool else folders_of(job.tool, job.tools_dir)),
        *mirror,
        *kept,
        *job.source.policy.local_roots,
        *job.readable,
        *(Path(path) for path in certificates if path),
    )
    view = View(readable, (beside, *job.hidden))
    return Terms(job.sandbox, view, job.room, job.limits.stop_grace, job.users)


def _is_denied(name: str) -> bool:
    return name in _DENIED or name.startswith(_DENIED_PREFIXES)


def _check(name: str, value: str) -> None:
    if not name or "=" in name or "\0" in name + value:
        raise ToolError("variable-invalid", f"{name!r} cannot be an environment variable.")
    if len(os.fsencode(name)) + 1 + len(os.fsencode(value)) > _LONGEST:
        raise ToolError(
            "variable-too-large",
            f"The environment variable {name} is larger than 128 KiB: "
            "make it a terraform variable, which has no limit.",
        )


def methods(job: Job) -> Methods:
    """Where providers come from without a cache. Raises ToolError `provider-mirror-missing`."""
    if job.provider_mirror is None:
        return Methods((), frozenset())
    return Methods((Mirror(job.provider_mirror),), held(job.provider_mirror))


def write_settings(chosen: Methods, work: WorkDir, room: Room, name: str) -> str:
    """Write a settings file of the tool, and return its path as the room sees it."""
    file = work.home / f"{name}.tfrc"
    placed.place(
        work.root, PurePosixPath(file.relative_to(work.root)), chosen.text().encode(), room.user
    )
    return str(room.inside(file))
