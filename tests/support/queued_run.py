"""A run that was queued through the API."""

from __future__ import annotations

from typing import Any

from tests.support.api import Api
from tests.support.processes import wait_until


class QueuedRun:
    def __init__(self, api: Api, path: str) -> None:
        self.api = api
        self.path = path
        self.id = path.rpartition("/")[2]

    def wait(self, *statuses: str, seconds: float = 60.0) -> dict[str, Any]:
        """The run once it has one of these statuses, by default any end."""
        try:
            return self.api.wait_for_run(self.path, *statuses, seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None

    def status(self) -> str:
        status: str = self.api.get(self.path)["status"]
        return status

    def log(self) -> str:
        return self.log_bytes().decode(errors="replace")

    def log_bytes(self) -> bytes:
        answer = self.api.send("GET", f"{self.path}/log")
        assert answer.status == 200, answer
        return answer.body

    def steps(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.get(f"{self.path}/steps")["items"]
        return found

    def step(self, name: str) -> dict[str, Any]:
        """The last step with this name."""
        return next(step for step in reversed(self.steps()) if step["name"] == name)

    def cancel(self) -> None:
        self.api.post(f"{self.path}/cancel")

    def approve(self, **said: Any) -> None:
        self.api.post(f"{self.path}/approve", **said)

    def discard(self, **said: str) -> None:
        self.api.post(f"{self.path}/discard", **said)

    def acknowledge(self) -> None:
        self.api.post(f"{self.path}/acknowledge")

    def wait_to_say(self, text: str, seconds: float = 60.0) -> None:
        """Wait until this is in the log."""
        try:
            wait_until(
                lambda: text in self.log(), f"{text!r} in the log", seconds=seconds, every=0.1
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.api.get(self.path)}\n{self.log()}") from None
