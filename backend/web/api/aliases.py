from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Literal

from flask import Response
from pydantic import Field

from backend.models import Alias as AliasRow
from backend.models import State as StateRow
from backend.states import addresses, aliases, states
from backend.transactions import Transaction
from backend.web.api.answers import (
    WITH_BODY,
    WORKSPACE,
    Cursor,
    Name,
    Named,
    Page,
    Reference,
    Repeatable,
    Sealed,
    WorkspacePath,
    answer,
    blueprint,
    once,
    problems,
    with_fault,
)
from backend.web.api.expiry import Expiring
from backend.web.api.workspaces import Snippets
from backend.web.current import installation, reading, transaction

bp = blueprint("aliases", "Unguessable addresses of a state, each with its own login")

Access = Literal["read-only", "read-write"]


class AliasPath(WorkspacePath):
    alias: str = Field(max_length=63, pattern=r"^[^\x00]*$", description="The alias's name or id")


class NewAlias(Expiring):
    name: Name
    access: Access = Field(
        description="read-only: plan and pull. read-write: apply, locks and force-unlock too"
    )
    key: Reference | None = Field(
        None,
        description="A stored key whose username and password to use; the password has 12 "
        "characters or more. Null: generate them",
    )


class Alias(Sealed):
    id: str
    name: str
    access: Access
    address: str
    lock_address: str
    unlock_address: str
    username: str
    key: Named | None = Field(description="The stored key that has the login; null: its own login")
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="When its login was last used, to the minute")
    revoked_at: datetime | None


class AliasDetail(Alias):
    snippets: Snippets = Field(description="With a placeholder for a password that is not shown")


class NewlyMadeAlias(AliasDetail):
    password: str | None = Field(
        description="Shown only now; null for a stored key's login and for a repeated request"
    )


class Aliases(Page[Alias]):
    pass


@bp.get(f"{WORKSPACE}/aliases", responses={200: Aliases})
def list_aliases(path: WorkspacePath, query: Cursor) -> Response:
    """The aliases of a workspace's state, with revoked and expired ones."""
    with reading() as tx:
        found = aliases.find_all(tx, _state(tx, path), query.cursor, query.limit)
        page = Aliases(items=[shown(alias) for alias in found.items], next_cursor=found.next_cursor)
    return answer(page)


@bp.post(f"{WORKSPACE}/aliases", responses={201: NewlyMadeAlias, **WITH_BODY, **problems(409)})
def create_alias(path: WorkspacePath, header: Repeatable, body: NewAlias) -> Response:
    """Create another address of the state. It needs templates:manage and the scopes of the alias.

    With a stored key it needs keys:manage too.
    """
    passwords: list[str | None] = []

    def make() -> AliasRow:
        new = aliases.NewAlias(body.name, body.access, body.key, body.expiry())
        alias, password = aliases.create(tx, state, new)
        passwords.append(password)
        return alias

    with transaction() as tx:
        state = _state(tx, path)
        alias = once(tx, header, make, lambda made: aliases.named(tx.db, state, made))
        password = passwords[0] if passwords else None
        made = NewlyMadeAlias(**detail(alias, password).model_dump(), password=password)
    return answer(made, 201)


@bp.get(f"{WORKSPACE}/aliases/<alias>", responses={200: AliasDetail})
def get_alias(path: AliasPath) -> Response:
    """One alias, with snippets that have a placeholder for the password."""
    with reading() as tx:
        found = detail(aliases.get(tx, _state(tx, path), path.alias), None)
    return answer(found)


@bp.delete(f"{WORKSPACE}/aliases/<alias>", responses={204: None})
def revoke_alias(path: AliasPath) -> Response:
    """Close an alias at once, for its login and for tokens."""
    with transaction() as tx:
        aliases.revoke(tx, _state(tx, path), path.alias)
    return Response(status=204)


def _state(tx: Transaction, path: WorkspacePath) -> StateRow:
    return states.named(tx, path.project, path.workspace)


def shown(alias: AliasRow) -> Alias:
    fault = aliases.fault(installation().keyring, alias)
    return with_fault(Alias, alias, fault, **asdict(_addresses(alias)))


def detail(alias: AliasRow, password: str | None) -> AliasDetail:
    found = addresses.snippets_with_login(
        _addresses(alias), alias.username, password, aliases.COMMANDS[alias.access]
    )
    snippets = Snippets.model_validate(found)
    return AliasDetail(**shown(alias).model_dump(), snippets=snippets)


def _addresses(alias: AliasRow) -> addresses.Addresses:
    return addresses.of_alias(installation().settings.url, alias.address)
