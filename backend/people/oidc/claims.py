"""What the provider says of a person: who it is, a name, and the groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend import names
from backend.config import Settings
from backend.people.logins import LoginRefused
from backend.people.oidc import provider


@dataclass(frozen=True)
class Claimed:
    """`name` is empty when the claims have none that can be a name here."""

    identity: str
    name: str
    groups: frozenset[str]


def of(settings: Settings, id_token: Mapping[str, Any], access_token: str) -> Claimed:
    """What the ID token says, and the provider besides where it says too little.

    Raises LoginRefused, Unavailable.
    """
    claims = dict(id_token)
    needed = [settings.oidc_groups_claim] if settings.oidc_roles else []
    if any(_find(claims, name) is None for name in needed) or not _name(settings, claims):
        more = provider.user_info(settings, access_token) if access_token else {}
        if more and more.get("sub") != claims["sub"]:
            raise LoginRefused(
                message="The OpenID provider tells of somebody else than it signed in.",
                code="oidc-token",
            )
        claims = more | claims
    return Claimed(
        identity=f"{settings.oidc_issuer} {claims['sub']}",
        name=_name(settings, claims),
        groups=_groups(_find(claims, settings.oidc_groups_claim)),
    )


def _find(claims: Mapping[str, Any], name: str) -> Any:
    """A claim; `a.b` is also the claim b inside the claim a."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _groups(value: Any) -> frozenset[str]:
    if isinstance(value, str):
        return frozenset({value})
    if not isinstance(value, list):
        return frozenset()
    return frozenset(one for one in value if isinstance(one, str))


def _name(settings: Settings, claims: Mapping[str, Any]) -> str:
    """A name made from the first claim that there is; of an address of e-mail what is before @."""
    for claim in settings.oidc_username_claim.split(","):
        value = _find(claims, claim.strip())
        if isinstance(value, str) and value.strip():
            return names.made_of(value.strip().partition("@")[0])
    return ""
