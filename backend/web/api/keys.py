from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from flask import Response
from pydantic import Field

from backend.catalogue import keys, projects, ssh_keys
from backend.errors import Invalid
from backend.models import Key as KeyRow
from backend.offload import off_loop
from backend.web.api.answers import (
    WITH_BODY,
    Body,
    Cursor,
    Name,
    Page,
    ProjectPath,
    Repeatable,
    Sealed,
    answer,
    blueprint,
    once,
    problems,
    with_fault,
)
from backend.web.current import caller, installation, reading, transaction

bp = blueprint("keys", "The key store. Stored secrets are never shown again")

Kind = Literal["ssh", "password", "none"]
Secret = Annotated[
    str,
    Field(
        max_length=keys.MAX_PASSWORD, pattern=r"^[^\x00]*$", json_schema_extra={"writeOnly": True}
    ),
]
PrivateKey = Annotated[
    str, Field(max_length=ssh_keys.MAX_LENGTH, json_schema_extra={"writeOnly": True})
]
Username = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f:]+$")]


class KeyPath(ProjectPath):
    key: str = Field(description="The key's name or id")


class KeyChange(Body):
    name: Name = Field(default_factory=str)
    private_key: PrivateKey = Field(
        default_factory=str, description="For ssh: the key in OpenSSH or PEM form"
    )
    passphrase: Secret | None = Field(None, description="For ssh: of the private key, if any")
    username: Username = Field(default_factory=str, description="For password: the username")
    password: Secret = Field(default_factory=str, description="For password: it or an access token")


class NewKey(KeyChange):
    kind: Kind
    generate: bool = Field(
        default=False,
        description="For ssh: make a new Ed25519 key here, instead of sending a private_key",
    )
    name: Name = Field(default_factory=str, description="Default: its kind, with a number if taken")


class Key(Sealed):
    id: str
    name: str
    kind: Kind
    username: str | None
    fingerprint: str | None = Field(description="Of an SSH key, as `ssh-keygen -l` shows it")
    public_key: str | None = Field(description="Of an SSH key: to be given to the git server")
    created_at: datetime


class Keys(Page[Key]):
    pass


@bp.get("/projects/<project>/keys", responses={200: Keys})
def list_keys(path: ProjectPath, query: Cursor) -> Response:
    """The keys of a project, without their secrets."""
    with reading() as tx:
        found = keys.find_all(tx, projects.named(tx, path.project), query.cursor, query.limit)
    items = [shown(key) for key in found.items]
    return answer(Keys(items=items, next_cursor=found.next_cursor))


@bp.post("/projects/<project>/keys", responses={201: Key, **WITH_BODY, **problems(409)})
def create_key(path: ProjectPath, header: Repeatable, body: NewKey) -> Response:
    """Store a key."""
    kind, name, secret = read_new(body)
    with transaction() as tx:
        project = projects.named(tx, path.project)
        key = once(
            tx,
            header,
            lambda: keys.create(tx, project, kind=kind, secret=secret, name=name),
            lambda made: keys.get(tx, project, made),
        )
    return answer(shown(key), 201)


@bp.get("/projects/<project>/keys/<key>", responses={200: Key})
def get_key(path: KeyPath) -> Response:
    """One key, without its secret."""
    with reading() as tx:
        key = keys.get(tx, projects.named(tx, path.project), path.key)
    return answer(shown(key))


@bp.patch("/projects/<project>/keys/<key>", responses={200: Key, **WITH_BODY, **problems(409)})
def update_key(path: KeyPath, body: KeyChange) -> Response:
    """Rename a key, or replace its secret with another one of the same kind."""
    given = body.given()
    name = given.pop("name", None)
    key = keys.update(caller(), path.project, path.key, given, name)  # type: ignore[arg-type]  # as above
    return answer(shown(key))


@bp.delete("/projects/<project>/keys/<key>", responses={204: None, **problems(409)})
def delete_key(path: KeyPath) -> Response:
    """Delete a key that nothing uses."""
    with transaction() as tx:
        keys.delete(tx, projects.named(tx, path.project), path.key)
    return Response(status=204)


def read_new(body: NewKey) -> tuple[str, str | None, keys.Secret]:
    """The kind, the name and the checked secret of a new key. Do not call it in a transaction."""
    given = body.given()
    kind, name = given.pop("kind"), given.pop("name", None)
    if given.pop("generate", False):
        if "private_key" in given:
            raise Invalid("Send a private_key, or have one generated.", code="key-incomplete")
        given["private_key"] = ssh_keys.generate()
    secret = off_loop(keys.read, kind, given)  # type: ignore[arg-type]  # the model has these fields
    return kind, name, secret


def shown(key: KeyRow) -> Key:
    return with_fault(Key, key, keys.fault(installation().keyring, key))
