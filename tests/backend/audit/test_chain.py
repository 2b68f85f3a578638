"""The chain over the audit log shows all tampering, and links every entry once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import bindparam, func, insert, select, text
from sqlalchemy.orm import Session

from backend.audit import chain as audit_chain
from backend.audit import entries as audit
from backend.audit import verify as audit_verify
from backend.audit.chain import NOTHING, Head
from backend.audit.linker import Linker
from backend.audit.verify import ChainReport
from backend.db import now
from backend.models import AuditEntry, AuditLink
from backend.principal import SYSTEM
from backend.transactions import Caller, Installation

Tamper = Callable[..., None]


@pytest.fixture
def linker(here: Installation) -> Linker:
    return Linker(here)


@pytest.fixture
def chain(here: Installation, linker: Linker) -> Head:
    """Ten links."""
    write(here, 10 - entries(here))
    linker.tick()
    return head(here)


@pytest.fixture
def tamper(here: Installation) -> Tamper:
    """Change the database as its owner can, without triggers and foreign keys."""

    def execute(*statements: str, **values: object) -> None:
        sqlite = here.settings.is_sqlite
        with here.database.engine.connect() as connection:
            if sqlite:
                connection.connection.driver_connection.execute("PRAGMA foreign_keys=OFF")  # type: ignore[union-attr]
            with connection.begin():
                for table in ("audit_entries", "audit_links"):
                    if sqlite:
                        connection.execute(text(f"DROP TRIGGER IF EXISTS {table}_update"))
                        connection.execute(text(f"DROP TRIGGER IF EXISTS {table}_delete"))
                    else:
                        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
                for statement in statements:
                    connection.execute(text(statement), values)
            if sqlite:
                connection.connection.driver_connection.execute("PRAGMA foreign_keys=ON")  # type: ignore[union-attr]

    return execute


def write(here: Installation, count: int) -> None:
    with here.itself.transaction() as tx:
        for number in range(count):
            audit.record(tx, "thing.do", f"thing-{number}", note="ä\u2028\x00", share=0.1)


def entries(here: Installation) -> int:
    with here.itself.reading() as tx:
        return tx.db.scalar(select(func.count()).select_from(AuditEntry)) or 0


def head(here: Installation) -> Head:
    with here.itself.reading() as tx:
        return audit_chain.head(tx.db)


def verify(here: Installation, known: Head = NOTHING) -> ChainReport:
    return audit_verify.verify(here.itself, known)


def entry_of(here: Installation, number: int) -> str:
    with here.itself.reading() as tx:
        return tx.db.scalars(select(AuditLink.entry_id).where(AuditLink.number == number)).one()


def finds(here: Installation, number: int, kind: str, known: Head = NOTHING) -> str:
    """What it says of the first broken link, which has to be this one."""
    found = verify(here, known)
    assert found.broken is not None, found
    assert (found.broken.number, found.broken.kind) == (number, kind), found.broken
    assert found.verified == number - 1 or kind == "changed"
    return found.broken.message


def test_every_entry_gets_a_link_and_the_chain_verifies(here: Installation, chain: Head) -> None:
    found = verify(here, chain)

    assert (found.broken, found.verified, found.unlinked) == (None, 10, 0)
    assert found.head == chain
    assert chain.number == entries(here) == 10


def test_an_entry_without_a_link_is_counted_and_is_no_fault(
    here: Installation, chain: Head
) -> None:
    write(here, 3)

    found = verify(here)

    assert (found.broken, found.unlinked) == (None, 3)
    assert found.oldest_unlinked_at is not None


@pytest.mark.parametrize(
    "change",
    [
        "principal = 'somebody'",
        "principal_id = 'tok_other'",
        "action = 'thing.undo'",
        "object = 'thing-x'",
        "project_id = 'prj_x'",
        "detail = '{}'",
        "at = at + 1",
    ],
)
def test_a_changed_entry_is_found(
    here: Installation, chain: Head, tamper: Tamper, change: str
) -> None:
    tamper(f"UPDATE audit_entries SET {change} WHERE id = :id", id=entry_of(here, 4))

    assert "was changed" in finds(here, 4, "changed")


def test_a_deleted_entry_is_found(here: Installation, chain: Head, tamper: Tamper) -> None:
    tamper("DELETE FROM audit_entries WHERE id = :id", id=entry_of(here, 4))

    assert "was removed" in finds(here, 4, "removed")


def test_an_entry_deleted_with_its_link_is_found(
    here: Installation, chain: Head, tamper: Tamper
) -> None:
    lost = entry_of(here, 4)

    tamper(
        "DELETE FROM audit_links WHERE number = 4", "DELETE FROM audit_entries WHERE id = :id",
        id=lost,
    )  # fmt: skip

    assert finds(here, 4, "removed").startswith("Link 4 is missing")


def test_a_deleted_entry_is_found_when_the_others_are_numbered_anew(
    here: Installation, chain: Head, tamper: Tamper
) -> None:
    lost = [entry_of(here, 4), entry_of(here, 5)]

    tamper(
        "DELETE FROM audit_links WHERE number IN (4, 5)",
        f"DELETE FROM audit_entries WHERE id IN ('{lost[0]}', '{lost[1]}')",
        *(f"UPDATE audit_links SET number = {n - 2} WHERE number = {n}" for n in range(6, 11)),
    )

    assert finds(here, 4, "removed").startswith("The links 4 to 5 are missing")


def test_links_that_changed_places_are_found(
    here: Installation, chain: Head, tamper: Tamper
) -> None:
    tamper(
        *(
            f"UPDATE audit_links SET number = {new} WHERE number = {old}"
            for old, new in ((4, 99), (6, 4), (99, 6))
        )
    )

    assert "the one that was made as link 6" in finds(here, 4, "order")


def test_entries_that_changed_places_are_found(
    here: Installation, chain: Head, tamper: Tamper
) -> None:
    fourth, sixth = entry_of(here, 4), entry_of(here, 6)
    other = entry_of(here, 1)

    tamper(
        "DELETE FROM audit_links WHERE number = 1",
        "UPDATE audit_links SET entry_id = :other WHERE number = 4",
        "UPDATE audit_links SET entry_id = :fourth WHERE number = 6",
        "UPDATE audit_links SET entry_id = :sixth WHERE number = 4",
        fourth=fourth, sixth=sixth, other=other,
    )  # fmt: skip
    restore_first(here, other)

    assert "each other's entries" in finds(here, 4, "order")


def restore_first(here: Installation, entry_id: str) -> None:
    with here.itself.transaction() as tx:
        key = audit_chain.key(tx.db, here.keyring)
        entry = tx.db.execute(select(*audit_chain.COLUMNS).where(AuditEntry.id == entry_id)).one()
        made = audit_chain.hash_of(audit_chain.BEFORE_THE_FIRST, audit_chain.fields_of(entry))
        link = {"number": 1, "entry_id": entry_id, "hash": made}
        tx.db.execute(insert(AuditLink), link | {"mac": audit_chain.sign(key, 1, made)})


def test_an_inserted_link_is_found_however_well_it_is_computed(
    here: Installation, chain: Head, tamper: Tamper
) -> None:
    write(here, 1)
    forge(here, Head(11, b""), key=bytes(32))

    assert "not made by this installation" in finds(here, 11, "inserted")


def test_a_chain_that_was_made_anew_without_the_key_is_found(
    here: Installation, chain: Head, tamper: Tamper
) -> None:
    tamper(
        "UPDATE audit_entries SET principal = 'somebody' WHERE id = :id",
        "DELETE FROM audit_links WHERE number >= 4",
        id=entry_of(here, 4),
    )
    for number in range(4, 11):
        forge(here, Head(number, b""), key=b"guessed".ljust(32))

    assert finds(here, 4, "inserted")


def forge(here: Installation, place: Head, key: bytes) -> None:
    """A link with a right hash, but without the key for its signature."""
    with here.itself.transaction() as tx:
        previous = audit_chain.head(tx.db)
        entry = tx.db.execute(
            select(*audit_chain.COLUMNS)
            .outerjoin(AuditLink, AuditLink.entry_id == AuditEntry.id)
            .where(AuditLink.number.is_(None))
            .order_by(AuditEntry.at, AuditEntry.id)
            .limit(1)
        ).one()
        made = audit_chain.hash_of(previous.hash, audit_chain.fields_of(entry))
        link = {"number": place.number, "entry_id": entry.id, "hash": made}
        tx.db.execute(insert(AuditLink), link | {"mac": audit_chain.sign(key, place.number, made)})


def test_a_changed_hash_is_found(here: Installation, chain: Head, tamper: Tamper) -> None:
    tamper("UPDATE audit_links SET hash = :hash WHERE number = 4", hash=bytes(32))

    assert "The hash of link 4 was changed" in finds(here, 4, "changed")


def test_an_end_that_was_cut_off_is_found_by_a_head_that_was_noted(
    here: Installation, chain: Head, tamper: Tamper
) -> None:
    lost = [entry_of(here, number) for number in (9, 10)]

    tamper(
        "DELETE FROM audit_links WHERE number > 8",
        f"DELETE FROM audit_entries WHERE id IN ('{lost[0]}', '{lost[1]}')",
    )

    assert verify(here).broken is None  # as long as nobody noted the head
    assert "cut at its end" in finds(here, 9, "removed", chain)


def test_an_end_that_was_cut_off_and_grew_again_is_found_by_a_head_that_was_noted(
    here: Installation, chain: Head, tamper: Tamper, linker: Linker
) -> None:
    lost = entry_of(here, 10)
    tamper(
        "DELETE FROM audit_links WHERE number = 10", "DELETE FROM audit_entries WHERE id = :id",
        id=lost,
    )  # fmt: skip
    write(here, 3)
    Linker(here).tick()

    assert verify(here).broken is None
    assert "made anew" in finds(here, 10, "changed", chain)


def test_a_linker_says_when_links_that_it_knew_are_gone(
    here: Installation, chain: Head, tamper: Tamper, linker: Linker,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    tamper("DELETE FROM audit_links WHERE number = 10")

    linker.tick()

    said = capsys.readouterr()
    assert "audit_chain_was_cut" in said.out + said.err
    assert verify(here).broken is None  # the entry was still there


def test_many_linkers_at_once_make_one_chain(here: Installation) -> None:
    linkers = [Linker(here) for _ in range(4)]
    stop = threading.Event()

    def go_on(linker: Linker) -> None:
        while not stop.is_set():
            linker.tick()

    with ThreadPoolExecutor(8) as pool:
        ticking = [pool.submit(go_on, linker) for linker in linkers]
        for written in [pool.submit(write, here, 25) for _ in range(12)]:
            written.result()
        stop.set()
        for done in ticking:
            done.result()
    for _ in range(3):
        linkers[0].tick()

    found = verify(here)
    assert (found.broken, found.unlinked, found.verified) == (None, 0, entries(here))


def test_a_linker_that_dies_before_its_commit_destroys_all(
    here: Installation, chain: Head, linker: Linker
) -> None:
    write(here, 5)
    with pytest.raises(KeyboardInterrupt):
        link_and_die(here)

    assert head(here) == chain
    linker.tick()
    assert verify(here).verified == 15


def link_and_die(here: Installation) -> None:
    with here.itself.transaction() as tx:
        key = audit_chain.key(tx.db, here.keyring)
        assert audit_chain.link_recent(tx.db, key, timedelta(minutes=1)).count == 5
        raise KeyboardInterrupt


def test_an_entry_that_was_committed_long_after_it_was_made_is_linked(
    here: Installation, chain: Head
) -> None:
    with here.itself.transaction() as tx:
        old(tx.db, timedelta(hours=3))

    Linker(here).tick()

    assert verify(here).unlinked == 0


def test_a_patrol_over_many_old_entries_ends_with_all_of_them_linked(here: Installation) -> None:
    with here.itself.transaction() as tx:
        for _ in range(2500):
            old(tx.db, timedelta(days=3))
    linker = Linker(here)

    for _ in range(4):
        linker.tick()

    found = verify(here)
    assert (found.broken, found.unlinked) == (None, 0)


def old(db: Session, age: timedelta) -> None:
    row = {"principal": "me", "action": "a", "object": "o", "detail": {}}
    statement = insert(AuditEntry).values(at=now(-age), **{n: bindparam(n) for n in row})
    db.connection().execute(statement, row)


def test_the_audit_log_says_which_of_two_of_one_name_it_was(here: Installation) -> None:
    from dataclasses import replace  # noqa: PLC0415

    impostor = replace(SYSTEM, name="administrator", token_id="tok_other")
    with Caller(here, impostor).transaction() as tx:
        audit.record(tx, "thing.do", "x")

    with here.itself.reading() as tx:
        found = audit.find_all(tx, audit.Filter(principal="tok_other")).items
        assert [row.entry.principal for row in found] == ["administrator"]
