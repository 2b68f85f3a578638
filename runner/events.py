"""What a run tells the one who keeps its row. Everything here is masked already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, BinaryIO, Literal, Protocol

StepStatus = Literal["done", "failed"]


class StopLevel(IntEnum):
    GO_ON = 0
    INTERRUPT = 1  # canceled: let the command save and unlock
    KILL = 2  # force-canceled: end it now, whatever is lost


class Events(Protocol):
    """Each call may raise Fenced: the run is not ours any more, and ends where it is."""

    def step_started(self, name: str) -> None: ...

    def step_ended(self, name: str, status: StepStatus, detail: Mapping[str, Any]) -> None: ...

    def output(self, text: bytes) -> None: ...

    def noted(self, facts: Mapping[str, Any]) -> None:
        """Facts for the row: commit, tool, sandbox, detection, warnings."""

    def host_keys(self, lines: str) -> None:
        """known_hosts lines of hosts met for the first time, to be pinned in the project."""

    def planning(self) -> None: ...

    def planned(self, changes: Mapping[str, int], plan_sha256: str) -> None: ...

    def applying(self) -> None:
        """The point of no return: after this call an apply may have begun."""

    def collect(self) -> Mapping[str, Any]:
        """What our backend holds now; called when the apply is over."""

    def take_in(self, document: BinaryIO) -> Mapping[str, Any]:
        """Make a state from elsewhere our newest version, byte for byte.

        Raises TransferError: ours is locked, closed, newer, or another one. Then it is unchanged.
        """

    def hold(self) -> Mapping[str, Any]:
        """Lock our state until the run ends; what it holds. Raises TransferError."""

    def archive(self, to: str) -> Mapping[str, Any]:
        """Close our state for good: it lives on elsewhere. Raises TransferError unless held."""

    def rescue(self, document: BinaryIO) -> None:
        """A state that the tool could not write. Returns when it is kept, or is none."""

    def stop(self) -> StopLevel: ...


@dataclass(frozen=True)
class Outcome:
    status: Literal["applied", "planned_and_finished"]
