"""Aliases: unguessable addresses of one state, each with a login that opens nothing else."""

from __future__ import annotations

import hmac
import secrets
import string
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Row, Select, String, and_, bindparam, or_, select, update
from sqlalchemy.orm import Session, joinedload

from backend import audit, names
from backend.catalogue import keys
from backend.db import execute, now
from backend.errors import Conflict, Invalid, NotFound, Unauthorised
from backend.models import Alias, Key, State
from backend.paging import DEFAULT_LIMIT, Page, page
from backend.people import tokens
from backend.principal import Principal
from backend.sealing import crypto
from backend.sealing.crypto import Keyring

READ_ONLY, READ_WRITE = "read-only", "read-write"
# whose terraform died on a laptop must be able to go on: state:unlock belongs to writing
SCOPES = {
    READ_ONLY: ("state:read",),
    READ_WRITE: ("state:read", "state:write", "state:unlock"),
}
# a plan locks too, which who only reads cannot
COMMANDS = {READ_ONLY: ("init", "plan -lock=false"), READ_WRITE: ("init",)}
PREFIX = "stateroom-alias"
USE_IS_NOTED_EVERY = timedelta(minutes=1)

_LETTERS = string.digits + string.ascii_lowercase
_LENGTH = 26  # of an address: 134 random bits
_NOBODY = bytes(32)


def create(  # noqa: PLR0913 the columns of an alias
    db: Session,
    principal: Principal,
    state: State,
    *,
    name: str,
    access: str,
    key: Key | None = None,
    expires_at: datetime | None = None,
) -> tuple[Alias, str | None]:
    """A new address of the state, and its password: never shown again, None when it is the key's.

    It ends when the token does that it was made with; what is made while signed in stays.
    Raises Invalid, Conflict.
    """
    db.refresh(state, with_for_update=True)  # two with one name would wait for each other here
    if db.scalar(select(Alias.id).where(_alive(state), Alias.name == names.check(name))):
        raise Conflict(f"This state has an alias {name!r} already.", code="name-taken")
    password = None if key is not None else crypto.new_token(PREFIX)
    alias = Alias(
        project_id=state.project_id,
        state_id=state.id,
        name=name,
        address=_new_address(),
        access=access,
        username=name if key is None else _username(key),
        password_hash=None if password is None else crypto.token_hash(password),
        key=key,
        token_id=tokens.parent(db, principal),
        created_by=principal.name,
        expires_at=principal.within_its_life(expires_at),
    )
    db.add(alias)
    db.flush()
    audit.record(
        db, principal, "alias.create", alias.id, project_id=state.project_id, name=name,
        state=state.id, access=access, key=alias.key_id,
    )  # fmt: skip
    return alias, password


def get(db: Session, state: State, reference: str) -> Alias:
    """The alias of this id, or the one of this name that is not revoked."""
    found = db.scalars(
        _of(state).where(or_(Alias.id == reference, and_(_alive(state), Alias.name == reference)))
    ).one_or_none()
    if found is None:
        raise NotFound(f"This state has no alias {reference!r}.")
    return found


def find_all(
    db: Session, state: State, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Alias]:
    """With those that are revoked or expired."""
    return page(db, _of(state), Alias.id, after, limit)


def revoke(db: Session, principal: Principal, alias: Alias) -> None:
    """Close the address now, for its login and for everybody. Revoking it twice is harmless."""
    if alias.revoked_at is None:
        alias.revoked_at = db.scalar(select(now()))
        alias.key = None  # which may now be deleted
        audit.record(
            db, principal, "alias.revoke", alias.id, project_id=alias.project_id, name=alias.name,
            state=alias.state_id,
        )  # fmt: skip


def authenticate(
    db: Session, keyring: Keyring, address: str, username: str, password: str
) -> Principal:
    """Who logs in at this address: somebody who may do there what the alias allows, and no more.

    Raises the same Unauthorised for an unknown, revoked or expired alias and for a wrong login,
    after the same work; Unreadable when the key of the login does not open.
    """
    row = execute(db, _LOGIN, {"address": _checked(address)}).one_or_none()
    expected = (_NOBODY, _NOBODY)
    if row is not None:
        expected = (crypto.token_hash(row.username), _password_hash(keyring, row))
    fits = hmac.compare_digest(
        b"".join(expected), crypto.token_hash(username) + crypto.token_hash(password)
    )
    if row is None or not fits:
        raise Unauthorised(
            "This address and this login do not belong together: one of them is mistyped, or the "
            "alias is expired or revoked. Send its username and password, or a token."
        )
    return Principal(
        name=f"alias {row.name}",
        token_id=row.id,
        scopes=frozenset(SCOPES[row.access]),
        project_id=row.project_id,
        state_id=row.state_id,
        expires_at=row.expires_at,
        use_is_due=bool(row.use_is_due),
    )


def note_use(db: Session, alias_id: str) -> None:
    """Remember that somebody logged in, at most once a minute."""
    db.execute(
        update(Alias)
        .where(Alias.id == alias_id, _use_is_due())
        .values(last_used_at=now())
        .execution_options(synchronize_session=False)
    )


def state_at(db: Session, principal: Principal, address: str) -> State:
    """The state behind an alias.

    Raises the same NotFound for an unknown, revoked or expired alias and for a stranger.
    """
    asked = {
        "address": _checked(address),
        "only_project": principal.project_id,
        "only_state": principal.state_id,
    }
    state = db.scalars(_STATE, asked).one_or_none()
    if state is None or not principal.sees(state.project_id):
        raise NotFound("There is no state at this address, or it is not open to this credential.")
    return state


def _new_address() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))


def _checked(address: str) -> str:
    """The address; for what can be none, one that nobody has: PostgreSQL takes no NUL."""
    return address if address.isascii() and address.isalnum() else ""


def _username(key: Key) -> str:
    if key.kind != "password" or key.username is None:
        raise Invalid(
            f"The key {key.name!r} is of kind {key.kind}: a login needs a username and password.",
            code="key-kind",
        )
    return key.username


def _password_hash(keyring: Keyring, row: Row[tuple[object, ...]]) -> bytes:
    if row.key_id is None:
        return row.password_hash or _NOBODY
    return crypto.token_hash(keys.opened_row(keyring, row.key_id, row.secret)["password"])


def _use_is_due() -> ColumnElement[bool]:
    return or_(Alias.last_used_at.is_(None), Alias.last_used_at < now(-USE_IS_NOTED_EVERY))


def _is_open() -> ColumnElement[bool]:
    unexpired = or_(Alias.expires_at.is_(None), Alias.expires_at > now())
    return and_(Alias.revoked_at.is_(None), unexpired)


def _alive(state: State) -> ColumnElement[bool]:
    return and_(Alias.state_id == state.id, Alias.revoked_at.is_(None))


def _of(state: State) -> Select[Alias]:
    return select(Alias).where(Alias.state_id == state.id).options(joinedload(Alias.key))


# Made once: making a statement takes longer than executing it.
_AT = and_(Alias.address == bindparam("address"), _is_open())
_LOGIN = (
    select(
        *(Alias.id, Alias.name, Alias.access, Alias.project_id, Alias.state_id, Alias.expires_at),
        *(Alias.username, Alias.password_hash, Alias.key_id, Key.secret),
        _use_is_due().label("use_is_due"),
    )
    .outerjoin(Key, Key.id == Alias.key_id)
    .where(_AT)
)
_ONLY_STATE = bindparam("only_state", type_=String())
_STATE = (
    select(State)
    .join(Alias, Alias.state_id == State.id)
    .where(_AT, or_(_ONLY_STATE.is_(None), State.id == _ONLY_STATE))
)
