"""The events of a run, which the worker writes into its row. Secrets in them are already masked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import IO, Any, BinaryIO, Literal, Protocol

from runner.plans.drift import Drift
from runner.plans.plan_read import PlanRead

StepStatus = Literal["done", "failed"]


class StopLevel(IntEnum):
    GO_ON = 0
    INTERRUPT = 1  # canceled: let the command save its state and unlock
    KILL = 2  # force-canceled: kill the command now, even if something is lost


@dataclass(frozen=True)
class Rescue:
    """What became of a state that the tool could not store.

    It is a version, or else kept as the rescued write of this id, or else lost. `reason` is the
    code of why it is no version.
    """

    version: int | None = None
    kept: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class KeptPlan:
    """What a plan was made with. `is_ours`: the state is in Stateroom."""

    commit: str
    tool: str
    tool_version: str
    lock_sha256: str | None
    is_ours: bool


class Events(Protocol):
    """Receives the events. Each call may raise Fenced: the worker lost the run and must stop."""

    def step_started(self, name: str) -> None: ...

    def step_ended(self, name: str, status: StepStatus, detail: Mapping[str, Any]) -> None: ...

    def output(self, text: bytes) -> None: ...

    def noted(self, facts: Mapping[str, Any]) -> None:
        """Facts for the row: commit, tool, sandbox, detection, warnings."""

    def host_keys(self, lines: str) -> None:
        """known_hosts lines of hosts that were seen for the first time, to store in the project."""

    def uses_backend(self, identity: str | None) -> None:
        """The run uses this backend (detection.identity) of its sources; None: it uses ours.

        Raises DetectionError when the backend is that of another workspace.
        """

    def planning(self) -> None: ...

    def drifted(self, drift: Drift) -> None:
        """What was changed outside, for an operation that detects it."""

    def plan_read(self, plan: PlanRead) -> None:
        """What the plan says, for every operation that plans. It is stored before `planned`."""

    def planned(self, changes: Mapping[str, int], plan_sha256: str) -> bool:
        """The plan is made. Whether to apply it at once; else it is kept, and waits.

        If it is, the apply begins with this call, as with `applying`. Raises Stopped as that does,
        and RuleBroken for a plan that the rules of the template refuse.
        """

    def keep_plan(self, plan: KeptPlan, pack: Callable[[IO[bytes]], object]) -> None:
        """Store what `pack` writes, sealed, until the plan is approved."""

    def kept_plan(self) -> Iterator[bytes]:
        """What `keep_plan` stored, for the claim that applies it."""

    def applying(self) -> None:
        """The apply begins. After this call the run is never started again.

        Raises Stopped when somebody has asked to cancel the run.
        """

    def collect(self) -> Mapping[str, Any]:
        """What the state contains after the apply."""

    def take_in(self, document: BinaryIO) -> Mapping[str, Any]:
        """Store a state from another backend as the newest version here, byte for byte.

        Raises TransferError when the state here is locked, closed, newer, or has another lineage.
        Then nothing is changed.
        """

    def hold(self) -> Mapping[str, Any]:
        """Lock our state until the run ends, and return what it contains. Raises TransferError."""

    def archive(self, to: str) -> Mapping[str, Any]:
        """Close our state, which was moved to another backend. Raises TransferError unless held."""

    def rescue(self, document: BinaryIO) -> Rescue:
        """Store a state that the tool could not store, or else keep it as a rescued write."""

    def keep(self, document: BinaryIO) -> Rescue:
        """Keep a state of another backend, which the tool could not store, as a rescued write."""

    def stop(self) -> StopLevel: ...


@dataclass(frozen=True)
class Outcome:
    status: Literal["applied", "planned_and_finished", "planned"]
