"""A client of /api/v1 with one token."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import requests

from tests.support.processes import wait_until

ENDED = {
    "applied",
    "planned_and_finished",
    "discarded",
    "stale",
    "errored",
    "canceled",
    "lost",
}


class Refused(AssertionError):  # noqa: N818 reads as what happened
    """The API said no."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(f"{response.request.method} {response.url}: {response.text[:2000]}")
        self.status = response.status_code
        self.problem: dict[str, Any] = response.json()


class Api:
    def __init__(self, url: str, token: str) -> None:
        self.url = f"{url}/api/v1"
        self.token = token
        self._names = itertools.count(1)

    def get(self, path: str, **query: Any) -> Any:
        return self.call("GET", path, params=query)

    def post(self, path: str, **body: Any) -> Any:
        return self.call("POST", path, json=body)

    def put(self, path: str, **body: Any) -> Any:
        return self.call("PUT", path, json=body)

    def patch(self, path: str, **body: Any) -> Any:
        return self.call("PATCH", path, json=body)

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)

    def call(self, verb: str, path: str, **options: Any) -> Any:
        """The JSON of the answer. Raises Refused for anything but a success."""
        response = self.response(verb, path, **options)
        if not response.ok:
            raise Refused(response)
        return response.json() if response.content else None

    def response(self, verb: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return requests.request(
            verb, self.url + path, headers=headers, timeout=60, allow_redirects=False, **options
        )

    def wait_for_run(self, path: str, *statuses: str, seconds: float = 60.0) -> dict[str, Any]:
        """The run once it is in one of these statuses, by default in any end."""
        wanted = set(statuses) or ENDED
        last: dict[str, Any] = {}

        def there() -> dict[str, Any] | None:
            last.clear()
            last.update(self.get(path))
            if last["status"] not in wanted and last["status"] in ENDED:
                raise AssertionError(f"the run ended as {last}")
            return dict(last) if last["status"] in wanted else None

        try:
            return wait_until(there, "the run", seconds=seconds, every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}: wanted {sorted(wanted)}, it is {last}") from None


def token_of(data_dir: Path) -> str:
    """The administrator's token that the first start made."""
    return (data_dir / "admin-token").read_text(encoding="utf-8").strip()
