"""The key of the audit log's chain."""

from __future__ import annotations

import pytest

from backend.audit import chain as audit_chain
from backend.audit.linker import Linker
from backend.config import Settings
from backend.errors import Unreadable
from backend.models import AuditKey
from backend.transactions import Installation
from backend.upkeep import installation
from backend.upkeep.installation import NotReady


def test_a_chain_without_its_key_stops_the_start(here: Installation, settings: Settings) -> None:
    Linker(here).tick()
    with here.itself.transaction() as tx:
        tx.db.delete(tx.db.get_one(AuditKey, 1))

    with pytest.raises(NotReady, match="audit_key"):
        installation.prepare(settings)


def test_the_key_of_another_installation_does_not_open(here: Installation) -> None:
    with here.itself.transaction() as tx:
        row = tx.db.get_one(AuditKey, 1)
        row.sealed = row.sealed[:-1] + bytes([row.sealed[-1] ^ 1])

    with here.database.reading() as db, pytest.raises(Unreadable):
        audit_chain.key(db, here.keyring)
