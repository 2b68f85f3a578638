"""Who is asking, and what they may do."""

from __future__ import annotations

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

# meshStack's names for the state scopes
ALIASES = {
    "TFSTATE_LIST": ("state:read",),
    "TFSTATE_SAVE": ("state:read", "state:write"),
    "TFSTATE_DELETE": ("state:delete",),
}


@dataclass(frozen=True)
class Principal:
    """A token or a run. No `project_id` means every project, no `state_id` every state of it."""

    name: str
    token_id: str
    scopes: frozenset[str]
    project_id: str | None = None
    state_id: str | None = None
    run_id: str | None = None
    run_epoch: int | None = None
    expires_at: datetime | None = None
    use_is_due: bool = False  # its token's last use is to be noted

    def may(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes

    def require(self, scope: str) -> None:
        """Raise Forbidden, naming the scope that is missing."""
        if not self.may(scope):
            raise Forbidden(
                f"This needs the scope {scope}, which the token {self.name!r} does not have.",
                code="scope-missing",
                scope=scope,
            )

    def require_installation(self) -> None:
        """Raise Forbidden unless this is an administrator of the whole installation."""
        self.require("admin")
        if self.project_id is not None:
            raise Forbidden("This needs an administrator's token of the whole installation.")


SYSTEM = Principal(name="stateroom", token_id="", scopes=frozenset({"admin"}))
