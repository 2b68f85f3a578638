"""ID tokens: who the provider says somebody is, and whether the provider says so."""

from __future__ import annotations

from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import ClaimError, InvalidKeyIdError, JoseError, MissingClaimError
from joserfc.jwk import JWKRegistry, Key, KeySet
from joserfc.jws import JWSRegistry

from backend.config import Settings
from backend.people.logins import LoginRefused
from backend.people.oidc import provider

LEEWAY = 60  # seconds that the two clocks may differ
# With a public key alone. In the others the key that verifies could also sign.
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519", "EdDSA"),
)
_KINDS = {"RSA", "EC", "OKP"}
_OF_CLOCKS = {"exp", "iat", "nbf"}


def read(settings: Settings, tokens: dict[str, Any], nonce: str) -> dict[str, Any]:
    """The claims of the ID token among these tokens. Raises LoginRefused, Unavailable."""
    given = tokens.get("id_token")
    if not isinstance(given, str):
        raise _refused("there is none")
    try:
        decoded = _decoded(settings, given)
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            options={
                "iss": {"essential": True, "value": settings.oidc_issuer},
                "aud": {"essential": True, "value": settings.oidc_client_id},
                "sub": {"essential": True},
            },
            params={
                "nonce": nonce,
                "client_id": settings.oidc_client_id,
                "access_token": tokens.get("access_token"),
            },
        )
        claims.validate(leeway=LEEWAY)
    except ClaimError as error:
        if error.claim in _OF_CLOCKS and not isinstance(error, MissingClaimError):
            raise _of_another_time() from None
        raise _refused(f"its claim {error.claim!r} is missing or wrong") from None
    except (JoseError, ValueError) as error:
        raise _refused(f"its signature cannot be verified ({error})") from None
    return dict(claims)


def _decoded(settings: Settings, given: str) -> jwt.Token:
    """The token, signed with a key of the provider. For a new key its keys are fetched anew."""
    try:
        return _verified(given, provider.keys(settings))
    except InvalidKeyIdError:
        return _verified(given, provider.keys(settings, anew=True))


def _verified(given: str, keys: list[dict[str, Any]]) -> jwt.Token:
    found = [_key(one) for one in keys if one.get("kty") in _KINDS and one.get("use") != "enc"]
    registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    return jwt.decode(given, KeySet(found), algorithms=ALGORITHMS, registry=registry)


def _key(one: dict[str, Any]) -> Key:
    return JWKRegistry.import_key(one)


def _of_another_time() -> LoginRefused:
    return LoginRefused(
        message="The sign-in is of another time: the clocks of this server and of the OpenID "
        "provider differ by more than a minute. The operator sets them right.",
        code="oidc-clock",
    )


def _refused(reason: str) -> LoginRefused:
    return LoginRefused(
        message=f"The ID token of the OpenID provider is refused: {reason}.", code="oidc-token"
    )
