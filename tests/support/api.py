"""A client of /api/v1 with one token, over any wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from client.conformance.wire import bearer
from tests.support.processes import wait_until
from tests.support.wire import Answer, Wire

ENDED = {"applied", "planned_and_finished", "discarded", "stale", "errored", "canceled", "lost"}


class Refused(AssertionError):
    """The API refused the request."""

    def __init__(self, what: str, answer: Answer) -> None:
        super().__init__(f"{what}: {answer.status} {answer.body[:2000]!r}")
        self.status = answer.status
        self.problem: dict[str, Any] = answer.json()


class Api:
    def __init__(self, wire: Wire, token: str) -> None:
        self.wire = wire
        self.token = token

    def get(self, path: str, /, **query: Any) -> Any:
        given = {name: value for name, value in query.items() if value is not None}
        return self.call("GET", path + (f"?{urlencode(given)}" if given else ""))

    def every(self, path: str) -> list[dict[str, Any]]:
        """All items of a list, from all its pages."""
        page = self.get(path)
        items: list[dict[str, Any]] = page["items"]
        while page["next_cursor"] is not None:
            page = self.get(path, cursor=page["next_cursor"])
            items += page["items"]
        return items

    def post(self, path: str, /, **body: Any) -> Any:
        return self.call("POST", path, body)

    def put(self, path: str, /, **body: Any) -> Any:
        return self.call("PUT", path, body)

    def patch(self, path: str, /, **body: Any) -> Any:
        return self.call("PATCH", path, body)

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)

    def call(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The JSON of the answer. Raises Refused for anything but a success."""
        answer = self.send(verb, path, body)
        if not 200 <= answer.status < 300:
            raise Refused(f"{verb} {path}", answer)
        return answer.json() if answer.body else None

    def send(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        headers = bearer(self.token) | {"Content-Type": "application/json"}
        sent = None if body is None else json.dumps(body).encode()
        return self.wire.send(verb, f"/api/v1{path}", sent, headers)

    def wait_for_run(self, path: str, *statuses: str, seconds: float = 60.0) -> dict[str, Any]:
        """The run once it has one of these statuses, by default any end."""
        wanted = set(statuses) or ENDED
        seen: dict[str, Any] = {}

        def there() -> bool:
            seen.update(self.get(path))
            assert seen["status"] in wanted or seen["status"] not in ENDED, f"it ended: {seen}"
            return seen["status"] in wanted

        try:
            wait_until(there, f"the run to be {sorted(wanted)}", seconds=seconds, every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}\nthe run is {json.dumps(seen, indent=1)}") from None
        return seen


def token_of(data_dir: Path) -> str:
    """The administrator's token that the first start made."""
    return (data_dir / "admin-token").read_text(encoding="utf-8").strip()
