"""The workers of an installation, for showing them. Runs have leases, and do not depend on this."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backend.db import now
from backend.models import Worker
from backend.transactions import Transaction

FORGOTTEN_AFTER = timedelta(hours=1)
SILENT_AFTER = timedelta(minutes=1)


def beat(tx: Transaction, name: str, slots: int, sandbox: str | None) -> None:
    """Record that this worker is alive, and delete workers that were silent for an hour.

    For Stateroom itself.
    """
    tx.principal.require_installation()
    tx.db.execute(delete(Worker).where(Worker.seen_at < now(-FORGOTTEN_AFTER)))
    at = tx.db.scalars(select(now())).one()
    worker = tx.db.get(Worker, name)
    if worker is None:
        tx.db.add(Worker(name=name, slots=slots, sandbox=sandbox, seen_at=at))
    else:
        worker.seen_at = at


def leave(tx: Transaction, name: str) -> None:
    """Delete a worker that ends. For Stateroom itself."""
    tx.principal.require_installation()
    tx.db.execute(delete(Worker).where(Worker.name == name))


def known(db: Session) -> Sequence[Worker]:
    """The workers that were alive in the last hour."""
    found = select(Worker).where(Worker.seen_at > now(-FORGOTTEN_AFTER))
    return db.scalars(found.order_by(Worker.name)).all()


def confine_well(db: Session) -> bool:
    """Whether every worker that is alive now confines its runs by namespaces."""
    alive = select(Worker.sandbox).where(Worker.seen_at > now(-SILENT_AFTER))
    return all((sandbox or "").startswith("namespaces") for sandbox in db.scalars(alive))
