"""People who sign in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from flask import Flask
from sqlalchemy import select

from backend.catalogue import projects
from backend.db import now
from backend.people import members, passwords, tokens, users
from tests.support.caller import Caller

PASSWORD = "correct horse battery"
A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Person(Caller):
    """A caller who signed in with a password."""

    id: str
    name: str

    def with_token(self, *scopes: str, **fields: Any) -> Caller:
        """Another caller, with a token of this person's own."""
        made = self.made("/tokens", {"name": "mine", "scopes": list(scopes), **fields})
        return Caller(self.client, made["secret"])


def new_person(boss: Caller, name: str = "ada", *, is_admin: bool = False, **roles: str) -> Person:
    """A new user who signed in; `roles` are those in projects, by the projects' names."""
    body = {"name": name, "password": PASSWORD, "is_admin": is_admin}
    user_id = boss.made("/users", body)["id"]
    for project, role in roles.items():
        assert boss.put(f"/projects/{project}/members/{name}", {"role": role}).status_code == 200
    return Person(boss.client, signed_in(boss, name), user_id, name)


def signed_in(caller: Caller, name: str, password: str = PASSWORD) -> str:
    """The token of a new session."""
    answer = log_in(caller, username=name, password=password)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    token: str = answer.json["access_token"]
    return token


def log_in(caller: Caller, **body: Any) -> Any:
    return caller.client.post("/api/login", json=body)


def new_session(app: Flask, name: str, role: str | None = None, *, admin: bool = False) -> str:
    """The secret of a session of a new person, without the time that a password takes."""
    with app.extensions["stateroom"].itself.transaction() as tx:
        user = users.create(tx, name, password_hash=_hashed(), is_admin=admin)
        if role is not None:
            members.put(tx, projects.named(tx, "shop"), name, role)
        _, secret = tokens.store(
            tx.db, name="login", scopes="admin", user_id=user.id, is_session=True,
            expires_at=tx.db.scalar(select(now(A_DAY))), created_by=name,
        )  # fmt: skip
        return secret


@cache
def _hashed() -> str:
    return passwords.hashed(PASSWORD)
