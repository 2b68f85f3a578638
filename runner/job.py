"""The job: the immutable value from which the runner executes a run. It is never stored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ToolName = Literal["terraform", "tofu"]
Operation = Literal[
    "plan", "apply", "destroy", "refresh", "drift", "import-state", "export-state"
]  # fmt: skip
HARMLESS = ("plan", "drift")  # the operations that change nothing
REFRESHING = ("refresh", "drift")  # and those that only look what the resources are now
BackendMode = Literal["auto", "override", "off"]
VariableKind = Literal["terraform", "environment", "backend_config"]
VariableType = Literal["string", "number", "bool", "hcl", "file"]
SandboxMode = Literal["auto", "required", "user", "landlock", "none"]
# never written; no resources or outputs left; some left; moved to another backend
Standing = Literal["unwritten", "empty", "in use", "archived"]


@dataclass(frozen=True)
class SshKey:
    """A private key in PEM or OpenSSH form, with its passphrase if it has one."""

    private_key: str = field(repr=False)
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Login:
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class GitCredential:
    """For repositories below a prefix: HOST, HOST:PORT or HOST/PATH. Not for the template's own."""

    prefix: str
    credential: SshKey | Login


@dataclass(frozen=True)
class SourcePolicy:
    """What an administrator allows beyond public https and ssh hosts."""

    local_roots: tuple[Path, ...] = ()  # folders whose repositories may be cloned by path
    private_hosts: bool = False  # loopback, link-local, private and metadata addresses
    plain_http: bool = False
    ssh_rsa_hosts: frozenset[str] = frozenset()  # HOST or HOST:PORT: old servers


@dataclass(frozen=True)
class Mirrors:
    """Where a worker keeps what it has fetched. `owner` names the project and the key.

    Runs of different owners never share a mirror.
    """

    root: Path
    owner: str
    most_bytes: int


@dataclass(frozen=True)
class ProviderCache:
    """Where a worker keeps providers. `owner` names the project, whose logins are its own."""

    root: Path
    owner: str
    most_bytes: int


@dataclass(frozen=True)
class Installs:
    """Where a worker may install tools from: the publishers or a mirror, with a file of keys."""

    mirror: str = ""
    key: Path | None = None


@dataclass(frozen=True)
class RefRules:
    """Which refs may run: the template's own, and those that match a pattern. See sources/refs.py.

    `own` is None for the default branch.
    """

    own: str | None = None
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """Where the configuration comes from. A `ref` of None is the default branch, or the own one.

    Without `rules` every ref may be checked out. `also` is a ref that has had a commit that is
    asked for: not every server gives out any commit.
    """

    url: str
    ref: str | None = None
    path: str = "."
    credential: SshKey | Login | None = None
    known_hosts: str = ""  # lines in known_hosts form, beside the shipped ones
    accept_new_host_keys: bool = False
    policy: SourcePolicy = SourcePolicy()
    mirrors: Mirrors | None = None
    rules: RefRules | None = None
    submodules: bool = False  # fetch those that the folder reaches
    lfs: bool = False  # and files of Git LFS
    git_credentials: tuple[GitCredential, ...] = ()  # for submodules
    ancestor: str | None = None  # a commit: does the history of what is checked out have it?
    also: str | None = None


@dataclass(frozen=True)
class Backend:
    """The address of the state for this run, and a credential that opens only this state."""

    address: str
    lock_address: str
    unlock_address: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Variable:
    """A `file` is written into the run's folder, and its path is the value (file_variables.py)."""

    name: str
    value: str = field(repr=False)
    kind: VariableKind = "terraform"
    sensitive: bool = False
    type: VariableType = "string"


@dataclass(frozen=True)
class LastApply:
    """What the last run executed that began to apply in the workspace. None: it is not known."""

    run_id: str
    commit: str
    repository: str | None = None
    path: str | None = None


@dataclass(frozen=True)
class ApprovedPlan:
    """A plan that an earlier claim of the run made: it is applied, and nothing is planned again."""

    commit: str
    lock_sha256: str | None  # of the dependency lock file
    changes: Mapping[str, int] = field(default_factory=dict)  # what it counts


@dataclass(frozen=True)
class Limits:
    """Limits in seconds, except `state`: the bytes of the largest state that a transfer moves.

    `plan` is the bytes of a plan that is kept, with the files that it needs.

    `stop_grace` is how long the tool may take to save and unlock after each SIGINT. `steps` has
    what the template says of single ones, and as `total` of all together.
    """

    command: float = 4 * 3600.0
    clone: float = 600.0
    steps: Mapping[str, float] = field(default_factory=dict)
    stop_grace: float = 300.0
    state: int = 100_000_000
    plan: int = 256 << 20
    registry_waits: tuple[float, ...] = (5.0, 20.0, 60.0)  # after each refusal of a registry

    def of(self, step: str) -> float:
        """How long a command of this step may take: never longer than any command."""
        usual = self.clone if step == "clone" else self.command
        return min(self.steps.get(step, usual), self.command)

    @property
    def total(self) -> float:
        """How long all commands of one claim may take together."""
        return self.steps.get("total", math.inf)


@dataclass(frozen=True)
class RoomLimits:
    """What the commands of a run may take together; 0 is no limit.

    Bytes of memory, processes and threads, open files of one process, bytes of disk in the run's
    folder, and seconds of CPU time.
    """

    memory: int = 4 << 30
    processes: int = 2048
    files: int = 65_536
    disk: int = 10 << 30
    cpu: int = 8 * 3600


@dataclass(frozen=True)
class Job:
    run_id: str
    operation: Operation
    source: Source
    backend: Backend
    workspace_id: str = "workspace"  # whose runs take turns on one machine
    epoch: int = 1  # the number of the claim: each claim of a run gets its own folder
    tool: ToolName = "terraform"
    tool_version: str | None = None
    backend_mode: BackendMode = "auto"
    override_file: str | None = None
    ignored_wrappers: tuple[str, ...] = ()  # as in runner.detection.wrappers.WRAPPERS
    approved: ApprovedPlan | None = None  # None: plan first
    standing: Standing = "unwritten"
    elsewhere: str | None = None  # the verdict of the last run that used the sources' backend
    last_apply: LastApply | None = None
    targets: tuple[str, ...] = ()  # addresses of all that the run is about; none: everything
    replace: tuple[str, ...] = ()  # addresses of what is destroyed and made again
    allow_older: bool = False  # apply sources that do not contain those of the last apply
    start_empty: bool = False  # begin with an empty state although there may be one elsewhere
    cli_workspace: str | None = None  # import-state takes the state of this one
    workspace: str = "WORKSPACE"  # its name, for messages
    own_backend: str | None = None  # the identity of the one that earlier runs used instead of ours
    variables: tuple[Variable, ...] = ()
    file_secrets: tuple[str, ...] = field(default=(), repr=False)  # what files of the run contain
    withheld: tuple[str, ...] = ()  # names of variables that a pull request does not get
    variable_files: tuple[str, ...] = ()  # of the repository, as -var-file; variables win
    backend_config_files: tuple[str, ...] = ()  # of the repository; variables win
    module_key: SshKey | None = None  # for private modules, used by init only
    git_credentials: tuple[GitCredential, ...] = ()  # for modules and submodules
    work_root: Path = Path("work")
    tools_dir: Path | None = None
    installs: Installs | None = None  # None: a tool that is not there is an error
    provider_mirror: Path | None = None
    provider_cache: ProviderCache | None = None
    sandbox: SandboxMode = "auto"
    readable: tuple[Path, ...] = ()  # what an administrator lets every run read on the machine
    hidden: tuple[Path, ...] = ()  # what no run may read, wherever it lies
    users: tuple[int, int] = (1_900_000_000, 100_000_000)  # the first, and how many; for root only
    room: RoomLimits = RoomLimits()
    limits: Limits = Limits()

    known_secrets: frozenset[str] = field(default=frozenset(), repr=False)  # of the state

    def secrets(self) -> tuple[str, ...]:
        """Every value that must be masked in logs."""
        values = [self.backend.password]
        values += [v.value for v in self.variables if v.sensitive]
        values += self.file_secrets
        others = [one.credential for one in self.git_credentials]
        for key in (self.source.credential, self.module_key, *others):
            if isinstance(key, SshKey):
                values += [key.private_key, key.passphrase or ""]
            elif isinstance(key, Login):
                values.append(key.password)
        return tuple(v for v in values if v)
