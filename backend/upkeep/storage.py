"""How much room an installation takes, and how much there is left."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from sqlalchemy import text

from backend.transactions import Transaction


@dataclass(frozen=True)
class Storage:
    """Bytes: of the database, and of the disk that the data folder is on."""

    database: int
    free: int
    total: int


def measure(tx: Transaction) -> Storage:
    """For administrators of the installation."""
    tx.principal.require_installation()
    if tx.settings.is_sqlite:
        asked = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    else:
        asked = "SELECT pg_database_size(current_database())"
    disk = shutil.disk_usage(tx.settings.data_dir)
    return Storage(int(tx.db.scalar(text(asked)) or 0), disk.free, disk.total)
