"""The workers of an installation, for showing them. Runs have leases, and do not depend on this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from backend.db import now
from backend.models import DEFAULT_QUEUE, Worker
from backend.paging import Page, cut
from backend.runs.tool_needs import Need
from backend.transactions import Installation, Transaction

FORGOTTEN_AFTER = timedelta(hours=1)
SILENT_AFTER = timedelta(minutes=1)


@dataclass(frozen=True)
class Abilities:
    """What a worker can do. `tools` have a name, a version and an origin; None: it does not say."""

    slots: int
    sandbox: str | None
    queues: Sequence[str] = (DEFAULT_QUEUE,)
    tools: Sequence[Mapping[str, str]] | None = None
    installs_tools: bool = False


def beat(tx: Transaction, name: str, able: Abilities) -> None:
    """Record that this worker is alive, and delete workers that were silent for an hour.

    For Stateroom itself.
    """
    tx.principal.require_installation()
    tx.db.execute(delete(Worker).where(Worker.seen_at < now(-FORGOTTEN_AFTER)))
    at = tx.db.scalars(select(now())).one()
    worker = tx.db.get(Worker, name)
    if worker is None:
        worker = Worker(name=name)
        tx.db.add(worker)
    worker.slots, worker.sandbox, worker.queues = able.slots, able.sandbox, list(able.queues)
    worker.tools = None if able.tools is None else [dict(tool) for tool in able.tools]
    worker.installs_tools = able.installs_tools
    worker.seen_at = at


def leave(tx: Transaction, name: str) -> None:
    """Delete a worker that ends. For Stateroom itself."""
    tx.principal.require_installation()
    tx.db.execute(delete(Worker).where(Worker.name == name))


def known(db: Session) -> Sequence[Worker]:
    """The workers that were alive in the last hour."""
    found = select(Worker).where(Worker.seen_at > now(-FORGOTTEN_AFTER))
    return db.scalars(found.order_by(Worker.name)).all()


def find_all(tx: Transaction, after: str | None, limit: int) -> Page[Worker]:
    """The workers that were alive in the last hour, by name. For administrators."""
    tx.principal.require_installation()
    found = select(Worker).where(Worker.seen_at > now(-FORGOTTEN_AFTER))
    if after is not None:
        found = found.where(Worker.name > after)
    rows = tx.db.scalars(found.order_by(Worker.name).limit(limit + 1)).all()
    return cut(rows, limit, lambda worker: worker.name)


def that_have(here: Installation, among: Sequence[Worker], need: Need) -> list[Worker]:
    """Those of the workers that have the tool, or install what they lack."""
    return [worker for worker in among if _has(here, worker, need)]


def _has(here: Installation, worker: Worker, need: Need) -> bool:
    if worker.tools is None or worker.installs_tools:
        return True
    held = [tool["version"] for tool in worker.tools if tool["name"] == need.tool]
    if need.version in (None, "auto"):
        return bool(held)
    return any(here.tool_fits(need.version, version) for version in held)


def confine_well(db: Session) -> bool:
    """Whether every worker that is alive now confines its runs by namespaces."""
    alive = select(Worker.sandbox).where(Worker.seen_at > now(-SILENT_AFTER))
    return all((sandbox or "").startswith("namespaces") for sandbox in db.scalars(alive))


def every(db: Session) -> Sequence[Worker]:
    """All that were not forgotten yet. What is forgotten is deleted when another one beats."""
    return db.scalars(select(Worker)).all()


def alive(among: Sequence[Worker], moment: datetime) -> list[Worker]:
    """Those that are alive at this moment, as far as they say."""
    return [worker for worker in among if worker.seen_at > moment - SILENT_AFTER]


def last_seen(among: Sequence[Worker], moment: datetime) -> str:
    """When any of them was seen for the last time, in words."""
    if not among:
        return "none has been seen in the last hour"
    ago = moment - max(worker.seen_at for worker in among)
    return f"none has been seen for {ago.total_seconds() // 60:.0f} min"
