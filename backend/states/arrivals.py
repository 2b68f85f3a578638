"""The start of a state protocol request: who asks for which state, found in one statement.

An arrival is the answer: the principal, the state, its newest version and its lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, String, and_, bindparam, or_, select

from backend.errors import NotFound
from backend.express import Statement
from backend.models import Alias, Key, Lock, Member, Project, State, StateVersion, Token, Workspace
from backend.people import authentication
from backend.principal import Principal
from backend.sealing import crypto
from backend.states import alias_logins, aliases, states
from backend.transactions import Caller, Installation


class Address(NamedTuple):
    """The state that a URL names: by an alias, or by project and workspace.

    Without a workspace it is the default workspace of the project.
    """

    alias: str | None = None
    project: str = ""
    workspace: str | None = None


class Credential(NamedTuple):
    """The credential of a request: a token alone, or a username and a password."""

    secret: str
    username: str | None = None
    address: str = ""  # of the client, which wrong passwords are counted by


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who asks, and a row with the state and its newest version.

    The row's `state_id` is None when no state has this address or the credential does not open it.
    """

    here: Installation
    principal: Principal
    row: Any

    @property
    def caller(self) -> Caller:
        return Caller(self.here, self.principal)

    def check(self) -> None:
        """Raise Unreadable when somebody changed the row of the state, or put an older one back."""
        states.check_row(self.here.keyring.proofs, self.row)

    def require(self, *scopes: str) -> None:
        """Require one of the scopes for this state.

        Raises NotFound when the credential does not open the address, and Forbidden when it does
        but has none of the scopes.
        """
        if self.row.state_id is None or not self.principal.sees(self.row.project_id):
            raise NotFound(
                "There is no state at this address, or it is not open to this credential."
            )
        if not any(self.principal.may(scope, self.row.project_id) for scope in scopes):
            self.principal.require(scopes[-1], self.row.project_id)


def arrive(
    here: Installation, address: Address, given: Credential, *, with_body: bool = False
) -> Arrival:
    """Find out who asks for which state. Raises Unauthorised for an unknown credential.

    Raises also Throttled, Unavailable and Forbidden as `alias_logins.log_in`.

    At an alias the credential is the login of the alias, or a token. Elsewhere it is a token, sent
    alone, or as the password with any username.
    """
    by_login = address.alias is not None and given.username is not None
    if by_login and not authentication.looks_like_one(given.secret):
        row = _ask(here, _BY_LOGIN[with_body], address)
        username = given.username or ""
        who = alias_logins.log_in(here, row, username, given.secret, given.address)
        _note_use(here, who, aliases.NOTE_USE)
        return Arrival(here, who, row)
    if not crypto.token_well_formed(given.secret):
        raise authentication.invalid()
    row = _ask(here, _BY_TOKEN[_kind(address), with_body], address, given.secret)
    if row is None:
        raise authentication.invalid()
    proofs = here.keyring.proofs
    roles = {} if row.role is None else {row.project_id: authentication.role_scopes(proofs, row)}
    who = authentication.principal_of(proofs, row, roles)
    _note_use(here, who, authentication.NOTE_USE)
    return Arrival(here, who, row)


def _note_use(here: Installation, who: Principal, statement: Statement) -> None:
    """Store when the credential was last used, at most once a minute, also for refused requests."""
    if who.use_is_due:
        here.database.change(statement, {"used": who.token_id})


def _ask(here: Installation, statement: Statement, address: Address, secret: str = "") -> Any:
    asked: dict[str, Any] = {"hash": crypto.token_hash(secret)} if secret else {}
    if address.alias is not None:
        asked["address"] = aliases.checked(address.alias)
    else:
        asked["project"] = _text(address.project)
        if address.workspace is not None:
            asked["workspace"] = _text(address.workspace)
    with here.database.asking() as bare:
        return bare.one(statement, asked)


def _text(name: str) -> str:
    """The name, or one that nobody has if it contains a NUL, which PostgreSQL refuses."""
    return "" if "\0" in name else name


def _kind(address: Address) -> str:
    if address.alias is not None:
        return "alias"
    return "default" if address.workspace is None else "workspace"


_STATE = (
    *(State.id.label("state_id"), State.project_id, State.workspace_id, State.current),
    *(State.deleted_at, State.archived_at, State.archived_to, Project.max_state_bytes),
    *(State.revision.label("state_revision"), State.proof.label("state_proof")),
    states.LAST.label("last"),
    *(StateVersion.number, StateVersion.serial, StateVersion.lineage, StateVersion.size),
    *(StateVersion.md5, StateVersion.removed_at, StateVersion.removed_because),
)
# the lock of a state, for those who write
_LOCK = (Lock.held, Lock.lock_id, Lock.info.label("lock_info"), StateVersion.sha256)
_BODY = (StateVersion.key_id, StateVersion.wrapped_key, StateVersion.blob, StateVersion.sealed)
_NEWEST = and_(StateVersion.state_id == State.id, StateVersion.number == State.current)


def _called(model: type[Project | Workspace], parameter: str) -> ColumnElement[bool]:
    name = bindparam(parameter, type_=String())
    return or_(model.name == name, model.id == name)


def _at_alias(query: Select[Any], is_open: ColumnElement[bool]) -> Select[Any]:
    of_alias = and_(State.id == Alias.state_id, is_open)
    return (
        query.outerjoin(Alias, aliases.AT)
        .outerjoin(State, of_alias)
        .outerjoin(Project, Project.id == State.project_id)
    )


def _at_workspace(
    query: Select[Any], is_open: ColumnElement[bool], which: ColumnElement[bool]
) -> Select[Any]:
    of_workspace = and_(State.workspace_id == Workspace.id, is_open)
    return (
        query.outerjoin(Project, _called(Project, "project"))
        .outerjoin(Workspace, which)
        .outerjoin(State, of_workspace)
    )


def _by_token(kind: str, columns: Sequence[Any]) -> Statement:
    columns = (*authentication.COLUMNS, *columns, *authentication.MEMBER_COLUMNS)
    query: Any = select(*columns).select_from(Token)
    is_open = and_(
        or_(Token.project_id.is_(None), Token.project_id == State.project_id),
        or_(Token.state_id.is_(None), Token.state_id == State.id),
    )
    named = and_(Workspace.project_id == Project.id, _called(Workspace, "workspace"))
    if kind == "alias":
        query = _at_alias(authentication.joined(query), is_open)
    else:
        default = Workspace.id == Project.default_workspace_id
        which = named if kind == "workspace" else default
        query = _at_workspace(authentication.joined(query), is_open, which)
    in_project = and_(Member.project_id == State.project_id, Member.user_id == Token.user_id)
    return Statement(_with_lock_and_version(query.outerjoin(Member, in_project)))


def _by_login(columns: Sequence[Any]) -> Statement:
    query: Any = (
        select(*aliases.COLUMNS, *columns)
        .select_from(Alias)
        .join(State, State.id == Alias.state_id)
        .join(Project, Project.id == State.project_id)
        .outerjoin(Key, Key.id == Alias.key_id)
        .where(aliases.AT)
    )
    return Statement(_with_lock_and_version(query))


def _with_lock_and_version(query: Select[Any]) -> Select[Any]:
    return query.outerjoin(Lock, Lock.state_id == State.id).outerjoin(StateVersion, _NEWEST)


_COLUMNS = {False: (*_STATE, *_LOCK), True: (*_STATE, *_BODY)}
_BY_LOGIN = {with_body: _by_login(columns) for with_body, columns in _COLUMNS.items()}
_BY_TOKEN = {
    (kind, with_body): _by_token(kind, columns)
    for kind in ("alias", "default", "workspace")
    for with_body, columns in _COLUMNS.items()
}
