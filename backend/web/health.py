"""/healthz says that this process is alive, and /readyz which of the things it needs work."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import structlog
from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from kombu.exceptions import OperationalError
from sqlalchemy import select

from backend.errors import Error, Unreadable
from backend.models import Canary
from backend.runs import workers
from backend.upkeep import installation as installations
from backend.web.current import installation

MOST_NAMED = 20

bp = Blueprint("health", __name__)
log = structlog.get_logger()


class Degraded(Exception):
    """It works, and less well than it should."""


@bp.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Alive. `stateroom doctor` compares our time, and the HTTP version of the last proxy."""
    return {
        "status": "alive",
        "version": installations.version(),
        "time": datetime.now(UTC).isoformat(),
        "protocol": request.environ.get("SERVER_PROTOCOL", ""),
    }


@bp.get("/readyz")
def readyz() -> ResponseReturnValue:
    """Ready, or 503. `degraded` is ready too: a broker that is down only delays runs.

    So is an installation in whose database somebody changed rows: these are named, and refused. And
    one with a worker that does not confine its runs by namespaces.
    """
    parts = states(CHECKS)
    ready = parts["database"] == parts["keyring"] == "ok"
    whole = ready and set(parts.values()) == {"ok"}
    status = "ready" if whole else "degraded" if ready else "not-ready"
    answer: dict[str, object] = {"status": status, "parts": parts}
    if suspects := sorted(installation().suspects):
        answer["changed_rows"] = suspects[:MOST_NAMED]
    return answer, 200 if ready else 503


def states(names: Iterable[str]) -> dict[str, str]:
    """How each of these parts is now: ok, degraded or failed."""
    return {name: _state_of(name, CHECKS[name]) for name in names}


def _database() -> None:
    with installation().database.reading() as db:
        db.scalar(select(Canary.id))


def _keyring() -> None:
    with installation().database.reading() as db:
        row = db.get_one(Canary, 1)
    installations.open_canary(installation().keyring, row.sealed)


def _broker() -> None:
    installation().bell.check()


def _rows() -> None:
    if suspects := installation().suspects:
        raise Unreadable(f"Rows were changed in the database: {', '.join(sorted(suspects))}")


def _sandbox() -> None:
    with installation().database.reading() as db:
        if not workers.confine_well(db):
            raise Degraded


CHECKS: dict[str, Callable[[], None]] = {
    "database": _database,
    "keyring": _keyring,
    "broker": _broker,
    "rows": _rows,
    "sandbox": _sandbox,
}


def _state_of(name: str, check: Callable[[], None]) -> str:
    try:
        check()
    except Degraded:
        return "degraded"
    except (Error, OperationalError, OSError) as error:
        log.warning("not_ready", part=name, reason=str(error))
        return "failed"
    return "ok"
