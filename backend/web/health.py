"""/healthz says that this process is alive, and /readyz which of the things it needs work."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from kombu.exceptions import OperationalError
from sqlalchemy import select

from backend.errors import Error
from backend.models import Canary
from backend.upkeep import installation as installations
from backend.web.current import installation

bp = Blueprint("health", __name__)
log = structlog.get_logger()


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
    """Ready, or 503. A broker that is down only delays runs: then the answer says `degraded`."""
    parts = {name: _state_of(name, check) for name, check in CHECKS.items()}
    ready = parts["database"] == parts["keyring"] == "ok"
    status = "degraded" if ready and parts["broker"] != "ok" else "ready" if ready else "not-ready"
    return {"status": status, "parts": parts}, 200 if ready else 503


def _database() -> None:
    with installation().database.reading() as db:
        db.scalar(select(Canary.id))


def _keyring() -> None:
    with installation().database.reading() as db:
        row = db.get_one(Canary, 1)
    installations.open_canary(installation().keyring, row.sealed)


def _broker() -> None:
    installation().bell.check()


CHECKS: dict[str, Callable[[], None]] = {
    "database": _database,
    "keyring": _keyring,
    "broker": _broker,
}


def _state_of(name: str, check: Callable[[], None]) -> str:
    try:
        check()
    except (Error, OperationalError, OSError) as error:
        log.warning("not_ready", part=name, reason=str(error))
        return "failed"
    return "ok"
