"""Every route of the OpenAPI document refuses strangers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.support.caller import Caller
from tests.support.databases import one_database
from tests.support.people import new_person

pytestmark = one_database

PLACES = {"project": "shop", "workspace": "app", "template": "app", "user": "ada",
          "variable_set": "common"}  # fmt: skip
OWN = {  # what everybody may ask, about themselves
    "/api/login",
    "/api/v1/login",
    "/api/v1/whoami",
    "/api/v1/projects",
    "/api/v1/tokens",
    "/api/v1/tokens/{token}",
    "/api/v1/users/me",
}


KEYS = "/api/v1/projects/{project}/keys"
BODIES = {("post", KEYS): {"kind": "none"}}  # a rule of theirs that no schema says


@dataclass(frozen=True)
class Route:
    verb: str
    path: str
    query: dict[str, Any]
    body: Any

    def ask(self, caller: Caller) -> int:
        sent: dict[str, Any] = {} if self.body is None else {"json": self.body}
        path = self.path.format_map(_Places())
        answer = caller.call(self.verb.upper(), path, query_string=self.query, **sent)
        status: int = answer.status_code
        return status


class _Places(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return PLACES.get(name, "1")  # as good as any for what has a number or an id


@pytest.fixture
def routes(client: FlaskClient, boss: Caller, shop: str) -> list[Route]:
    """All of them, each with the shortest request that fits, and things to be asked for."""
    boss.made(f"{shop}/variable-sets", {"name": "common"})
    document: Any = client.get("/api/v1/openapi.json").json
    return [
        Route(
            verb,
            path,
            _query(document, asked),
            BODIES.get((verb, path), _body(document, asked)),
        )
        for path, item in document["paths"].items()
        for verb, asked in item.items()
    ]


def _query(document: Any, asked: Any) -> dict[str, Any]:
    found = [given for given in asked.get("parameters", []) if given["in"] == "query"]
    return {
        given["name"]: _shortest(document, given["schema"])
        for given in found
        if given.get("required")
    }


def _body(document: Any, asked: Any) -> Any:
    content = asked.get("requestBody", {}).get("content", {})
    found = content.get("application/json")
    return None if found is None else _shortest(document, found["schema"])


def _shortest(document: Any, schema: Any) -> Any:
    """The smallest value of a schema that this API uses."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return _shortest(document, document["components"]["schemas"][name])
    if "anyOf" in schema:
        return _shortest(document, schema["anyOf"][0])
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        fields = schema.get("properties", {})
        return {name: _shortest(document, fields[name]) for name in schema.get("required", [])}
    if schema.get("type") == "array":
        return [_shortest(document, schema["items"])] * schema.get("minItems", 0)
    simple = {"string": "a" * max(1, schema.get("minLength", 1)), "integer": 1, "boolean": True}
    return simple[schema["type"]]


def unlike(routes: list[Route], expected: set[int], *callers: Caller) -> dict[str, set[int]]:
    """The routes that answer otherwise than expected."""
    asked = {
        f"{route.verb} {route.path}": {route.ask(caller) for caller in callers} for route in routes
    }
    return {name: seen for name, seen in asked.items() if not seen <= expected}


def of_projects(routes: list[Route]) -> list[Route]:
    return [route for route in routes if "{project}" in route.path]


def test_no_project_exists_for_who_belongs_to_another(
    routes: list[Route], boss: Caller, stranger: Caller
) -> None:
    somebody = new_person(boss, elsewhere="owner")

    assert len(of_projects(routes)) > 50
    assert unlike(of_projects(routes), {404}, stranger, somebody) == {}


def test_the_installation_is_for_its_administrators(
    routes: list[Route], boss: Caller, stranger: Caller
) -> None:
    somebody = new_person(boss, elsewhere="owner")
    above = [r for r in routes if r not in of_projects(routes) and r.path not in OWN]

    assert len(above) > 5
    assert unlike(above, {403}, stranger, somebody) == {}


def test_a_guest_changes_nothing(routes: list[Route], boss: Caller, shop: str) -> None:
    guest = new_person(boss, "guest", shop="guest")
    new_person(boss, "ada", shop="owner")
    changing = [route for route in of_projects(routes) if route.verb != "get"]

    assert len(changing) > 20
    assert unlike(changing, {403}, guest) == {}


def test_a_guest_reads_what_is_there_or_is_told_the_scope(
    routes: list[Route], boss: Caller, shop: str
) -> None:
    guest = new_person(boss, "guest", shop="guest")
    reading = [route for route in of_projects(routes) if route.verb == "get"]

    assert unlike(reading, {200, 403, 404}, guest) == {}
    assert guest.get(f"{shop}/workspaces/app").status_code == 200
    assert guest.get(f"{shop}/workspaces/app/states").status_code == 403


def test_nobody_comes_in_without_a_token(routes: list[Route], boss: Caller) -> None:
    nobody = Caller(boss.client, "nothing")
    closed = [route for route in routes if not route.path.endswith("/login")]

    assert unlike(closed, {401}, nobody) == {}
