from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Response
from pydantic import Field

from backend.models import User as UserRow
from backend.people import users
from backend.people.passwords import MAX_LENGTH, MIN_LENGTH
from backend.web.api.answers import (
    WITH_BODY,
    Answer,
    Body,
    Cursor,
    Name,
    Page,
    Repeatable,
    answer,
    blueprint,
    once,
    problems,
)
from backend.web.current import caller, client_address, reading, transaction

bp = blueprint("users", "People, who sign in with a name and a password")

Password = Field(
    min_length=MIN_LENGTH, max_length=MAX_LENGTH, description="Stored as argon2id hash"
)


class UserPath(Answer):
    user: str = Field(max_length=64, description="The user's name or id")


class NewUser(Body):
    name: Name
    password: str | None = Field(
        None,
        min_length=MIN_LENGTH,
        max_length=MAX_LENGTH,
        description="Stored as argon2id hash; without a password the user cannot sign in",
    )
    is_admin: bool = Field(default=False, description="Administrator of the whole installation")


class UserChange(Body):
    password: str | None = Field(
        None,
        min_length=MIN_LENGTH,
        max_length=MAX_LENGTH,
        description="A change ends all sessions of the user; null removes the password",
    )
    is_admin: bool = Field(
        default_factory=bool, description="Administrator of the whole installation"
    )
    disabled: bool = Field(
        default_factory=bool, description="Neither the user nor their tokens are accepted"
    )


class PasswordChange(Body):
    old_password: str = Field(max_length=MAX_LENGTH)
    password: str = Password


class User(Answer):
    id: str
    name: str
    is_admin: bool = Field(description="Administrator of the whole installation")
    has_password: bool
    identity: str | None = Field(
        description="Who signs in with the OpenID provider: its issuer, a blank, and the subject"
    )
    disabled_at: datetime | None
    last_login_at: datetime | None
    created_at: datetime


class Users(Page[User]):
    pass


def shown(user: UserRow) -> User:
    return User(
        id=user.id,
        name=user.name,
        is_admin=user.is_admin,
        has_password=user.password_hash is not None,
        identity=user.identity,
        disabled_at=user.disabled_at,
        last_login_at=user.last_login_at,
        created_at=user.created_at,
    )


@bp.get("/users", responses={200: Users})
def list_users(query: Cursor) -> Response:
    """All users. For administrators of the installation."""
    with reading() as tx:
        found = users.find_all(tx, query.cursor, query.limit)
    items = [shown(user) for user in found.items]
    return answer(Users(items=items, next_cursor=found.next_cursor))


@bp.post("/users", responses={201: User, **WITH_BODY, **problems(409)})
def create_user(header: Repeatable, body: NewUser) -> Response:
    """Create a user. For administrators of the installation."""
    given = body.password
    password_hash = None if given is None else users.hash_password(caller(), given)
    with transaction() as tx:
        user = once(
            tx,
            header,
            lambda: users.create(
                tx, body.name, password_hash=password_hash, is_admin=body.is_admin
            ),
            lambda made: users.get(tx, made),
        )
    return answer(shown(user), 201)


@bp.get("/users/me", responses={200: User})
def get_me() -> Response:
    """Your own user. 404 for a token without an owner."""
    with reading() as tx:
        user = users.oneself(tx)
    return answer(shown(user))


@bp.patch("/users/me", responses={200: User, **WITH_BODY, **problems(409, 429)})
def change_my_password(body: PasswordChange) -> Response:
    """Change your own password. It ends your other sessions; your tokens stay valid."""
    old, new = body.old_password, body.password
    user = users.change_own_password(caller(), old, new, client_address())
    return answer(shown(user))


@bp.get("/users/<user>", responses={200: User})
def get_user(path: UserPath) -> Response:
    """One user. For administrators of the installation."""
    with reading() as tx:
        user = users.get(tx, path.user)
    return answer(shown(user))


@bp.patch("/users/<user>", responses={200: User, **WITH_BODY, **problems(409)})
def update_user(path: UserPath, body: UserChange) -> Response:
    """Change a user. For administrators of the installation."""
    changes = _changes(body)
    with transaction() as tx:
        user = users.update(tx, path.user, **changes)
    return answer(shown(user))


@bp.delete("/users/<user>", responses={204: None, **problems(409)})
def delete_user(path: UserPath) -> Response:
    """Delete a user and their memberships, and revoke their tokens and what was made with them."""
    with transaction() as tx:
        users.delete(tx, path.user)
    return Response(status=204)


def _changes(body: UserChange) -> Any:
    given = body.given()
    if "password" in given:
        password = given.pop("password")
        given["password_hash"] = (
            None if password is None else users.hash_password(caller(), password)
        )
    return given
