"""Runs that are hurt in the middle, and what has to be true of them afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from tests.support.cloud import Cloud
from tests.support.place import Place
from tests.support.processes import wait_until
from tests.support.queued_run import QueuedRun
from tests.support.repositories import Repository
from tests.support.stateroom import Stateroom

HONEST = {"applied", "planned_and_finished", "errored", "lost", "canceled"}


def decide(place: Place) -> bool:
    """Promote the rescued writes that are newer than the state, and dismiss the others.

    Whether none is left: a state that is locked takes none now.
    """
    workspace = place.filled("/projects/{project}/workspaces/{workspace}")
    undecided = place.api.get(f"{workspace}/rescued", undecided="true")["items"]
    for kept in reversed(undecided):
        path = f"{workspace}/rescued/{kept['id']}"
        how = "dismiss" if place.api.get(path)["comparison"] in {"older", "stored"} else "promote"
        if place.api.send("POST", f"{path}/{how}").status == 423:
            return False
    return not undecided


class Harmed:
    """An apply in a project of its own, whose resources a cloud counts."""

    def __init__(self, installation: Stateroom, repository: Repository, cloud: Cloud) -> None:
        self._installation, self._cloud = installation, cloud
        self.place: Place = installation.place(repository=str(repository.folder))
        self.name = f"n{secrets.token_hex(6)}"
        self.place.set_variable("name", self.name)
        self.run: QueuedRun = self.place.queue("apply")

    def has_begun(self) -> bool:
        """Whether something was made already."""
        return bool(self._cloud.made_by(self.name))

    def end(self) -> Mapping[str, Any]:
        """Wait for its end, decide on what it left, and acknowledge it: what a person would do."""
        ended = self.run.wait(*HONEST, seconds=180)
        wait_until(lambda: not self._installation.work_folders(), "the folders to go", seconds=180)
        wait_until(lambda: decide(self.place), "its rescued writes to be decided")
        if ended["status"] == "lost":
            self.run.acknowledge()
        return ended

    def lost(self) -> set[str]:
        """The resources that were made, and are in no state."""
        read = self.place.state.read()
        held = {r["name"] for r in read.json()["resources"]} if read.status == 200 else set()
        return set(self._cloud.made_by(self.name)) - held

    def made_twice(self) -> set[str]:
        return {made for made, times in self._cloud.made_by(self.name).items() if times > 1}
