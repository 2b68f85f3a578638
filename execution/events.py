"""The events of one claimed run, as its rows have them. writing.py brings them there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import IO, Any, BinaryIO, cast

import msgspec
import structlog
from sqlalchemy import select

from backend.catalogue import projects
from backend.catalogue.rules import Rules
from backend.documents.intake import receive
from backend.errors import Conflict, Error, Gone, Invalid, Locked, Unavailable
from backend.models import HARMLESS, Run, State, StateVersion
from backend.runs import (
    approvals,
    claims,
    drifts,
    inputs,
    moves,
    own_backends,
    plan_documents,
    plans,
    rules,
)
from backend.runs.inputs import Inputs
from backend.states import addresses, archive, locks, states, transfers
from backend.states.locks import LockInfo
from backend.transactions import Installation, Transaction
from execution import judged, plan_parts, told, unsaved
from execution.plan_pieces import PlanPieces
from execution.writing import Writing
from runner.errors import (
    DetectionError,
    RuleBroken,
    RunnerError,
    Stopped,
    TransferError,
    WindowClosed,
)
from runner.events import KeptPlan, Rescue, StepStatus
from runner.plans.drift import Drift
from runner.plans.plan_read import PlanRead

log = structlog.get_logger()


class Execution(Writing):
    """The events of one claim of a run. Another thread calls `pulse`."""

    def __init__(self, here: Installation, run: Run) -> None:
        super().__init__(here, run)
        self._workspace_id = run.workspace_id
        self._inputs, self._address, self._state_version = Inputs("", "", ""), "", 0
        self._is_harmless = run.operation in HARMLESS
        self._rules = Rules()
        self._plan: Mapping[str, Any] = {"resources": ()}  # until it is read
        self._approved_by: str | None = None  # though it waits for a window
        self._lock_id = f"export-state-{run.id}-{run.epoch}"
        self._position = 0
        self.has_begun_to_apply = False

    def binds(self, tx: Transaction, run: Run) -> None:
        """Remember what a plan of this claim holds for. Raises Unreadable."""
        self._inputs, self._rules = inputs.of(tx, run), rules.of(run.template)
        self._address = addresses.of_workspace(
            self._here.settings.url, run.workspace.project.name, run.workspace.name
        ).address

    def step_started(self, name: str) -> None:
        self._position += 1
        self._tell(self._happened.step_started, name, self._position)

    def step_ended(self, name: str, status: StepStatus, detail: Mapping[str, Any]) -> None:
        self._tell(self._happened.step_ended, name, status, dict(detail))

    def noted(self, facts: Mapping[str, Any]) -> None:
        self._tell(self._happened.noted, dict(facts))

    def host_keys(self, lines: str) -> None:
        def pin(tx: Transaction) -> None:
            projects.pin_host_keys(tx, claims.own(tx).workspace.project, lines)

        self._write(pin)

    def uses_backend(self, identity: str | None) -> None:
        try:
            self._write(lambda tx: own_backends.use(tx, identity))
        except Conflict as refusal:
            raise DetectionError(refusal.code, refusal.message) from None

    def planning(self) -> None:
        """Raises Unavailable when the state cannot be looked at."""
        self._state_version = self._patiently(self._current)
        self._tell(self._happened.moved, "planning")

    def drifted(self, drift: Drift) -> None:
        found = drifts.Found(
            drift.resource_count,
            drift.output_count,
            drift.unimportant,
            msgspec.json.encode(drift),
        )
        self._write(lambda tx: drifts.keep(tx, found))

    def plan_read(self, plan: PlanRead) -> None:
        """Raises ToolError when a part of the plan cannot be read.

        A small plan is written with the next move, and the last part of a large one too.
        """
        batches = plan_parts.sealed(self._here.keyring, self.run_id, self.epoch, plan)
        rows = next(batches)
        for following in batches:
            self._write(partial(plan_documents.store, rows=rows))
            rows = following
        self._tell(self._happened.planned, rows)
        self._judge(plan)

    def _judge(self, plan: PlanRead) -> None:
        """What the rules say about a plan that is applied is noted by `planned`."""
        self._plan = judged.facts(plan)
        if self._is_harmless:
            found = [one.stored() for one in rules.judge(self._rules, self._plan)]
            self._tell(self._happened.noted, {"findings": found})

    def planned(self, changes: Mapping[str, int], plan_sha256: str) -> bool:
        """Raises Stopped, as `applying` does, and RuleBroken."""
        plan = {**self._plan, "summary": changes}
        with _canceled_is_stopped():
            decision = self._write(lambda tx: approvals.decide(tx, plan, plan_sha256, self._lease))
        if decision.refused is not None:
            raise RuleBroken(rules.BROKEN, decision.refused)
        self._approved_by = decision.approved_by
        self.has_begun_to_apply = decision.is_applied_at_once
        return decision.is_applied_at_once

    def keep_plan(self, plan: KeptPlan, pack: Callable[[IO[bytes]], object]) -> None:
        pieces = PlanPieces(lambda number, piece: self._write(_keeping(number, piece)))
        pack(cast("IO[bytes]", pieces))
        address = self._address if plan.is_ours else ""
        made = plans.Made(
            inputs=self._inputs,
            address=address,
            state_version=self._state_version if plan.is_ours else None,
            commit=plan.commit,
            tool=plan.tool,
            tool_version=plan.tool_version,
            lock_sha256=plan.lock_sha256,
        )
        bundle = pieces.end()
        self._write(lambda tx: plans.keep(tx, bundle, made))

    def kept_plan(self) -> Iterator[bytes]:
        with self._itself.reading() as tx:
            yield from plans.pieces(tx)

    def applying(self) -> None:
        """Raises Stopped when somebody has asked to cancel the run, even a moment ago.

        Raises WindowClosed when an approved plan was not ready in time.
        """
        with _canceled_is_stopped():
            begun = self._write(approvals.begin)
        if not begun:
            raise WindowClosed("window-closed", "The window ended before the apply could start.")
        self.has_begun_to_apply = True

    def wait_for_window(self) -> None:
        """End the second leg: the apply has not begun, and waits for the next window."""
        self._end_log()
        self._write(approvals.await_window)

    def wait_for_approval(self) -> None:
        """End the first leg: nobody is at work with the run any more."""
        self._end_log()
        self._write(lambda tx: approvals.await_one(tx, self._approved_by))

    def finish(self, status: str, **values: Any) -> None:
        """The run ends so, also when its last events and the end of its log cannot be stored."""
        self._end_log()
        try:
            self._move(status, **values)
        except (RunnerError, Conflict, Unavailable):
            raise
        except Exception as fault:
            log.exception("events_lost", run=self.run_id, exc_info=fault)
            with self._writing:
                self._forget()
            self._move(status, **values)

    def fail(self, error: RunnerError | Error) -> None:
        """The run ends with this error."""

        def tell() -> dict[str, Any]:
            with self._itself.reading() as tx:
                return told.of(tx, self._state(tx), error)

        self.finish("errored", **self._patiently(tell))

    def give_back(self, code: str, message: str) -> None:
        """Queue the run again after a fault that may pass, if `claims.give_back` does."""
        self._end_log()
        self._write(lambda tx: claims.give_back(tx, code, message))

    def gives_way(self) -> bool:
        """Whether the run was queued again behind a lock that is no run's (`claims.give_way`)."""
        self._end_log()
        return self._write(claims.give_way)

    def abandon(self) -> None:
        """The run was lost: write what its tool said until now into the log all the same."""
        self._end_log()
        self.flush()

    def collect(self) -> Mapping[str, Any]:
        try:
            version = self._patiently(self._newest)
        except Unavailable:  # it only informs, and the lease ends the run
            return {}
        return {"version": None} if version is None else _described(version)

    def take_in(self, document: BinaryIO) -> Mapping[str, Any]:
        here = self._here

        def take(tx: Transaction) -> Mapping[str, Any]:
            return _described(transfers.take_in(tx, self._state(tx), taken))

        with _no_transfer():
            taken = receive(document, here.settings.max_state_bytes, here.blobs)
            return self._write(take)

    def hold(self) -> Mapping[str, Any]:
        fields = {"Operation": "export-state", "Who": self._itself.principal.name}

        def lock(tx: Transaction) -> Mapping[str, Any]:
            state = self._state(tx)
            locks.acquire(tx, state, LockInfo(self._lock_id, fields))
            return {"version": state.current}

        with _no_transfer():
            return self._write(lock)

    def archive(self, to: str) -> Mapping[str, Any]:
        def close(tx: Transaction) -> Mapping[str, Any]:
            archive.archive(tx, self._state(tx), self._lock_id, to)
            return {"archived_to": to}

        with _no_transfer():
            return self._write(close)

    def rescue(self, document: BinaryIO) -> Rescue:
        return unsaved.store(self._here, self._itself, self._workspace_id, document)

    def keep(self, document: BinaryIO) -> Rescue:
        return unsaved.keep(self._here, self._itself, self._workspace_id, document, "own-backend")

    def _current(self) -> int:
        with self._itself.reading() as tx:
            return self._state(tx).current

    def _newest(self) -> StateVersion | None:
        with self._itself.reading() as tx:
            return states.current(tx.db, self._state(tx))

    def _state(self, tx: Transaction) -> State:
        of_own = State.workspace_id == self._workspace_id
        return tx.db.scalars(select(State).where(of_own)).one()


def _keeping(number: int, piece: bytes) -> Callable[[Transaction], None]:
    return lambda tx: plans.keep_piece(tx, number, piece)


@contextmanager
def _canceled_is_stopped() -> Iterator[None]:
    try:
        yield
    except moves.CancelAsked as asked:
        raise Stopped("canceled", asked.message) from None


def _described(version: StateVersion) -> Mapping[str, Any]:
    return {
        "version": version.number,
        "serial": version.serial,
        "lineage": version.lineage,
        "size": version.size,
    }


@contextmanager
def _no_transfer() -> Iterator[None]:
    """The TransferError for a refusal of the backend."""
    try:
        yield
    except Locked as locked:
        lock_id = str(locked.holder.get("ID"))
        who = f"{locked.message} Its ID is {lock_id}."
        raise TransferError(
            locked.code,
            who if locked.code == told.LOCKED else locked.message,
            lock_id=lock_id,
        ) from None
    except (Conflict, Gone, Invalid) as refusal:
        raise TransferError(refusal.code, refusal.message) from None
