"""API credentials: shown once, kept hashed, with scopes, a project and an expiry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Select, and_, bindparam, or_, select, update
from sqlalchemy.orm import Session

from backend import audit
from backend.db import execute, now
from backend.errors import Forbidden, Invalid, NotFound, Unauthorised
from backend.express import Statement
from backend.models import ACTIVE, HARMLESS, Alias, Member, Project, Proven, Run, Token, User
from backend.paging import DEFAULT_LIMIT, Page, page
from backend.people import administrators
from backend.principal import ALIASES, LOCK, RESCUE, ROLES, SCOPES, Principal
from backend.sealing import crypto, proven
from backend.sealing.proofs import Proofs, reader
from backend.transactions import Transaction

PREFIX = "stateroom"
log = structlog.get_logger()
MOST_SESSIONS = 100  # that are listed
USE_IS_NOTED_EVERY = timedelta(minutes=1)
# What the credential of a run may do at most. A transfer writes nothing with it: its worker does.
_PLANNING, _APPLYING = ("state:read", LOCK), ("state:read", "state:write")
RUN_SCOPES = dict.fromkeys(HARMLESS, _PLANNING) | dict.fromkeys(
    ("apply", "destroy", "refresh"), _APPLYING
)
RUN_TOKEN_LIFE = timedelta(days=2)


def issue(
    tx: Transaction,
    name: str,
    scopes: Sequence[str],
    *,
    project_id: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """Issue a token and return it with its secret, which is never shown again.

    It ends with the token that it was made with, unless that is a session. A person issues tokens
    of their own; a token without an owner needs the scope admin to issue others. Raises Invalid
    for an unknown scope, and Forbidden for a scope that the principal does not have.
    """
    if tx.principal.user_id is None:
        tx.principal.require_installation()
    return issue_within(tx, name, scopes, project_id=project_id, expires_at=expires_at)


def issue_for_project(
    tx: Transaction,
    project: Project,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """Issue a token for this project only. For administrators of the project."""
    tx.require("admin", project.id)
    return issue_within(tx, name, scopes, project_id=project.id, expires_at=expires_at)


def issue_within(
    tx: Transaction,
    name: str,
    scopes: Sequence[str],
    *,
    project_id: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """Issue a token with at most the scopes and projects of the principal."""
    principal = tx.principal
    wanted = _expand(scopes)
    for scope in wanted:
        principal.require_held(scope)
    if principal.project_id is not None and project_id != principal.project_id:
        raise Forbidden("A token of a project can only issue tokens for that project.")
    token, secret = store(
        tx.db,
        name=name,
        scopes=" ".join(wanted),
        project_id=project_id,
        user_id=principal.user_id,
        parent_id=parent(tx),
        expires_at=principal.within_its_life(expires_at),
        created_by=principal.name,
    )
    audit.record(tx, "token.issue", token.id, project_id=project_id, scopes=wanted)
    return token, secret


def store(db: Session, **columns: Any) -> tuple[Token, str]:
    """Store a new token and return it with its secret. The caller checks scopes and audits."""
    secret = crypto.new_token(PREFIX)
    token = Token(hash=crypto.token_hash(secret), **columns)
    db.add(token)
    db.flush()
    return token, secret


def parent(tx: Transaction) -> str | None:
    """The id of the token that something new is made with, and with which it will end.

    It is None for a session: what is made with it belongs to the person. Raises Unauthorised when
    the token was revoked in the meantime.
    """
    principal = tx.principal
    if not principal.token_id:
        return None
    alive = select(Token.id).where(Token.id == principal.token_id, in_time())
    if tx.db.scalar(alive.with_for_update(read=True)) is None:
        raise Unauthorised("The token was revoked just now.")
    return None if principal.is_session else principal.token_id


def issue_for_run(db: Session, run: Run, state_id: str) -> str:
    """The credential of one claim of a run. It opens one state, until the claim ends.

    It reads and locks. That of an apply, a destroy or a refresh also writes, while the run applies.
    """
    secret = crypto.new_token(PREFIX)
    db.add(
        Token(
            hash=crypto.token_hash(secret),
            name=f"run {run.id}",
            scopes=" ".join(RUN_SCOPES.get(run.operation, ("state:read",))),
            project_id=run.project_id,
            state_id=state_id,
            run_id=run.id,
            run_epoch=run.epoch,
            expires_at=db.scalar(select(now(RUN_TOKEN_LIFE))),
            created_by="stateroom",
        )
    )
    return secret


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


def get(tx: Transaction, token_id: str) -> Token:
    """One of the tokens that `find_all` returns. Raises NotFound for all others."""
    return _get(tx.db, _visible(tx.principal), token_id)


def get_of_project(tx: Transaction, project: Project, token_id: str) -> Token:
    """A token of this project, for its administrators. Raises NotFound."""
    tx.require("admin", project.id)
    return _get(tx.db, _of_project(project), token_id)


def _get(db: Session, tokens: Select[Token], token_id: str) -> Token:
    token = db.scalars(tokens.where(Token.id == token_id)).one_or_none()
    if token is None:
        raise NotFound(f"There is no token {token_id}.")
    return token


def find_all(tx: Transaction, after: str | None = None, limit: int = DEFAULT_LIMIT) -> Page[Token]:
    """All tokens for an administrator of the installation, and for a person their own.

    Raises Forbidden for a token that has no owner and is not an administrator's.
    """
    if tx.principal.user_id is None:
        tx.principal.require_installation()
    return page(tx.db, _visible(tx.principal), Token.id, after, limit)


def find_of_project(
    tx: Transaction, project: Project, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Token]:
    """The tokens of this project, for its administrators."""
    tx.require("admin", project.id)
    return page(tx.db, _of_project(project), Token.id, after, limit)


def find_own(tx: Transaction, after: str | None = None, limit: int = DEFAULT_LIMIT) -> Page[Token]:
    """The tokens of the person who asks.

    A token that is restricted to a project or has no owner sees only itself and those made with it.
    """
    return page(tx.db, _all().where(is_own(tx.principal)), Token.id, after, limit)


def find_sessions(tx: Transaction) -> Sequence[Token]:
    """The sessions of the person who asks that have not ended, the newest first."""
    own = select(Token).where(Token.user_id == tx.principal.user_id, Token.is_session, in_time())
    return tx.db.scalars(own.order_by(Token.id.desc()).limit(MOST_SESSIONS)).all()


def revoke(tx: Transaction, token_id: str) -> None:
    """Revoke a token, and everything that was made with it. Revoking it twice is harmless.

    Raises NotFound, and Conflict when nobody would be left to administer the installation.
    """
    _end(tx, get(tx, token_id))


def revoke_of_project(tx: Transaction, project: Project, token_id: str) -> None:
    """The same as `revoke`, for a token of this project. For administrators of the project."""
    _end(tx, get_of_project(tx, project, token_id))


def _end(tx: Transaction, token: Token) -> None:
    if token.revoked_at is not None:
        return
    administrators.lock(tx.db)
    ended = _revoke(tx.db, Token.id == token.id)
    administrators.refuse_when_none_is_left(tx.db)
    tx.db.refresh(token)
    audit.record(
        tx, "token.revoke", token.id, project_id=token.project_id,
        with_it=sorted(ended - {token.id}) or None,
    )  # fmt: skip


def revoke_of_person(db: Session, user_id: str) -> int:
    """Revoke all tokens of a person, and what was made with them. Returns how many there were."""
    return len(_revoke(db, Token.user_id == user_id))


def end_sessions(db: Session, user_id: str, but: str = "") -> None:
    """End all sessions of a person except `but`. Tokens that they issued stay valid."""
    _revoke(db, and_(Token.user_id == user_id, Token.is_session, Token.id != but))


def _revoke(db: Session, which: ColumnElement[bool]) -> set[str]:
    """Revoke these and all tokens and aliases made with them. Returns the ids of revoked tokens.

    It repeats until nothing is left: a token that is made at the same time is found the next time.
    """
    tree = select(Token.id).where(which).cte(recursive=True)
    tree = tree.union(select(Token.id).join(tree, Token.parent_id == tree.c.id))
    revoked = select(Token).where(Token.id.in_(select(tree.c.id)), in_time())
    aliases = select(Alias).where(Alias.token_id.in_(select(tree.c.id)), Alias.revoked_at.is_(None))
    locked = {"populate_existing": True}
    moment = db.scalar(select(now()))
    ended: set[str] = set()
    while found := db.scalars(revoked.with_for_update(), execution_options=locked).all():
        for token in found:
            token.revoked_at = moment
        ended |= {token.id for token in found}
        db.flush()
    for alias in db.scalars(aliases.with_for_update(), execution_options=locked).all():
        alias.revoked_at, alias.key_id = moment, None
    db.flush()
    return ended


def _visible(principal: Principal) -> Select[Token]:
    if not principal.may("admin", principal.project_id):
        return _all().where(is_own(principal))
    if principal.project_id is not None:
        return _all().where(Token.project_id == principal.project_id)
    return _all()


def _of_project(project: Project) -> Select[Token]:
    return _all().where(Token.project_id == project.id)


def _all() -> Select[Token]:
    return select(Token).where(Token.run_id.is_(None))


def is_own(principal: Principal) -> ColumnElement[bool]:
    """A restricted token of a person does not see that person's other tokens, or revoke them."""
    if principal.user_id is not None and principal.project_id is None and principal.holds("admin"):
        return Token.user_id == principal.user_id
    return or_(Token.id == principal.token_id, Token.parent_id == principal.token_id)


def _expand(scopes: Sequence[str]) -> list[str]:
    wanted: list[str] = []
    for scope in scopes:
        if scope not in SCOPES and scope not in ALIASES:
            raise Invalid(f"There is no scope {scope!r}. The scopes are {', '.join(SCOPES)}.")
        wanted.extend(ALIASES.get(scope, (scope,)))
    return sorted(set(wanted))
