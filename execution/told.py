"""What the row of a run tells of the error with which it ended: code, cause, facts.

terraform says of a lock that it could not get only the ID. Who has it is known here, and so is what
the server refused in the form of a lock: a frozen workspace, a quota.
"""

from __future__ import annotations

from typing import Any

from backend.errors import Error
from backend.models import State
from backend.states import holders, locks, refusals
from backend.transactions import Transaction
from runner.errors import RunnerError

LOCKED = "state-locked"


def of(tx: Transaction, state: State, error: RunnerError | Error) -> dict[str, Any]:
    """The columns of a run that failed with this error, in its own state's workspace."""
    facts: dict[str, Any] = dict(error.facts)
    code, message = error.code, error.message
    if code == LOCKED:
        code, message = _locked(tx, state, message, facts)
    return {"error_code": code, "error_message": message, "error_facts": facts or None}


def _locked(tx: Transaction, state: State, message: str, facts: dict[str, Any]) -> tuple[str, str]:
    """The code and the cause of a lock that was refused. The facts get its holder."""
    asked = facts.get("lock_id")
    refusal = refusals.of(tx.db, state)
    if refusal is not None and refusal.code == asked:
        return refusal.code, refusal.info
    lock = locks.of_state(tx.db, state)
    if asked is not None and asked != lock.lock_id:
        return LOCKED, f"{message} Whoever had it has let go of it since."
    facts["holder"] = lock.held_by
    had = "is held by" if lock.held else "was held until now by"
    return LOCKED, f"{message} It {had} {holders.described(lock)}."
