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

# Scopes of runs, which no token can be issued with. The last one is for runs that lost their claim.
LOCK = "state:lock"  # lock and unlock, without writing: what planning needs
REPORT = "run:report"  # write status, steps and log into its own row
PIN_HOSTS = "project:pin-hosts"  # store the keys of hosts that it saw for the first time
RESCUE = "state:rescue"  # have a late state kept as a rescued write

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

# The roles in a project and their scopes, from the least to the most.
ROLES: Mapping[str, frozenset[str]] = {
    "guest": _GUEST,
    "task_runner": _TASK_RUNNER,
    "manager": _MANAGER,
    "owner": frozenset(SCOPES),
}


@dataclass(frozen=True)
class Principal:
    """Who is asking: a person, a token, an alias login or a run.

    Without `project_id` it may use every project, without `state_id` every state. `roles` are the
    scopes of a person in each project; None means that it is not limited by memberships.
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
    is_session: bool = False  # a person who signed in
    use_is_due: bool = False  # the last use of its token is to be stored

    @property
    def holder_id(self) -> str:
        """What a lock remembers of its holder: the id of a run, a token or an alias."""
        return self.run_id or self.token_id

    def sees(self, project_id: str) -> bool:
        """Whether it may see the project. To everybody else the project does not exist."""
        if self.project_id is not None and project_id != self.project_id:
            return False
        return self.roles is None or project_id in self.roles

    def may(self, scope: str, project_id: str | None) -> bool:
        """Whether it has the scope in the project, or with None in the whole installation."""
        if not self.holds(scope):
            return False
        if project_id is None:
            return self.project_id is None and self.roles is None
        if not self.sees(project_id):
            return False
        return self.roles is None or _has(self.roles[project_id], scope)

    def holds(self, scope: str) -> bool:
        """Whether its token has the scope, in whatever project."""
        return _has(self.scopes, scope)

    def within_its_life(self, wanted: datetime | None) -> datetime | None:
        """The end of something that it makes: as wanted, but not after its own end.

        What a person makes while signed in belongs to the person, and outlives the session.
        """
        if self.is_session:
            return wanted
        ends = [moment for moment in (wanted, self.expires_at) if moment is not None]
        return min(ends, default=None)

    def require(self, scope: str, project_id: str | None, hint: str = "") -> None:
        """Raise Forbidden, which names the scope, unless it has this scope in the project.

        The hint is a sentence that follows the refusal.
        """
        self.require_held(scope, hint)
        if not self.may(scope, project_id):
            missing = f"This needs the scope {scope}, which {self.name!r} does not have here."
            raise Forbidden(
                f"{missing} {hint}".rstrip(),
                code="scope-missing",
                scope=scope,
            )

    def require_held(self, scope: str, hint: str = "") -> None:
        """Raise Forbidden, which names the scope, unless its token has this scope."""
        if not self.holds(scope):
            missing = (
                f"This needs the scope {scope}, which the token of {self.name!r} does not have."
            )
            raise Forbidden(
                f"{missing} {hint}".rstrip(),
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
