"""The workers of an installation, for showing them. Runs have leases, and do not depend on this."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from backend.db import now
from backend.models import DEFAULT_QUEUE, Worker
from backend.transactions import Transaction

FORGOTTEN_AFTER = timedelta(hours=1)
SILENT_AFTER = timedelta(minutes=1)


def beat(
    tx: Transaction,
    name: str,
    slots: int,
    sandbox: str | None,
    queues: Sequence[str] = (DEFAULT_QUEUE,),
) -> None:
    """Record that this worker is alive, and delete workers that were silent for an hour.

    For Stateroom itself.
    """
    tx.principal.require_installation()
    tx.db.execute(delete(Worker).where(Worker.seen_at < now(-FORGOTTEN_AFTER)))
    at = tx.db.scalars(select(now())).one()
    worker = tx.db.get(Worker, name)
    if worker is None:
        made = Worker(name=name, slots=slots, sandbox=sandbox, queues=list(queues), seen_at=at)
        tx.db.add(made)
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


def alive(db: Session) -> Sequence[Worker]:
    """The workers that are alive now, as far as they say."""
    return db.scalars(select(Worker).where(Worker.seen_at > now(-SILENT_AFTER))).all()


def last_seen(db: Session) -> str:
    """When any worker was seen for the last time, in words."""
    last, moment = db.execute(select(func.max(Worker.seen_at), now())).one()
    if last is None:
        return "none has been seen in the last hour"
    return f"none has been seen for {(moment - last).total_seconds() // 60:.0f} min"
