"""Create an installation at its first start, and check it at every start.

It consists of the data folder, the schema, the keyring and the first administrator. The canary is a
sealed row that shows whether the keyring belongs to the database.
"""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend import migrations
from backend.audit import chain
from backend.broker import Bell
from backend.config import Settings
from backend.db import Database
from backend.errors import Unreadable
from backend.models import Canary, Token
from backend.people import tokens
from backend.principal import SYSTEM
from backend.sealing import bindings, crypto
from backend.sealing.blobs import Blobs
from backend.sealing.keyring import Keyring, WrongKeyring
from backend.transactions import Installation, Transaction
from backend.upkeep import proving

# The key that sealed the canary is the current key. Before 0.2 it was the first one of the file.
_CANARY = b"stateroom: what sealed this seals everything"
_BEFORE_0_2 = b"stateroom"


class NotReady(Exception):
    """The installation cannot be used. The message says what to do."""


def version() -> str:
    return metadata.version("stateroom")


def is_begun(database: Database) -> bool:
    """Whether a server was started with this database before, so that it belongs to a keyring."""
    with database.reading() as db:
        return db.scalar(select(Canary.id)) is not None


def prepare(settings: Settings) -> Installation:
    """Create, migrate and check the installation. Several processes may do so at the same time.

    Raises NotReady when the keyring does not belong to the database.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(settings)
    try:
        migrations.upgrade(database.engine)
        with database.transaction() as db:
            migrations.one_at_a_time(db.connection())
            here = _installation(settings, database, _keyring(db, settings))
            _prepare(Transaction(db, SYSTEM, here))
        proving.prove_all(here)
    except BaseException:  # close the connections also when the start is interrupted
        database.close()
        raise
    return here


def existing(settings: Settings) -> Installation:
    """Open an existing installation, also while servers run. It creates and migrates nothing.

    Raises NotReady when there is none, or the keyring does not belong to it.
    """
    if settings.is_sqlite and not Path(settings.database.database or "").is_file():
        raise NotReady(f"There is no installation in {settings.data_dir}: {settings.database}")
    database = Database(settings)
    try:
        keyring = _existing_keyring(settings, database)
    except BaseException:  # close the connections also when the command is interrupted
        database.close()
        raise
    return _installation(settings, database, keyring)


def _installation(settings: Settings, database: Database, keyring: Keyring) -> Installation:
    return Installation(settings, database, keyring, Blobs(settings.blobs_dir), Bell(settings))


def _prepare(tx: Transaction) -> None:
    _check_canary(tx.db, tx.keyring, tx.settings)
    _audit_key(tx.db, tx.keyring)
    _proof_key(tx)
    _first_administrator(tx, tx.settings.admin_token_path)


def seal_canary(keyring: Keyring) -> bytes:
    """A canary that makes the keyring's current key the current key of the installation."""
    return crypto.seal_value(keyring, _CANARY, bindings.CANARY)


def open_canary(keyring: Keyring, canary: bytes) -> bytes:
    """Open the canary. Raises Unreadable when the keyring does not belong to the installation."""
    return crypto.open_value(keyring, canary, bindings.CANARY)


def follow_canary(db: Session, keyring: Keyring) -> None:
    """Use the current key of the installation. Raises Unreadable."""
    keyring.refresh()
    keyring.seal_with(crypto.value_key_id(db.scalars(select(Canary.sealed)).one()))


def _keyring(db: Session, settings: Settings) -> Keyring:
    if settings.keyring_path.exists() or settings.keyring:
        return _keyring_at_hand(settings)
    if db.scalar(select(Canary.id)) is not None:
        raise NotReady(
            f"The keyring {settings.keyring_path} is missing. Restore it from your backup: without "
            "it, the states and secrets in the database cannot be read."
        )
    return Keyring.create(settings.keyring_path)


def _keyring_at_hand(settings: Settings) -> Keyring:
    try:
        if settings.keyring_file:  # who provides the file chooses its mode
            return Keyring.load(settings.keyring_path, forbidden_mode=0)
        if settings.keyring:
            return Keyring.from_text(settings.keyring)
        return Keyring.load(settings.keyring_path)
    except WrongKeyring as error:
        raise NotReady(str(error)) from None


def _check_canary(db: Session, keyring: Keyring, settings: Settings) -> None:
    row = db.get(Canary, 1)
    if row is None:
        db.add(Canary(id=1, sealed=seal_canary(keyring)))
    elif _opened_canary(keyring, row.sealed, settings) == _BEFORE_0_2:
        row.sealed = seal_canary(keyring)
    else:
        keyring.seal_with(crypto.value_key_id(row.sealed))


def _opened_canary(keyring: Keyring, canary: bytes, settings: Settings) -> bytes:
    try:
        return open_canary(keyring, canary)
    except Unreadable:
        named = settings.keyring and not settings.keyring_file
        where = "STATEROOM_KEYRING" if named else str(settings.keyring_path)
        raise NotReady(
            f"The keyring in {where} does not open this database. "
            "Use the keyring that the database was sealed with. Nothing was changed."
        ) from None


def _existing_keyring(settings: Settings, database: Database) -> Keyring:
    if not migrations.is_newest(database.engine):
        raise NotReady("The schema is of another version of Stateroom. Start the server first.")
    keyring = _keyring_at_hand(settings)
    with database.reading() as db:
        canary = db.scalar(select(Canary.sealed))
    if canary is None or _opened_canary(keyring, canary, settings) == _BEFORE_0_2:
        raise NotReady("The installation was never started. Start the server first.")
    keyring.seal_with(crypto.value_key_id(canary))
    if not proving.use(database, keyring):
        raise NotReady("Rows of an older version have no proof yet. Start the server first.")
    return keyring


def _audit_key(db: Session, keyring: Keyring) -> None:
    try:
        chain.prepare_key(db, keyring)
    except Unreadable as error:
        raise NotReady(error.message) from None


def _proof_key(tx: Transaction) -> None:
    try:
        proving.prepare_key(tx.db, tx.here.database, tx.keyring)
    except Unreadable as error:
        raise NotReady(error.message) from None


def _first_administrator(tx: Transaction, path: Path) -> None:
    if tx.db.scalar(select(Token.id).where(Token.run_id.is_(None)).limit(1)) is not None:
        return
    _, secret = tokens.issue(tx, "administrator", ["admin"])
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
