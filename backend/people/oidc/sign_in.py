"""Sign in with the OpenID provider: authorization code with PKCE, state and nonce.

A person is who the provider's issuer and subject say. A name that it tells only names a new person:
it never opens an account that was made otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from authlib.common.urls import add_params_to_uri
from sqlalchemy import select

from backend import audit, names
from backend.errors import Error, Invalid, NotFound, Throttled, Unavailable
from backend.models import Token, User
from backend.people import logins, throttles
from backend.people.logins import LoginRefused
from backend.people.oidc import begun, claims, groups, id_token, provider
from backend.people.oidc.claims import Claimed
from backend.people.throttles import Counter, Limit
from backend.sealing import faults, proven
from backend.transactions import Installation, Transaction

log = structlog.get_logger()
FAILED = Limit(free=20, every=10.0)  # sign-ins that fail, from one address
LONGEST_CODE = 4096


@dataclass(frozen=True)
class SignedIn:
    """`page` is where to go on."""

    token: Token
    secret: str
    page: str


def begin(here: Installation, page: str) -> tuple[str, str]:
    """Where to send the browser, and what its cookie keeps. Raises NotFound, Unavailable."""
    _require(here)
    made = begun.new(page)
    there = provider.address_to_sign_in(here.settings, made.state, made.nonce, made.verifier)
    return there, begun.packed(here, made)


def finish(
    here: Installation, answer: Mapping[str, str], cookie: str, address: str, device: str
) -> SignedIn:
    """Sign in whom the provider sent back with this answer.

    `address` is the client's, and `device` how the session is listed. Raises NotFound, Throttled,
    LoginRefused, Unavailable, and Conflict as `groups.give` does.
    """
    _require(here)
    counters = [Counter.of(FAILED, "oidc", throttles.network(address))]
    _count(here, counters)
    try:
        made = begun.unpacked(here, cookie, answer.get("state", ""))
        person = _asked(here, answer, made)
        with here.itself.transaction() as tx:
            token, secret = logins.begin_session(tx, _let_in(tx, person), device)
    except (LoginRefused, Unavailable) as refused:
        _note(here, refused)
        raise
    throttles.forgive(here.database, counters)
    return SignedIn(token, secret, made.page)


def address_to_sign_out(here: Installation) -> str | None:
    """Where people sign out of the provider too, if it can be asked now and has such a page."""
    if not here.settings.oidc_issuer:
        return None
    try:
        found = provider.metadata(here.settings).get("end_session_endpoint")
    except Unavailable as error:
        log.warning("oidc_unavailable", reason=error.facts["reason"])
        return None
    if not isinstance(found, str) or not found.startswith(("https://", "http://")):
        return None
    return str(add_params_to_uri(found, [("client_id", here.settings.oidc_client_id)]))


def _require(here: Installation) -> None:
    if not here.settings.oidc_issuer:
        raise NotFound("This installation has no OpenID provider.", code="no-provider")


def _count(here: Installation, counters: list[Counter]) -> None:
    try:
        throttles.count(here.database, counters)
    except Throttled as error:
        raise Throttled("Too many sign-ins failed.", error.seconds) from None


def _note(here: Installation, refused: Error) -> None:
    log.warning("login_refused", code=refused.code, reason=refused.message)
    if not isinstance(refused, LoginRefused):
        refused = LoginRefused(message=refused.message, code=refused.code)
    logins.note_refused(here, refused)


def _asked(here: Installation, answer: Mapping[str, str], made: begun.Begun) -> Claimed:
    """Who the provider says it is. Raises LoginRefused, Unavailable."""
    settings = here.settings
    issuer = answer.get("iss", settings.oidc_issuer)
    if "error" in answer or issuer != settings.oidc_issuer:
        said = answer.get("error_description") or answer.get("error") or "another one answered"
        raise LoginRefused(
            message=f"The OpenID provider signed nobody in: {said[:200]}.", code="oidc-denied"
        )
    tokens = provider.redeem(settings, answer.get("code", "")[:LONGEST_CODE], made.verifier)
    found = id_token.read(settings, tokens, made.nonce)
    return claims.of(settings, found, str(tokens.get("access_token") or ""))


def _let_in(tx: Transaction, person: Claimed) -> User:
    """The person with this identity, with the roles of the groups. Raises LoginRefused."""
    of_it = select(User).where(User.identity == person.identity).with_for_update()
    user = tx.db.scalars(of_it).one_or_none() or _made(tx, person)
    if faults.found(lambda: proven.check(tx.db, user)) is not None:
        log.error("row_refused", table="users", id=user.id)
        raise LoginRefused(user.id)
    if user.disabled_at is not None:
        raise LoginRefused(
            user.id,
            message=f"The account {user.name} is disabled here. An administrator can enable it.",
            code="account-disabled",
        )
    groups.give(tx, user, person.groups)
    return user


def _made(tx: Transaction, person: Claimed) -> User:
    """A new person, without a password."""
    if not tx.settings.oidc_create_users:
        raise LoginRefused(
            message="Nobody here signs in with this account of the provider, and new people are "
            "not let in (STATEROOM_OIDC_CREATE_USERS).",
            code="oidc-unknown-person",
        )
    name = _free_name(tx, person.name)
    user = User(name=name, identity=person.identity)
    names.store(tx.db, user, "user")
    audit.record(
        tx, "user.create", user.id, name=name, is_admin=False, has_password=False,
        identity=person.identity,
    )  # fmt: skip
    return user


def _free_name(tx: Transaction, name: str) -> str:
    try:
        names.check(name, ["me"])
    except Invalid:
        raise LoginRefused(
            message="The OpenID provider tells no name that can be one here. The operator names "
            "the claim that has it: STATEROOM_OIDC_USERNAME_CLAIM.",
            code="oidc-no-name",
        ) from None
    taken = tx.db.scalar(select(User.id).where(User.name == name))
    if taken is not None:
        raise LoginRefused(
            taken,
            message=f"There is an account {name} here already, and it does not belong to this "
            "account of the provider. An administrator can delete it, so that it is made anew at "
            "the next sign-in.",
            code="oidc-name-taken",
        )
    return name
