"""Who is asking, and what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from backend.errors import Forbidden

SCOPES = (
    "runs:read",
    "runs:create",
    "runs:approve",
    "runs:cancel",
    "state:read",
    "state:write",
    "state:delete",
    "state:unlock",
    "outputs:read",
    "keys:manage",
    "templates:manage",
    "blocks:read",
    "blocks:write",
    "admin",
)

# Scopes that no token is issued with: what a claimed run may do, and one that has lost its claim.
REPORT = "run:report"  # write into its own row what happens
PIN_HOSTS = "project:pin-hosts"  # remember the keys of hosts that it met for the first time
RESCUE = "state:rescue"  # leave a state that comes too late for a person to decide on

# meshStack's names for the state scopes
ALIASES = {
    "TFSTATE_LIST": ("state:read",),
    "TFSTATE_SAVE": ("state:read", "state:write"),
    "TFSTATE_DELETE": ("state:delete",),
}

_GUEST = frozenset({"runs:read", "blocks:read"})
_TASK_RUNNER = _GUEST | {"runs:create", "runs:cancel", "outputs:read"}
_MANAGER = _TASK_RUNNER | {
    "runs:approve",
    "state:read",
    "state:write",
    "state:unlock",
    "keys:manage",
    "templates:manage",
    "blocks:write",
}

# What a person may do in a project, from the least to the most.
ROLES: Mapping[str, frozenset[str]] = {
    "guest": _GUEST,
    "task_runner": _TASK_RUNNER,
    "manager": _MANAGER,
    "owner": frozenset(SCOPES),
}


@dataclass(frozen=True)
class Principal:
    """A person, a token, an alias login or a run.

    No `project_id` means every project, no `state_id` every state of it. `roles` are the scopes
    that a person's memberships give in each project; None: memberships bound nothing here.
    """

    name: str
    token_id: str
    scopes: frozenset[str]
    project_id: str | None = None
    state_id: str | None = None
    run_id: str | None = None
    run_epoch: int | None = None
    user_id: str | None = None
    roles: Mapping[str, frozenset[str]] | None = None
    expires_at: datetime | None = None
    is_session: bool = False  # a person signed in with the password
    use_is_due: bool = False  # its token's last use is to be noted

    def sees(self, project_id: str) -> bool:
        """Whether the project is open to it at all. To everybody else it does not exist."""
        if self.project_id is not None and project_id != self.project_id:
            return False
        return self.roles is None or project_id in self.roles

    def may(self, scope: str, project_id: str | None) -> bool:
        """Whether it may do this in the project; None: in the whole installation."""
        if not self.holds(scope):
            return False
        if project_id is None:
            return self.project_id is None and self.roles is None
        if not self.sees(project_id):
            return False
        return self.roles is None or _has(self.roles[project_id], scope)

    def holds(self, scope: str) -> bool:
        """Whether its token has the scope, wherever it may use it."""
        return _has(self.scopes, scope)

    def within_its_life(self, wanted: datetime | None) -> datetime | None:
        """When something it makes ends: as wanted, but not after itself.

        What is made while signed in is the person's, and outlives the session.
        """
        if self.is_session:
            return wanted
        ends = [moment for moment in (wanted, self.expires_at) if moment is not None]
        return min(ends, default=None)

    def require(self, scope: str, project_id: str | None) -> None:
        """Raise Forbidden, naming the scope that is missing in the project."""
        self.require_held(scope)
        if not self.may(scope, project_id):
            raise Forbidden(
                f"This needs the scope {scope}, which {self.name!r} does not have here.",
                code="scope-missing",
                scope=scope,
            )

    def require_held(self, scope: str) -> None:
        """Raise Forbidden, naming the scope that the token is missing."""
        if not self.holds(scope):
            raise Forbidden(
                f"This needs the scope {scope}, which the token of {self.name!r} does not have.",
                code="scope-missing",
                scope=scope,
            )

    def require_installation(self) -> None:
        """Raise Forbidden unless this is an administrator of the whole installation."""
        self.require_held("admin")
        if not self.may("admin", None):
            raise Forbidden("This is for administrators of the whole installation.")


def _has(scopes: frozenset[str], scope: str) -> bool:
    return scope in scopes or "admin" in scopes


SYSTEM = Principal(name="stateroom", token_id="", scopes=frozenset({"admin"}))
