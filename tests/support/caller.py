"""A caller of /api/v1 inside of this process, with one token. Its verbs give a TestResponse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse


@dataclass(frozen=True)
class Caller:
    client: FlaskClient
    token: str

    def get(self, path: str, **query: Any) -> Any:
        return self.call("GET", path, query_string=query)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.call("POST", path, json={} if body is None else body, headers=headers)

    def put(self, path: str, body: Any) -> Any:
        return self.call("PUT", path, json=body)

    def patch(self, path: str, body: Any) -> Any:
        return self.call("PATCH", path, json=body)

    def delete(self, path: str, **query: Any) -> Any:
        return self.call("DELETE", path, query_string=query)

    def call(self, verb: str, path: str, **options: Any) -> Any:
        """Any verb; a path that begins with /api is taken as it is."""
        headers = {"Authorization": f"Bearer {self.token}", **(options.pop("headers", None) or {})}
        where = path if path.startswith("/api") else f"/api/v1{path}"
        if where.startswith("/api/terraform") and "data" in options:
            headers = {"Content-Type": "application/json", **headers}
        return self.client.open(where, method=verb, headers=headers, **options)

    def made(self, path: str, body: Any = None, **headers: str) -> Any:
        """The JSON of a POST that has to succeed."""
        answer = self.post(path, body, **headers)
        assert answer.status_code == 201, answer.get_data(as_text=True)
        return answer.json

    def with_scopes(self, *scopes: str, project: str | None = None) -> Caller:
        """Another caller, with a token of these scopes; in one project, or in all."""
        where = "/tokens" if project is None else f"/projects/{project}/tokens"
        issued = self.made(where, {"name": "somebody", "scopes": list(scopes)})
        return Caller(self.client, issued["secret"])


def refused(answer: TestResponse, status: int, code: str) -> dict[str, Any]:
    """The problem of a refusal, which has to be this one."""
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert answer.content_type == "application/problem+json"
    problem: dict[str, Any] = answer.json  # type: ignore[assignment]  # it is an object
    assert problem["code"] == code, problem
    assert problem["detail"]
    return problem
