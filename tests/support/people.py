"""People who sign in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.support.caller import Caller

PASSWORD = "correct horse battery"


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
