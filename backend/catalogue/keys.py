"""The key store: SSH keys, usernames with passwords, and none. Secrets are never shown again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from sqlalchemy import literal, select, union_all
from sqlalchemy.orm import Session

from backend import audit, names
from backend.catalogue import projects, ssh_keys
from backend.errors import Conflict, Invalid, NotFound, Unreadable
from backend.models import Alias, GitCredential, Key, Project, Template, Workspace, new_id
from backend.offload import off_loop
from backend.paging import DEFAULT_LIMIT, Page, page
from backend.sealing import bindings, faults
from backend.sealing.crypto import Keyring, open_value, seal_value
from backend.sealing.faults import Fault
from backend.transactions import Caller, Transaction

Uses = Mapping[str, Sequence[str]]  # names by noun
KINDS = ("ssh", "password", "none")
FIELDS = {"ssh": {"private_key", "passphrase"}, "password": {"username", "password"}, "none": set()}
MAX_PASSWORD = 4096
MIN_LOGIN_PASSWORD = 12  # characters, as for people: of a key that is the login of an alias


class Given(TypedDict, total=False):
    """The input for a key, by kind: private_key and passphrase, or username and password."""

    private_key: str
    passphrase: str | None
    username: str
    password: str


class Opened(TypedDict, total=False):
    """A key's secret in clear, by kind: private_key and passphrase, or username and password."""

    private_key: str
    passphrase: str | None
    username: str
    password: str


@dataclass(frozen=True)
class Secret:
    """The checked input for a key. Fields that are None leave the stored ones as they are."""

    username: str | None = None
    fingerprint: str | None = None
    public_key: str | None = None
    sealed: dict[str, str | None] | None = field(default=None, repr=False)


def read(kind: str, given: Given) -> Secret:
    """Check the input for a new key. Raises Invalid.

    A slow passphrase takes seconds: do not call it inside a transaction.
    """
    missing = FIELDS[kind] - {"passphrase"} - given.keys()
    if missing:
        raise Invalid(
            f"A key of kind {kind} needs {' and '.join(sorted(missing))}.", code="key-incomplete"
        )
    return read_changes(kind, given)


def read_changes(kind: str, given: Given) -> Secret:
    """Check the input that replaces parts of a key of this kind. Raises Invalid."""
    foreign = given.keys() - FIELDS[kind]
    if foreign:
        raise Invalid(
            f"A key of kind {kind} has no {' and no '.join(sorted(foreign))}.", code="key-kind"
        )
    if "private_key" in given:
        key = ssh_keys.read(given["private_key"], given.get("passphrase"))
        sealed = {"private_key": key.private_key, "passphrase": key.passphrase}
        return Secret(fingerprint=key.fingerprint, public_key=key.public_key, sealed=sealed)
    if "passphrase" in given:
        raise Invalid("Send the passphrase together with its private_key.", code="key-incomplete")
    password = given.get("password")
    return Secret(
        username=given.get("username"),
        sealed=None if password is None else {"password": password},
    )


def create(
    tx: Transaction, project: Project, *, kind: str, secret: Secret, name: str | None = None
) -> Key:
    """Create a key. Its default name is its kind, numbered if that is taken. Raises Conflict."""
    tx.require("keys:manage", project.id)
    if name is None:
        taken = tx.db.scalars(select(Key.name).where(Key.project_id == project.id))
        name = names.free(kind, taken)
    key = Key(id=new_id("key"), project_id=project.id, name=names.check(name), kind=kind)
    _put(tx.keyring, key, secret)
    names.store(tx.db, key, "key")
    audit.record(tx, "key.create", key.id, project_id=project.id, name=key.name, kind=kind)
    return key


def get(tx: Transaction, project: Project, reference: str) -> Key:
    """One key of the project, without its secret. Raises NotFound."""
    tx.require("keys:manage", project.id)
    return named(tx.db, project, reference)


def named(db: Session, project: Project, reference: str) -> Key:
    found = db.scalars(
        select(Key).where(Key.project_id == project.id, names.called(Key, reference))
    ).one_or_none()
    if found is None:
        raise NotFound(f"There is no key {reference!r} in the project {project.name!r}.")
    return found


def chosen(db: Session, project: Project, reference: str | None) -> Key | None:
    """The key that a request names. Raises Invalid: a wrong reference is a wrong request."""
    if reference is None:
        return None
    try:
        return named(db, project, reference)
    except NotFound as error:
        raise Invalid(error.message, code="no-key") from None


def find_all(
    tx: Transaction, project: Project, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Key]:
    """The keys of a project, without their secrets."""
    tx.require("keys:manage", project.id)
    return page(tx.db, select(Key).where(Key.project_id == project.id), Key.id, after, limit)


def find_uses(tx: Transaction, project: Project, found: Sequence[Key]) -> Mapping[str, Uses]:
    """What uses these keys of the project: by the id of the key, and by noun."""
    tx.require("keys:manage", project.id)
    return _uses(tx.db, [key.id for key in found])


def update(
    caller: Caller, project: str, reference: str, given: Given, name: str | None = None
) -> Key:
    """Rename a key, replace its secret, or both. Aliases that use it get the new login at once.

    Raises Forbidden, NotFound, Invalid, Conflict.
    """
    with caller.reading() as tx:
        kind = get(tx, projects.named(tx, project), reference).kind
    secret = off_loop(read_changes, kind, given)
    with caller.transaction() as tx:
        return _update(tx, get(tx, projects.named(tx, project), reference), secret, name)


def _update(tx: Transaction, key: Key, secret: Secret, name: str | None) -> Key:
    tx.keyring.proofs.check(key)
    if name is not None:
        key.name = names.check(name)
    _put(tx.keyring, key, secret)
    names.store(tx.db, key, "key")
    password = (secret.sealed or {}).get("password")
    used = select(Alias.id).where(Alias.key_id == key.id, Alias.revoked_at.is_(None)).limit(1)
    if password is not None and tx.db.scalar(used) is not None:
        refuse_short_login(password)
    if secret.username is not None:
        for alias in tx.db.scalars(select(Alias).where(Alias.key_id == key.id).with_for_update()):
            alias.username = secret.username
    audit.record(
        tx, "key.update", key.id, project_id=key.project_id, name=name,
        replaced=secret.sealed is not None or None,
    )  # fmt: skip
    return key


def refuse_short_login(password: str) -> None:
    """Raise Invalid when a password is too short to be the login of an alias."""
    if len(password) < MIN_LOGIN_PASSWORD:
        raise Invalid(
            f"The password of an alias needs at least {MIN_LOGIN_PASSWORD} characters. Give the "
            "key a longer one, or let the alias have a generated one.",
            code="password-too-short",
        )


def delete(tx: Transaction, project: Project, reference: str) -> None:
    """Delete a key. Raises NotFound, and Conflict that names what uses the key."""
    key, db = get(tx, project, reference), tx.db
    db.refresh(key, with_for_update=True)
    used = _uses(db, [key.id]).get(key.id, {})
    if used:
        said = " and ".join(f"the {noun} {', '.join(found)}" for noun, found in used.items())
        raise Conflict(
            f"The key is used by {said}. Give them another key first.",
            code="key-in-use",
            **{noun.replace(" ", "_"): found for noun, found in used.items()},
        )
    db.delete(key)
    audit.record(tx, "key.delete", key.id, project_id=key.project_id, name=key.name)


def opened(keyring: Keyring, key: Key) -> Opened:
    """The secret in clear, for a worker that makes the Job of a run.

    Raises Unreadable with `key-unreadable`, which names the key.
    """
    try:
        keyring.proofs.check(key)
        if key.secret is None:
            return {}
        secret = opened_row(keyring, key.id, key.secret)
    except Unreadable as error:
        raise Unreadable(
            f"The stored key {key.name!r} does not open. {error.message} Replace its secret.",
            code="key-unreadable",
        ) from error
    if key.username is not None:
        secret["username"] = key.username
    return secret


def opened_row(keyring: Keyring, key_id: str, sealed: bytes) -> Opened:
    """The sealed part of a key, which is all but its username. Raises Unreadable."""
    secret: Opened = json.loads(open_value(keyring, sealed, bindings.key(key_id)))
    return secret


def fault(keyring: Keyring, key: Key) -> Fault | None:
    """Why its secret does not open; None when it does, or when it has none."""
    sealed = key.secret
    return faults.found(lambda: keyring.proofs.check(key)) or (
        None if sealed is None else faults.found(lambda: opened_row(keyring, key.id, sealed))
    )


def _uses(db: Session, key_ids: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """The names of what uses these keys, by key and noun, in one query."""
    users = (
        select(literal(noun).label("noun"), by.label("key_id"), name.label("name")).where(
            by.in_(key_ids)
        )
        for noun, by, name in _USERS
    )
    found: dict[str, dict[str, list[str]]] = {}
    rows = db.execute(union_all(*users)).all()
    for noun, _, _ in _USERS:
        for row in rows:
            if row.noun == noun:
                found.setdefault(row.key_id, {}).setdefault(noun, []).append(row.name)
    return found


_USERS = (
    ("templates", Template.key_id, Template.name),
    ("workspaces", Workspace.module_key_id, Workspace.name),
    ("git credentials", GitCredential.key_id, GitCredential.prefix),
    ("aliases", Alias.key_id, Alias.name),
)


def _put(keyring: Keyring, key: Key, secret: Secret) -> None:
    if secret.username is not None:
        key.username = secret.username
    if secret.fingerprint is not None:
        key.fingerprint, key.public_key = secret.fingerprint, secret.public_key
    if secret.sealed is not None:
        clear = json.dumps(secret.sealed).encode()
        key.secret = seal_value(keyring, clear, bindings.key(key.id))
