"""The state that the doctor uses: created through the API, and always deleted afterwards."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from client.conformance import diagnosis
from client.conformance.documents import only_the_id
from client.conformance.target import Blocked, Target
from client.conformance.wire import Answer, Broken, Wire, bearer

API = "/api/v1"
USERNAME = "token"
SCOPES = "state:read, state:write, state:delete, state:unlock, templates:manage"


class NoScratch(Exception):
    """No state for the checks could be created: what was seen, and what to do."""

    def __init__(self, seen: str, means: str, do: str) -> None:
        super().__init__(seen)
        self.seen, self.means, self.do = seen, means, do


class Left(Exception):
    """Something could not be deleted again. The message names it."""


class Kept(Left):
    """Something stays because the credential may not delete it."""


@dataclass
class _Api:
    wire: Wire
    prefix: str
    token: str = field(repr=False)

    def call(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        sent = None if body is None else json.dumps(body).encode()
        headers = bearer(self.token) | (
            {} if sent is None else {"Content-Type": "application/json"}
        )
        return self.wire.send(verb, f"{self.prefix}{API}{path}", sent, headers)


@contextmanager
def workspace(url: str, token: str, project: str = "") -> Iterator[Target]:
    """A scratch workspace in this project, or in a new one if the token may create projects.

    Raises NoScratch, Broken, and at the end Left.
    """
    api = _Api(Wire(url), urlsplit(url).path.rstrip("/"), token)
    made: list[str] = []  # paths of the API, to be deleted in reverse order
    name = f"doctor-{secrets.token_hex(5)}"
    try:
        project = project or _own_project(api, made, name)
        yield _target(api, made, project, name)
    finally:
        _remove(api, made)


@contextmanager
def at_address(address: str, username: str, password: str) -> Iterator[Target]:
    """A state that was created for the checks and never written. It is deleted at the end.

    Raises NoScratch for a state with content, which is not changed. Raises Kept at the end.
    """
    target = Target.at(address, username, password)
    found = target.read()
    if found.status != 404 or diagnosis.by_somebody_else(found):
        raise NoScratch(
            f"A read of the address was answered {diagnosis.described(found)}, not 404.",
            "The checks write to the state and delete it, so it must never have been written.",
            "Create a workspace for the checks, and give the address of its state or alias.",
        )
    try:
        yield target
    finally:
        deleted = _delete_state(target)
    if deleted is not None and deleted.status == 403:
        raise Kept("this login may not delete the state, which has the content of the checks")


def _own_project(api: _Api, made: list[str], name: str) -> str:
    path = f"/projects/{name}"
    answer = _make(api, made, path, "/projects", {"name": name})
    if answer.status == 201:
        return name
    if answer.status != 403 or not answer.code:
        raise _refused(answer, "A project")
    mine = [str(item["name"]) for item in api.call("GET", "/projects").fields.get("items", [])]
    if len(mine) != 1:
        raise NoScratch(
            f"The token may not create a project, and it sees {', '.join(mine[:9]) or 'none'}.",
            "A workspace for the checks cannot be created.",
            f"Choose a project with --project and a token that has {SCOPES}; or give --address.",
        )
    return mine[0]


def _target(api: _Api, made: list[str], project: str, name: str) -> Target:
    within = f"/projects/{quote(project)}"
    here = f"{within}/workspaces/{name}"
    answer = _make(api, made, here, f"{within}/workspaces", {"name": name})
    if answer.status != 201:
        raise _refused(answer, f"A workspace in {project}")
    shown = api.call("GET", here).fields.get("addresses", {})
    path = f"{api.prefix}/api/terraform/state/{quote(project)}/{name}"
    return Target(
        api.wire, path, USERNAME, api.token, shown_address=str(shown.get("address") or "")
    )


def _make(api: _Api, made: list[str], path: str, collection: str, body: dict[str, Any]) -> Answer:
    """Create something. Its path is noted before the request, in case of Ctrl-C."""
    made.append(path)
    answer = api.call("POST", collection, body)
    if 400 <= answer.status < 500:
        made.remove(path)
    return answer


def _refused(answer: Answer, what: str) -> NoScratch:
    found = diagnosis.of(answer)
    return NoScratch(
        f"{what} for the checks could not be created: {diagnosis.described(answer)}.",
        found.means if found else "There is no state for the checks.",
        found.do
        if found
        else f"Use a token that has {SCOPES} in the project; or give --address with a state.",
    )


def _remove(api: _Api, made: list[str]) -> None:
    """Delete everything that was created. Raises Left when something cannot be deleted."""
    left = []
    while made:
        path = made.pop()
        if "/workspaces/" in path:
            project, _, name = path.removeprefix("/projects/").partition("/workspaces/")
            state = f"{api.prefix}/api/terraform/state/{project}/{name}"
            _break_lock(api, path)
            _delete_state(Target(api.wire, state, USERNAME, api.token))
        try:
            answer = api.call("DELETE", path)
        except Broken as broken:
            left.append(f"{path} ({broken.message})")
            continue
        if answer.status not in {204, 403, 404}:  # 403, 404: it was never created
            left.append(f"{path} ({diagnosis.described(answer)})")
    if left:
        raise Left("could not be deleted, please delete them: " + ", ".join(left))


def _break_lock(api: _Api, workspace: str) -> None:
    """Break a lock that a check may have left, because a proxy lost an answer. Ignores errors."""
    with contextlib.suppress(Broken):
        api.call("DELETE", f"{workspace}/lock?reason=the%20doctor%20is%20done")


def _delete_state(target: Target) -> Answer | None:
    """Release the lock and delete the state. None if there is no answer."""
    try:
        answer = target.delete()
        if answer.status in {409, 423}:
            target.unlock(only_the_id(str(answer.fields.get("ID") or "")))
            return target.delete()
        if answer.status == 403 and (holder := target.holder()):
            target.unlock(only_the_id(holder))
    except (Broken, Blocked):
        return None
    return answer
