"""Aliases: unguessable addresses of one state, each with its own username and password."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Select, and_, bindparam, or_, select, update
from sqlalchemy.orm import Session, joinedload

from backend import audit, names
from backend.catalogue import keys
from backend.db import now
from backend.errors import Conflict, Invalid, NotFound
from backend.express import Statement
from backend.models import Alias, Key, Project, State
from backend.paging import DEFAULT_LIMIT, Page, page
from backend.people import tokens
from backend.sealing import crypto, faults
from backend.sealing.crypto import Keyring
from backend.sealing.faults import Fault
from backend.sealing.proofs import Proofs, changed, reader
from backend.transactions import Transaction

READ_ONLY, READ_WRITE = "read-only", "read-write"
# a writer may unlock: otherwise a terraform that was killed on a laptop would leave its lock behind
SCOPES = {
    READ_ONLY: ("state:read",),
    READ_WRITE: ("state:read", "state:write", "state:unlock"),
}
# a plan takes the lock, which needs more than reading
COMMANDS = {READ_ONLY: ("init", "plan -lock=false"), READ_WRITE: ("init",)}
PREFIX = "stateroom-alias"
log = structlog.get_logger()
USE_IS_NOTED_EVERY = timedelta(minutes=1)

_LETTERS = string.digits + string.ascii_lowercase
_LENGTH = 26  # of an address: 134 random bits


@dataclass(frozen=True)
class NewAlias:
    """The properties of a new alias.

    With `key`, the name or id of a stored key, the alias has the username and password of that key.
    """

    name: str
    access: str
    key: str | None = None
    expires_at: datetime | None = None


def create(tx: Transaction, state: State, new: NewAlias) -> tuple[Alias, str | None]:
    """Create an alias and return it with its password, which is never shown again.

    The password is None when the alias uses the login of a stored key, whose password needs at
    least MIN_LOGIN_PASSWORD characters. An alias made with a token
    ends with that token; one made by a person who is signed in stays. Needs templates:manage and
    every scope of the alias, and keys:manage for the login of a key. Raises Forbidden, Invalid,
    Conflict.
    """
    needed = [
        "templates:manage",
        *SCOPES[new.access],
        *([] if new.key is None else ["keys:manage"]),
    ]
    for scope in needed:
        tx.require(scope, state.project_id)
    db = tx.db
    key = keys.chosen(db, db.get_one(Project, state.project_id), new.key)
    username = new.name if key is None else _username(tx, key)
    db.refresh(state, with_for_update=True)  # one at a time: two could take the same name
    if db.scalar(select(Alias.id).where(_alive(state), Alias.name == names.check(new.name))):
        raise Conflict(f"This state has an alias {new.name!r} already.", code="name-taken")
    password = None if key is not None else crypto.new_token(PREFIX)
    alias = Alias(
        project_id=state.project_id,
        state_id=state.id,
        name=new.name,
        address=_new_address(),
        access=new.access,
        username=username,
        password_hash=None if password is None else crypto.token_hash(password),
        key=key,
        token_id=tokens.parent(tx),
        created_by=tx.principal.name,
        expires_at=tx.principal.within_its_life(new.expires_at),
    )
    db.add(alias)
    db.flush()
    audit.record(
        tx, "alias.create", alias.id, project_id=state.project_id, name=new.name,
        state=state.id, access=new.access, key=alias.key_id,
    )  # fmt: skip
    return alias, password


def get(tx: Transaction, state: State, reference: str) -> Alias:
    """One alias, for showing it. Raises NotFound."""
    tx.require("state:read", state.project_id)
    return named(tx.db, state, reference)


def named(db: Session, state: State, reference: str) -> Alias:
    """The alias with this id, or the one with this name that is not revoked. Raises NotFound."""
    found = db.scalars(
        _of(state).where(or_(Alias.id == reference, and_(_alive(state), Alias.name == reference)))
    ).one_or_none()
    if found is None:
        raise NotFound(f"This state has no alias {reference!r}.")
    return found


def find_all(
    tx: Transaction, state: State, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Alias]:
    """The aliases of a state, also those that are revoked or expired."""
    tx.require("state:read", state.project_id)
    return page(tx.db, _of(state), Alias.id, after, limit)


def revoke(tx: Transaction, state: State, reference: str) -> None:
    """Close the address at once, for every credential. Revoking it twice is harmless.

    Raises NotFound.
    """
    tx.require("templates:manage", state.project_id)
    alias = named(tx.db, state, reference)
    tx.db.refresh(alias, with_for_update={"of": Alias})
    if alias.revoked_at is None:
        alias.revoked_at = tx.db.scalar(select(now()))
        alias.key = None  # so that the key can be deleted
        audit.record(
            tx, "alias.revoke", alias.id, project_id=alias.project_id, name=alias.name,
            state=alias.state_id,
        )  # fmt: skip


def is_ours(proofs: Proofs, row: Any) -> bool:
    """Whether Stateroom itself wrote the row. Raises Unreadable when its key's row was changed."""
    if not proofs.fits(Alias, _ALIAS(row), row.alias_proof):
        log.error("row_refused", table="aliases", id=row.alias_id)
        return False
    if row.login_key_id is not None and not proofs.fits(Key, _LOGIN_KEY(row), row.key_proof):
        raise changed(Key, row.login_key_id)
    return True


def fault(keyring: Keyring, alias: Alias) -> Fault | None:
    """Why it or the key that is its login cannot be used, or None."""
    return faults.found(lambda: keyring.proofs.check(alias)) or (
        None if alias.key is None else keys.fault(keyring, alias.key)
    )


def _new_address() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))


def checked(address: str) -> str:
    """The address, or one that nobody has if it is malformed: PostgreSQL refuses a NUL."""
    return address if address.isascii() and address.isalnum() else ""


def _username(tx: Transaction, key: Key) -> str:
    if key.kind != "password" or key.username is None:
        raise Invalid(
            f"The key {key.name!r} is of kind {key.kind}; a login needs a username and password.",
            code="key-kind",
        )
    keys.refuse_short_login(keys.opened(tx.keyring, key)["password"])
    return key.username


def _use_is_due() -> ColumnElement[bool]:
    return or_(Alias.last_used_at.is_(None), Alias.last_used_at < now(-USE_IS_NOTED_EVERY))


def _is_open() -> ColumnElement[bool]:
    unexpired = or_(Alias.expires_at.is_(None), Alias.expires_at > now())
    return and_(Alias.revoked_at.is_(None), unexpired)


def _alive(state: State) -> ColumnElement[bool]:
    return and_(Alias.state_id == state.id, Alias.revoked_at.is_(None))


def _of(state: State) -> Select[Alias]:
    return select(Alias).where(Alias.state_id == state.id).options(joinedload(Alias.key))


AT = and_(Alias.address == bindparam("address"), _is_open())
# The columns of an alias and its key that a login is checked with.
COLUMNS = (
    *(Alias.id.label("alias_id"), Alias.name.label("alias_name"), Alias.access, Alias.expires_at),
    *(Alias.username, Alias.password_hash, Alias.key_id.label("login_key_id"), Key.secret),
    *(Alias.state_id.label("alias_state_id"), Alias.project_id.label("alias_project_id")),
    *(Alias.address, Alias.token_id.label("alias_token_id"), Alias.revoked_at),
    *(Alias.revision.label("alias_revision"), Alias.proof.label("alias_proof")),
    *(Key.project_id.label("key_project_id"), Key.name.label("key_name"), Key.kind),
    *(Key.username.label("key_username"), Key.fingerprint, Key.public_key),
    *(Key.revision.label("key_revision"), Key.proof.label("key_proof")),
    _use_is_due().label("use_is_due"),
)
_ALIAS = reader(
    Alias, id="alias_id", name="alias_name", state_id="alias_state_id", key_id="login_key_id",
    project_id="alias_project_id", token_id="alias_token_id",  # noqa: S106 a column
    revision="alias_revision",
)  # fmt: skip
_LOGIN_KEY = reader(
    Key, id="login_key_id", name="key_name", project_id="key_project_id", username="key_username",
    revision="key_revision",
)  # fmt: skip
# Store when somebody last logged in, at most once a minute.
NOTE_USE = Statement(
    update(Alias).where(Alias.id == bindparam("used"), _use_is_due()).values(last_used_at=now())
)
