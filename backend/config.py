"""The settings of an installation: which there are, and what follows from them."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)
from sqlalchemy import URL

from backend import database_url, setting_values
from backend.setting_values import GroupRole, Network

PREFIX = "STATEROOM_"


class WrongSetting(Exception):
    """A setting cannot be used. The message is one line that names it."""


class Settings(BaseModel):
    """The settings of an installation. The description of each field documents it."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,  # a wrong value may be a password
    )

    data_dir: Path = Field(
        Path("stateroom-data"),
        description="Folder for the keyring, the SQLite database, large states and work folders",
    )
    host: str = Field("127.0.0.1", description="Address that the server listens on")
    port: int = Field(8420, ge=0, le=65535, description="Port that the server listens on")
    public_url: Annotated[str, AfterValidator(setting_values.http_url)] = Field(
        "",
        description="URL at which terraform and people reach the server; default http://HOST:PORT",
    )
    trusted_proxies: Annotated[str, AfterValidator(setting_values.networks)] = Field(
        "",
        description="Addresses or networks of proxies, separated by commas, whose X-Forwarded-For "
        "names the client",
    )
    server_processes: int = Field(
        1, ge=1, le=64, description="Number of server processes; more than 1 needs PostgreSQL"
    )
    connections_per_address: int = Field(
        800,
        ge=10,
        description="Open connections of one client address to a server process (a proxy is one)",
    )
    max_viewers: int = Field(
        1000,
        ge=0,
        le=10_000,
        description="Streams of run events that a server process has open at once, half of them "
        "for one token",
    )
    database_url: Annotated[str, AfterValidator(setting_values.database_address)] = Field(
        "",
        repr=False,
        description="sqlite:///PATH or postgresql://…; default DATA_DIR/stateroom.db",
    )
    broker_url: Annotated[str, AfterValidator(setting_values.broker_url)] = Field(
        "filesystem://",
        repr=False,
        description="How workers hear of new runs: filesystem:// (one machine) or redis://…",
    )
    keyring: str = Field(
        "",
        repr=False,
        description="The keys of the keyring, separated by semicolons; for trials only",
    )
    keyring_file: Annotated[Path | None, AfterValidator(setting_values.readable_file)] = Field(
        None,
        description="A keyring file that is managed elsewhere; default DATA_DIR/keyring",
    )
    max_state_bytes: int = Field(100_000_000, ge=1_000, description="Largest accepted state, bytes")
    keep_versions: int = Field(
        100,
        ge=1,
        description="Versions kept of each state, besides pinned ones; a workspace can override it",
    )
    keep_days: int | None = Field(
        None,
        ge=1,
        description="Days that a version is kept after a newer one replaced it; empty: for ever. "
        "A workspace can override it",
    )
    keep_all_days: int = Field(
        7, ge=1, description="Days that a replaced version is kept, whatever the number of versions"
    )
    keep_daily_days: int = Field(
        90,
        ge=1,
        description="Days that the first and the last version of each day (UTC) are kept, likewise",
    )
    max_history_bytes: int = Field(
        50_000_000_000,
        ge=1_000,
        description="Documents kept of one state, bytes; above it the state takes no lock",
    )
    max_rescued_bytes: int = Field(
        1_000_000_000,
        ge=0,
        description="Limit for the refused writes kept of one state until somebody decides, bytes",
    )
    diff_memory_bytes: int = Field(
        500_000_000,
        ge=100_000_000,
        description="Memory for comparing large states, in each server process, bytes",
    )
    refuse_unlocked_writes: bool = Field(
        default=False, description="Refuse state writes without a lock (-lock=false)"
    )
    metrics_token: Annotated[str, AfterValidator(setting_values.metrics_token)] = Field(
        "",
        repr=False,
        description="The token that Prometheus sends to read /metrics; empty: no /metrics",
    )
    oidc_issuer: Annotated[str, AfterValidator(setting_values.issuer)] = Field(
        "",
        description="The OpenID provider that people sign in with: its issuer, an https URL; "
        "empty: none",
    )
    oidc_client_id: str = Field("", description="What the provider knows this installation as")
    oidc_client_secret: str = Field(
        "", repr=False, description="The secret that the provider gave for it; empty: none"
    )
    oidc_name: str = Field(
        "single sign-on",
        min_length=1,
        max_length=60,
        description="What people call the provider: the button says Sign in with NAME",
    )
    oidc_scopes: str = Field(
        "openid profile email", description="The scopes that the provider is asked for"
    )
    oidc_username_claim: str = Field(
        "preferred_username,email",
        description="Claims that a new person's name is made from: the first one there is",
    )
    oidc_groups_claim: str = Field(
        "groups", description="The claim with the groups of a person; a.b is the claim b inside a"
    )
    oidc_roles: Annotated[str, AfterValidator(setting_values.group_roles)] = Field(
        "",
        description="What groups give, as GROUP=PROJECT:ROLE or GROUP=admin, separated by "
        "semicolons or line ends",
    )
    oidc_create_users: bool = Field(
        default=True,
        description="Let everybody in whom the provider knows: a person is made at the first "
        "sign-in",
    )
    worker_slots: int = Field(4, ge=1, le=256, description="Runs that one worker executes at once")
    worker_queues: Annotated[str, AfterValidator(setting_values.labels)] = Field(
        "default",
        description="The queues that a worker takes runs from, separated by commas: labels of "
        "templates",
    )
    max_runs: int = Field(0, ge=0, description="Runs at work at once, in all projects; 0: no limit")
    lock_wait_seconds: float = Field(
        3600.0,
        ge=0,
        description="How long a run waits for a lock that is no run's before it fails, seconds",
    )
    poll_seconds: float = Field(
        2.0, gt=0, le=60, description="Interval of looking for queued and dead runs, seconds"
    )
    lease_seconds: float = Field(
        30.0,
        ge=2,
        le=3600,
        description="A worker that is silent for longer loses its run, seconds",
    )
    stop_grace_seconds: float = Field(
        300.0,
        gt=0,
        description="How long a canceled tool may take to save its state, per signal, seconds",
    )
    run_timeout_seconds: float = Field(
        4 * 3600.0, gt=0, description="How long one command of a run may take, seconds"
    )
    local_repositories: str = Field(
        "", description="Folders with git repositories that may be cloned by path, separated by :"
    )
    allow_private_hosts: bool = Field(
        default=False, description="Allow repositories on loopback and private addresses"
    )
    allow_plain_http: bool = Field(default=False, description="Allow repositories over http://")
    ssh_rsa_hosts: Annotated[str, AfterValidator(setting_values.hosts)] = Field(
        "",
        description="Old ssh servers that may use ssh-rsa with SHA-1, as HOST or HOST:PORT, "
        "separated by commas",
    )
    max_plan_bytes: int = Field(
        268_435_456,
        ge=1_000_000,
        description="Limit for a plan that waits for approval, with the files that it needs, bytes",
    )
    tools_dir: Path | None = Field(
        None, description="Folder with tools as NAME/VERSION/NAME; default DATA_DIR/tools"
    )
    tools_mirror: str = Field(
        "",
        description="Where tools are installed from instead of their publishers: https://HOST/PATH "
        "with NAME/VERSION/FILE below it",
    )
    tools_key: Path | None = Field(
        None,
        description="File with the OpenPGP keys that releases have to be signed with; default: "
        "those of HashiCorp and OpenTofu, which are shipped",
    )
    tools_install: bool = Field(
        default=False,
        description="Let workers install the version of a tool that a run asks for and no "
        "installed one fits",
    )
    provider_mirror: Path | None = Field(
        None, description="Folder with a mirror of providers, which is used before the registry"
    )
    provider_cache_dir: Path | None = Field(
        None,
        description="Folder where a worker keeps the providers that it has downloaded; default "
        "DATA_DIR/providers",
    )
    max_provider_cache_bytes: int = Field(
        10_000_000_000,
        ge=0,
        description="Limit for the providers that a worker keeps, bytes; 0: none",
    )
    provider_cache_days: float = Field(
        30.0, gt=0, description="Days after which a provider that no run has used is removed"
    )
    max_mirror_bytes: int = Field(
        5_000_000_000,
        ge=0,
        description="Limit for the mirrors of repositories that a worker keeps, bytes; 0: none",
    )
    mirror_days: float = Field(
        14.0, gt=0, description="Days after which a mirror that no run has used is removed"
    )
    sandbox: Literal["auto", "required", "user", "landlock", "none"] = Field(
        "auto",
        description="What confines a run: auto (the best that works), required (namespaces), user, "
        "landlock, none",
    )
    sandbox_readable: str = Field(
        "",
        description="What runs may read on the worker's machine besides the system, separated by :",
    )
    sandbox_users: Annotated[str, AfterValidator(setting_values.user_range)] = Field(
        "1900000000-1999999999",
        description="User ids that a worker running as root gives its runs, as FIRST-LAST",
    )
    run_memory_bytes: int = Field(
        4 << 30,
        ge=0,
        description="Memory that the commands of one run may take, bytes; 0: no limit",
    )
    run_processes: int = Field(
        2048, ge=0, description="Processes and threads that one run may have; 0: no limit"
    )
    run_open_files: int = Field(
        65_536, ge=0, description="Open files of one process of a run; 0: no limit"
    )
    run_disk_bytes: int = Field(
        10 << 30, ge=0, description="Disk space that the folder of one run may take; 0: no limit"
    )
    run_cpu_seconds: int = Field(
        8 * 3600, ge=0, description="CPU time that one run may take, seconds; 0: no limit"
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="Format of log lines: console or json"
    )

    _named_files: tuple[Path, ...] = PrivateAttr(())  # environ.py sets it

    @model_validator(mode="after")
    def _processes_fit_the_database(self) -> Self:
        if self.server_processes > 1 and self.is_sqlite:
            raise ValueError("server_processes above 1 needs a PostgreSQL database_url")
        return self

    @model_validator(mode="after")
    def _the_provider_knows_this_client(self) -> Self:
        if self.oidc_issuer and not self.oidc_client_id:
            raise ValueError("oidc_issuer needs an oidc_client_id")
        return self

    @property
    def is_sqlite(self) -> bool:
        return self.database.drivername == "sqlite"

    @property
    def url(self) -> str:
        """The URL at which terraform, people and workers reach the server."""
        return self.public_url or self.local_url

    @property
    def local_url(self) -> str:
        """The URL of the server on its own machine."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 an address to compare with, not to bind
        return f"http://{host}:{self.port}"

    @property
    def database(self) -> URL:
        """The URL of the database. It hides the password when it is printed."""
        if not self.database_url:
            return database_url.of_file(self.data_dir.absolute() / "stateroom.db")
        return database_url.parse(self.database_url)

    @property
    def keyring_path(self) -> Path:
        return self.keyring_file or self.data_dir / "keyring"

    @property
    def admin_token_path(self) -> Path:
        return self.data_dir / "admin-token"

    @property
    def blobs_dir(self) -> Path:
        return self.data_dir / "blobs"

    @property
    def bell_dir(self) -> Path:
        return self.data_dir / "bell"

    @property
    def metrics_dir(self) -> Path:
        """Where the processes of one server count requests together."""
        return self.data_dir / "metrics" / f"{socket.gethostname()}-{self.port}"

    @property
    def work_dir(self) -> Path:
        return self.data_dir / "work"

    @property
    def mirrors_dir(self) -> Path:
        return self.data_dir / "mirrors"

    @property
    def providers_path(self) -> Path:
        return self.provider_cache_dir or self.data_dir / "providers"

    @property
    def tools_path(self) -> Path:
        return self.tools_dir or self.data_dir / "tools"

    @property
    def trusted_networks(self) -> tuple[Network, ...]:
        return setting_values.parsed_networks(self.trusted_proxies)

    @property
    def users(self) -> tuple[int, int]:
        """The first user id of runs, and how many there are."""
        first, last = map(int, self.sandbox_users.split("-"))
        return first, last - first + 1

    @property
    def readable(self) -> tuple[Path, ...]:
        return tuple(Path(p) for p in self.sandbox_readable.split(":") if p)

    @property
    def hidden(self) -> tuple[Path, ...]:
        """What no run may read, wherever it lies: what the settings name, and the data folder."""
        own = (self.data_dir, self.keyring_path, self.admin_token_path, *self._named_files)
        database = self.database.database
        more = (Path(database),) if self.is_sqlite and database else ()
        return tuple(path.absolute() for path in (*own, *more))

    @property
    def group_roles(self) -> tuple[GroupRole, ...]:
        """What the groups of the OpenID provider give."""
        return setting_values.parsed_group_roles(self.oidc_roles)

    @property
    def queues(self) -> tuple[str, ...]:
        """The labels that a worker takes runs of."""
        return tuple(self.worker_queues.split(","))

    @property
    def local_roots(self) -> tuple[Path, ...]:
        return tuple(Path(p) for p in self.local_repositories.split(":") if p)
