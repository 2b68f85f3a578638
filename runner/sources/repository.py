"""git as a run calls it: constant options, an environment of its own, and readable refusals.

GitPython makes the command lines and the errors. It would give its children the worker's whole
environment; here every command goes through process.py instead, and gets the one that is given.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

# importing GitPython must not fail where git is missing: the first clone says so instead
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import git
from git.exc import GitCommandError

from runner.errors import SourceError, Stopped, ToolError
from runner.events import StopLevel
from runner.job import Login, SourcePolicy
from runner.processes.process import capture, child_environment
from runner.sources.credentials import Helper
from runner.sources.url import SSH_PORT, Address, path_of

_OPTIONS = (
    *("core.hooksPath=/dev/null", "core.fsmonitor=false", "submodule.recurse=false"),
    *("http.followRedirects=false", "credential.helper=", "advice.detachedHead=false"),
    *("gc.auto=0", "maintenance.auto=false"),  # they would outlive the command
    *("http.lowSpeedLimit=1", "http.lowSpeedTime=60"),
    "fetch.unpackLimit=1",  # one pack instead of up to 100 files
)
NO_HELPER = Helper()
_GENERIC = (
    "Could not read from remote repository",
    "Please make sure you have the correct access rights",
    "and the repository exists",
    "Host key verification failed",
)


@dataclass(frozen=True)
class Limits:
    """When commands end: at `ends` on the monotonic clock, or when `stop` says so or raises."""

    ends: float
    stop: Callable[[], StopLevel]

    def left(self) -> float:
        return max(0.0, self.ends - monotonic())

    def check(self, what: str) -> None:
        """Raise Stopped (`canceled`, `timed-out`) when it is time to end."""
        if self.stop():
            raise Stopped("canceled", f"{what} was stopped because the run was canceled.")
        if not self.left():
            raise Stopped("timed-out", f"{what} took too long.")


class GitError(GitCommandError):
    """git ended with an error; `said` is what it said about it."""

    def __init__(self, command: Sequence[str], status: int, said: str) -> None:
        super().__init__(list(command), status, said)
        self.said = said


class Git(git.Git):
    """The git command in one folder, with this environment and nothing of the worker's."""

    def __init__(self, folder: Path, environment: Mapping[str, str], limits: Limits) -> None:
        super().__init__(folder)
        self.folder, self._given, self._limits = folder, environment, limits
        self.set_persistent_git_options(c=list(_OPTIONS))

    def execute(self, command: Sequence[Any], *_: Any, **unsupported: Any) -> Any:
        """Run git; what it said on stdout. Raises GitError, Stopped, SourceError."""
        if unsupported:
            raise TypeError(f"not supported here: {', '.join(unsupported)}")
        words = [str(word) for word in command]
        try:
            done = capture(
                words,
                env=self._given,
                cwd=self.folder,
                deadline=self._limits.left(),
                stop=self._limits.stop,
                stop_grace=5.0,
            )
        except ToolError as error:
            if error.code == "output-too-large":
                raise SourceError("repository-too-large", "It has too many files.") from error
            raise SourceError(
                "git-not-installed", "The worker has no git on its PATH: install it."
            ) from error
        if done.returncode:
            raise GitError(words, done.returncode, done.stderr.decode(errors="replace"))
        return os.fsdecode(done.stdout).rstrip("\n")  # names of files need not be text


@dataclass(frozen=True)
class Calls:
    """git with one environment and within one set of limits, in any folder."""

    environment: Mapping[str, str]
    limits: Limits

    def git(self, folder: Path) -> Git:
        return Git(folder, self.environment, self.limits)


def environment(work: Path, address: Address, login: Login | None) -> dict[str, str]:
    """The whole environment of the git that talks to this address, ssh's part excepted.

    A login goes in a header for this host alone, by the environment: it is in no argument list, and
    in no file.
    """
    settings: list[tuple[str, str]] = []
    if login and address.scheme in ("http", "https"):
        settings.append((f"http.{_origin(address)}.extraHeader", _authorization(login)))
    if address.resolved and address.scheme in ("http", "https"):
        settings.append(("http.curloptResolve", _pinned(address)))
    given = {**_protective(address.scheme), **_as_variables(settings), "LC_ALL": "C"}
    return child_environment(work, work, os.environ.get("PATH", os.defpath), given)


def module_environment(policy: SourcePolicy, helper: Helper = NO_HELPER) -> dict[str, str]:
    """What protects the git that terraform init calls for modules; Agent.environment joins it."""
    more = [*(["file"] if policy.local_roots else []), *(["http"] if policy.plain_http else [])]
    settings = [(name, value) for name, _, value in (o.partition("=") for o in _OPTIONS)]
    settings += helper.settings  # after the empty one, which forgets those of other files
    return {**_protective(*more), **_as_variables(settings), **helper.environment}


def _protective(*schemes: str) -> dict[str, str]:
    return {
        "GIT_ALLOW_PROTOCOL": ":".join(dict.fromkeys(("https", "ssh", *schemes))),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        **_authorities(),
    }


def _authorities() -> dict[str, str]:
    """The file of trusted authorities that everything else uses: git reads another variable."""
    file = os.environ.get("SSL_CERT_FILE")
    return {"GIT_SSL_CAINFO": file} if file else {}


def _as_variables(settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    variables = {"GIT_CONFIG_COUNT": str(len(settings))} if settings else {}
    for number, (name, value) in enumerate(settings):
        variables[f"GIT_CONFIG_KEY_{number}"] = name
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables


def _origin(address: Address) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{address.scheme}://{host}:{address.port}/"


def _pinned(address: Address) -> str:
    hosts = ",".join(f"[{ip}]" if ":" in ip else ip for ip in address.resolved)
    return f"{address.host}:{address.port}:{hosts}"


def _basic(login: Login) -> str:
    return base64.b64encode(f"{login.username}:{login.password}".encode()).decode()


def _authorization(login: Login) -> str:
    return f"Authorization: Basic {_basic(login)}"


@dataclass(frozen=True)
class Refusal:
    """What git's words mean, and what the reader can do."""

    pattern: str
    code: str
    advice: str = field(default="")


SSH_RSA = (
    "It offers only the signatures ssh-rsa with SHA-1, which ssh refuses because they can be "
    "forged: upgrade the server, or ask an administrator to list the host in "
    "STATEROOM_SSH_RSA_HOSTS."
)
_REFUSALS = (
    Refusal(
        r"(?m)^(?!remote:).*(No space left on device|Out of diskspace)",
        "disk-full",
        "The disk of the worker is full",
    ),
    Refusal(
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "host-key-changed",
        "The key of {host} is not the one that the project knows: somebody may be in between. Ask "
        "who runs the host; if its key has changed, `stateroom projects host-keys remove {place}` "
        "and `stateroom projects host-keys scan {place}` replace it",
    ),
    Refusal(
        r"No \S+ host key is known for|Host key verification failed",
        "host-key-unknown",
        "The project does not know the host key of {host}: `stateroom projects host-keys scan "
        "{place}` shows its fingerprint, to be compared with the one that the host's owner "
        "publishes, and adds it",
    ),
    Refusal(
        r"no matching host key type found|no mutual signature",
        "ssh-rsa-refused",
        "{host} has an old ssh server. " + SSH_RSA.rstrip("."),
    ),
    Refusal(
        r"Remote branch .* not found|couldn't find remote ref|not our ref|unadvertised object",
        "ref-not-found",
        "The repository has no branch, tag or commit {ref}: check the template's ref",
    ),
    Refusal(
        r"transport '.*' not allowed|protocol .* not allowed",
        "repository-url-refused",
        "The repository's protocol is not allowed here",
    ),
    Refusal(
        r"error: 30\d|unable to update url base from redirection",
        "repository-redirected",
        "The repository's URL leads elsewhere, which is not followed: use the final URL",
    ),
    Refusal(
        r"Permission denied|Authentication failed|could not read (Username|Password)|error: 40[13]"
        r"|dubious ownership|access denied|Too many authentication failures",
        "repository-access-denied",
        "{host} does not let this key read the repository, or has none of that name: check the "
        "template's key and its URL",
    ),
    Refusal(
        r"(?i)repository .*not found|not appear to be a git repository|error: 404|does not exist"
        r"|project you were looking for could not be found",
        "repository-not-found",
        "There is no such repository at {host}, or this key may not see it: check the URL and the "
        "template's key",
    ),
)
_NO_WAY = re.compile(r"timed out|refused|No route to host|Network is unreachable")
_ON_443 = {"github.com": "ssh.github.com", "gitlab.com": "altssh.gitlab.com"}
_UNREACHABLE = Refusal("", "repository-unreachable", "The repository at {host} cannot be read")


def explain(error: GitError, address: Address, ref: str | None, login: Login | None) -> SourceError:
    """What git's failure means for the reader, with git's own last line and no secret in it."""
    said = _without_secrets(error.said, login)
    refusal = next((r for r in _REFUSALS if re.search(r.pattern, said)), _UNREACHABLE)
    advice = refusal.advice.format(
        host=address.host or "this path", place=_place(address), ref=ref or "HEAD"
    )
    more = "".join(f" {hint}" for hint in _hints(address, said))
    said_last = f"git said: {_last_line(said)}{more}"
    return SourceError(refusal.code, f"{advice}. {said_last}", place=_place(address))


def _hints(address: Address, said: str) -> Iterator[str]:
    """How ssh on another port is written, where that may be what is wrong."""
    if address.scheme != "ssh":
        return
    path = path_of(address)
    port, slash, rest = path.partition("/")
    if "://" not in address.url and slash and port.isdigit() and 0 < int(port) < 65536:
        user = address.url.partition("@")[0] if "@" in address.url else "git"
        yield (
            f"In USER@HOST:PATH there is no port, so {port} is the name of a folder. If it is the "
            f"port, write ssh://{user}@{address.host}:{port}/{rest}"
        )
    elif address.port == SSH_PORT and _NO_WAY.search(said):
        door = _ON_443.get(address.host.lower())
        yield (
            f"Where a firewall lets no ssh out, {address.host} has it on port 443: write "
            f"ssh://git@{door}:443/{path}.git"
            if door
            else "If its ssh is on another port, write ssh://USER@HOST:PORT/PATH"
        )


def _place(address: Address) -> str:
    """HOST, or HOST:PORT where the port is not the usual one, as host-keys takes it."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    return host if address.port == SSH_PORT else f"{host}:{address.port}"


def _without_secrets(said: str, login: Login | None) -> str:
    for secret in (_basic(login), login.password) if login else ():
        said = said.replace(secret, "***") if secret else said
    return said


def _last_line(said: str) -> str:
    """The line that says most: neither empty nor one that ssh or git add to every failure."""
    lines = [line.strip() for line in said.splitlines()]
    telling = [line for line in lines if line and not any(words in line for words in _GENERIC)]
    chosen = (telling or lines or [""])[-1]
    return "".join(c for c in chosen if c.isprintable())[:300] or "nothing"
