"""Who a token is of, and what it may do at this moment: for every request, in one statement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, and_, bindparam, or_, select, update
from sqlalchemy.orm import Session

from backend.db import execute, now
from backend.errors import Unauthorised
from backend.express import Statement
from backend.models import ACTIVE, Member, Proven, Run, Token, User
from backend.principal import LOCK, RESCUE, ROLES, Principal
from backend.sealing import crypto, proven
from backend.sealing.proofs import Proofs, reader

PREFIX = "stateroom"
USE_IS_NOTED_EVERY = timedelta(minutes=1)
log = structlog.get_logger()


def looks_like_one(secret: str) -> bool:
    return secret.startswith(f"{PREFIX}_") and crypto.token_well_formed(secret)


def authenticate(db: Session, secret: str) -> Principal:
    """The principal of this secret. Raises Unauthorised for one that is not valid.

    The credential of a run that has ended, or was taken from its worker, may no longer read or
    write; for a while its writes are kept as rescued writes.
    """
    row = None
    if crypto.token_well_formed(secret):
        row = execute(db, _BY_HASH, {"hash": crypto.token_hash(secret)}).one_or_none()
    if row is None:
        raise invalid()
    bound = row.user_id is not None and not row.is_admin
    proofs = proven.proofs_of(db)
    return principal_of(proofs, row, _roles(db, proofs, row.user_id) if bound else {})


def invalid() -> Unauthorised:
    return Unauthorised(
        "The token is not valid: it is mistyped, expired or revoked. "
        "Send it as a Bearer token, or as the password of Basic (with any username)."
    )


def principal_of(proofs: Proofs, row: Any, roles: Mapping[str, frozenset[str]]) -> Principal:
    """The principal of a token, from its COLUMNS. `roles` limit people who do not administer.

    Raises Unauthorised when somebody changed the row of the token or of its person.
    """
    if not proofs.fits(Token, _TOKEN(row), row.token_proof):
        raise _refused(Token, row.token_id)
    if row.user_id is not None and not proofs.fits(User, _USER(row), row.user_proof):
        raise _refused(User, row.user_id)
    return Principal(
        name=row.token_name if row.user_id is None else row.user_name,
        token_id=row.token_id,
        scopes=_scopes(row),
        project_id=row.only_project_id,
        state_id=row.only_state_id,
        run_id=row.run_id,
        run_epoch=row.run_epoch,
        user_id=row.user_id,
        roles=None if row.user_id is None or row.is_admin else roles,
        is_session=bool(row.is_session),
        expires_at=row.expires_at,
        use_is_due=bool(row.use_is_due),
    )


def _scopes(row: Any) -> frozenset[str]:
    """What a token may do at this moment: that of a run writes only while the run applies.

    What writes after its claim has ended is late, and kept as a rescued write.
    """
    scopes = frozenset(row.scopes.split())
    if row.run_id is None or "state:write" not in scopes:
        return scopes if row.is_alive else frozenset()
    if not row.is_alive:
        return frozenset({RESCUE})
    return scopes if row.run_status == "applying" else scopes - {"state:write"} | {LOCK}


def _refused(model: type[Proven], name: str) -> Unauthorised:
    log.error("row_refused", table=model.__tablename__, id=name)
    return invalid()


def _roles(db: Session, proofs: Proofs, user_id: str) -> dict[str, frozenset[str]]:
    """The scopes of a person in each of their projects."""
    found = db.connection().execute(_MEMBERSHIPS, {"user": user_id})
    return {row.project_id: role_scopes(proofs, row) for row in found}


def role_scopes(proofs: Proofs, row: Any) -> frozenset[str]:
    """The scopes of a membership, from its MEMBER_COLUMNS. Raises Unauthorised when changed."""
    if not proofs.fits(Member, _MEMBER(row), row.member_proof):
        raise _refused(Member, f"{row.member_project_id}/{row.member_user_id}")
    return ROLES[row.role]


def _use_is_due() -> ColumnElement[bool]:
    return or_(Token.last_used_at.is_(None), Token.last_used_at < now(-USE_IS_NOTED_EVERY))


def in_time() -> ColumnElement[bool]:
    """The condition for tokens that are neither revoked nor expired."""
    unexpired = or_(Token.expires_at.is_(None), Token.expires_at > now())
    return and_(Token.revoked_at.is_(None), unexpired)


def _person_is_there() -> ColumnElement[bool]:
    enabled = and_(User.id.is_not(None), User.disabled_at.is_(None))
    return or_(Token.user_id.is_(None), enabled)


def _run_is_alive() -> ColumnElement[bool]:
    at_work = and_(Run.epoch == Token.run_epoch, or_(*(Run.status == one for one in ACTIVE)))
    return or_(Token.run_id.is_(None), at_work)


# The columns that `principal_of` reads, in a query with the joins of `joined`.
COLUMNS = (
    *(Token.id.label("token_id"), Token.name.label("token_name"), Token.scopes),
    *(Token.project_id.label("only_project_id"), Token.state_id.label("only_state_id")),
    *(Token.run_id, Token.run_epoch, Token.expires_at, Token.user_id, Token.is_session),
    *(Token.hash, Token.parent_id, Token.revoked_at),
    *(Token.revision.label("token_revision"), Token.proof.label("token_proof")),
    *(User.name.label("user_name"), User.is_admin, User.password_hash.label("user_password")),
    *(User.disabled_at, User.identity, User.admin_by_group),
    *(User.revision.label("user_revision"), User.proof.label("user_proof")),
    *(Run.status.label("run_status"), _run_is_alive().label("is_alive")),
    _use_is_due().label("use_is_due"),
)


def joined(query: Any) -> Any:
    """Join a query of tokens with run and person, and limit it to tokens that are valid."""
    return (
        query.outerjoin(Run, Run.id == Token.run_id)
        .outerjoin(User, User.id == Token.user_id)
        .where(Token.hash == bindparam("hash"), in_time(), _person_is_there())
    )


# Built once, at import: building a statement takes longer than executing it.
_BY_HASH = joined(select(*COLUMNS).select_from(Token))
MEMBER_COLUMNS = (
    *(Member.role, Member.by_group, Member.project_id.label("member_project_id")),
    *(Member.user_id.label("member_user_id"), Member.revision.label("member_revision")),
    Member.proof.label("member_proof"),
)
_MEMBERSHIPS = select(Member.project_id, *MEMBER_COLUMNS).where(Member.user_id == bindparam("user"))
_TOKEN = reader(
    Token, id="token_id", name="token_name", project_id="only_project_id",
    state_id="only_state_id", revision="token_revision",
)  # fmt: skip
_USER = reader(
    User,
    id="user_id",
    name="user_name",
    password_hash="user_password",  # noqa: S106 a column
    revision="user_revision",
)
_MEMBER = reader(
    Member, project_id="member_project_id", user_id="member_user_id", revision="member_revision"
)
# Store when a token was last used, at most once a minute.
NOTE_USE = Statement(
    update(Token).where(Token.id == bindparam("used"), _use_is_due()).values(last_used_at=now())
)
