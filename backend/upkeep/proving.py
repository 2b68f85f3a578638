"""The key of the proofs (sealing/proofs.py), and the proofs of the rows that had none.

Rows from before there were proofs get them at the first start of this version, as they are then.
When that is done it is noted beside the key, under its seal: from then on a row without a proof is
one that somebody else wrote.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import structlog
from sqlalchemy.orm import Session

from backend import audit, migrations
from backend.db import Database
from backend.errors import NotFound, Unreadable
from backend.models import ProofKey
from backend.sealing import crypto, proven
from backend.sealing.bindings import PROOF_KEY
from backend.sealing.keyring import Keyring
from backend.sealing.proofs import Proofs
from backend.transactions import Caller, Installation, Transaction

AT_ONCE = 200  # rows of a transaction: a few milliseconds
_KEY = 32
_COMPLETE = b"every row has its proof"

log = structlog.get_logger()


@dataclass(frozen=True)
class _Kept:
    key: bytes
    is_complete: bool


def use(database: Database, keyring: Keyring) -> bool:
    """Make and check proofs in this process. Returns whether every row has its proof.

    Raises Unreadable when the key does not open. Without a key nothing is proven.
    """
    with database.reading() as db:
        kept = _find(db, keyring)
    if kept is None:
        return False
    _use(database, keyring, kept.key)
    return kept.is_complete


def prepare_key(db: Session, database: Database, keyring: Keyring) -> None:
    """Make the key of the proofs, if there is none, and use it. Raises Unreadable."""
    kept = _find(db, keyring)
    if kept is None:
        kept = _Kept(secrets.token_bytes(_KEY), is_complete=False)
        db.add(ProofKey(id=1, sealed=crypto.seal_value(keyring, kept.key, PROOF_KEY)))
        db.flush()
    _use(database, keyring, kept.key)
    db.info.update(database.info)


def prove_all(here: Installation) -> int:
    """Prove the rows that have no proof yet, page by page, unless that was done before.

    Several processes may do so at once, and each may be killed at any time: another one goes on.
    Returns how many rows there were. Raises Unreadable.
    """
    with here.database.reading() as db:
        kept = _find(db, here.keyring)
    if kept is None or kept.is_complete:
        return 0
    total = sum(_prove_table(here.itself, table) for table in range(len(proven.MODELS)))
    with here.itself.transaction() as tx:
        _note_complete(tx, kept, total)
    return total


def accept(tx: Transaction, table: str, name: str) -> None:
    """Prove a row as it is now, whatever was done to it. For people on the machine.

    Raises NotFound.
    """
    tx.principal.require_installation()
    model = next((one for one in proven.MODELS if one.__tablename__ == table), None)
    row = None if model is None else proven.one(tx.db, model, name)
    if model is None or row is None:
        raise NotFound(f"There is no row {name!r} in a table {table!r} whose rows have proofs.")
    proven.accept(tx.db, model, *proven.at(model, name))
    audit.record(tx, "rows.accept", name, table=table)


def _prove_table(caller: Caller, table: int) -> int:
    model, total, count = proven.MODELS[table], 0, AT_ONCE
    while count:
        with caller.transaction() as tx:
            migrations.one_at_a_time(tx.db.connection())  # so that 0 means that none is left
            count = proven.prove_some(tx.db, model, AT_ONCE)
        total += count
    return total


def _note_complete(tx: Transaction, kept: _Kept, total: int) -> None:
    row = tx.db.get_one(ProofKey, 1, with_for_update=True)
    row.sealed = crypto.seal_value(tx.keyring, kept.key + _COMPLETE, PROOF_KEY)
    audit.record(tx, "rows.prove", "proof_key", count=total)
    if total:
        log.info("rows_proven", count=total)


def _find(db: Session, keyring: Keyring) -> _Kept | None:
    row = db.get(ProofKey, 1)
    if row is None:
        return None
    content = crypto.open_value(keyring, row.sealed, PROOF_KEY)
    if len(content) < _KEY:
        raise Unreadable("The key of the proofs is damaged. Restore the table proof_key.")
    return _Kept(content[:_KEY], content[_KEY:] == _COMPLETE)


def _use(database: Database, keyring: Keyring, key: bytes) -> None:
    keyring.proofs = Proofs(key)
    database.info[proven.PROOFS] = keyring.proofs
