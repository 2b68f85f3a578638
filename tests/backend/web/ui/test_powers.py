"""What scopes and roles allow, in words."""

from __future__ import annotations

from backend.principal import ROLES, SCOPES
from backend.web.ui import powers


def test_every_scope_and_role_is_explained() -> None:
    assert [*powers.SCOPE_WORDS] == [*SCOPES]
    assert [*powers.ROLE_WORDS] == [*ROLES]
