"""Plans that are kept with runs, as the worker keeps them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete

from backend.models import PlanDocument
from backend.transactions import Installation, Transaction
from execution import plan_parts
from tests.support.plans import plan_json, read_plan, resource


def keep_plan(
    here: Installation, run_id: str, content: bytes = b"", *, epoch: int = 0, **given: Any
) -> None:
    """Keep a plan in JSON with a run; a small one, if nothing is given."""
    with here.itself.transaction() as tx:
        keep(tx, run_id, content, epoch=epoch, **given)


def keep(tx: Transaction, run_id: str, content: bytes, *, epoch: int = 0, **given: Any) -> None:
    plan = read_plan(content or plan_json(resource(after={"x": 1})), **given)
    tx.db.execute(delete(PlanDocument).where(PlanDocument.run_id == run_id))
    for rows in plan_parts.sealed(tx.keyring, run_id, epoch, plan):
        tx.db.add_all(rows)
        tx.db.flush()
