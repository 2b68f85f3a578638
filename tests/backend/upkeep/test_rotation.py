"""A rotation wraps everything with the new key, whatever happens at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update

from backend.config import Settings
from backend.errors import Conflict, Unreadable
from backend.models import AuditEntry, Base, Canary, StateVersion, Variable
from backend.sealing import bindings, crypto, keyring_file, sealed
from backend.sealing.keyring import Keyring
from backend.transactions import Installation
from backend.upkeep import installation, rotation
from backend.upkeep.rotation import Rewrapper, Rotation
from tests.support.sealed_things import (
    EVERYTHING,
    SMALL,
    TABLES,
    add_version,
    fill,
    opened,
    rewrap_all,
    rotate,
    settle,
)


@pytest.fixture
def here(here: Installation) -> Installation:
    """An installation with one of everything that is sealed."""
    fill(here)
    return here


@pytest.fixture
def elsewhere(here: Installation) -> Iterator[Installation]:
    """The same installation in another process."""
    made = installation.existing(here.settings)
    yield made
    made.database.close()


def left(here: Installation) -> list[str]:
    """The tables that have something under another key than the current one."""
    with here.itself.reading() as tx:
        return sorted(set(rotation.left(tx.db, here.keyring)) & set(TABLES))


def test_a_rotation_brings_everything_under_the_new_key(here: Installation) -> None:
    old = here.keyring.current
    new = rotate(here)
    assert left(here) == TABLES

    done = rewrap_all(here)

    assert (left(here), done.unopened) == ([], {})
    assert opened(here, Keyring({new: here.keyring.keys[new]})) == EVERYTHING
    with here.itself.reading() as tx:
        found = rotation.counts(tx.db)
    assert old not in found
    assert found[new]["state_versions"] == 2  # the removed one has no key


def test_every_table_that_holds_something_sealed_is_looked_at() -> None:
    sealing = {"sealed", "wrapped_key", "secret", "value"}
    holding = {name for name, table in Base.metadata.tables.items() if sealing & {*table.c.keys()}}

    assert {shelf.name for shelf in sealed.SHELVES} == holding


def test_a_rotation_is_in_the_audit_log(here: Installation) -> None:
    new = rotate(here)

    with here.itself.reading() as tx:
        entry = tx.db.scalars(select(AuditEntry).where(AuditEntry.object == new)).one()
    assert (entry.action, entry.principal) == ("keyring.activate", "stateroom")


def test_another_process_follows_a_rotation(here: Installation, elsewhere: Installation) -> None:
    new = rotate(here)
    assert elsewhere.keyring.current != new

    Rotation(elsewhere).follow()

    assert elsewhere.keyring.current == new


def test_a_key_that_was_only_added_seals_nothing(here: Installation) -> None:
    old = here.keyring.current
    keyring_file.add(here.settings.keyring_path)

    duty = Rotation(here)
    while duty() == 0:
        pass

    assert here.keyring.current == old
    assert left(here) == []


def test_who_slept_through_a_rotation_does_not_wrap_with_the_old_key_again(
    here: Installation, elsewhere: Installation
) -> None:
    rotate(here)
    rewrap_all(here)

    rewrap_all(elsewhere)

    assert left(here) == []
    assert elsewhere.keyring.current == here.keyring.current


def test_a_rewrapping_that_ended_half_way_is_taken_up(here: Installation) -> None:
    rotate(here)
    half = Rewrapper(here.database, here.keyring)
    for _ in range(5):
        half.step()
    assert 0 < len(left(here)) < len(TABLES)

    rewrap_all(here)

    assert left(here) == []


def test_several_rewrap_at_once(here: Installation, elsewhere: Installation) -> None:
    with here.itself.transaction() as tx:
        for number in range(4, 1200):
            add_version(here, tx.db, number, SMALL)
    rotate(here)

    with ThreadPoolExecutor() as pool:
        done = list(pool.map(rewrap_all, [here, elsewhere, here]))

    assert left(here) == []
    assert [one.unopened for one in done] == [{}, {}, {}]
    assert len(opened(here, here.keyring)) == len(EVERYTHING) + 1196


def test_two_rotations_at_once_keep_both_keys_and_one_of_them_seals(
    here: Installation, elsewhere: Installation
) -> None:
    together = threading.Barrier(2)

    def rotate_together(one: Installation) -> str:
        together.wait()
        return rotate(one)

    with ThreadPoolExecutor() as pool:
        keys = list(pool.map(rotate_together, [here, elsewhere]))
    rewrap_all(here)

    assert {*Keyring.load(here.settings.keyring_path).keys} >= {*keys}
    assert here.keyring.current in keys
    assert left(here) == []
    assert opened(here, here.keyring) == EVERYTHING


def test_a_value_that_was_changed_meanwhile_stays_changed(here: Installation) -> None:
    shelf = next(shelf for shelf in sealed.SHELVES if shelf.name == "variables")
    with here.itself.reading() as tx:
        found, *_ = shelf.after(tx.db, None, 10)
    rotate(here)
    changed = crypto.seal_value(here.keyring, b"changed", bindings.variable("v"))
    with here.itself.transaction() as tx:
        tx.db.execute(update(Variable).where(Variable.id == "v").values(value=changed))

    with here.itself.transaction() as tx:
        shelf.rewrap(tx.db, here.keyring, [found.place])

    with here.itself.reading() as tx:
        assert tx.db.get_one(Variable, "v").value == changed


def test_what_does_not_open_is_left_as_it_is_and_named(here: Installation) -> None:
    with here.itself.transaction() as tx:
        tx.db.get_one(StateVersion, "sv000001").wrapped_key = b"\0" * 60
        tx.db.get_one(Variable, "v").value = b"nothing that we know"
    rotate(here)

    done = rewrap_all(here)

    assert set(done.unopened) == {("state_versions", "sv000001"), ("variables", "v")}
    assert left(here) == ["state_versions", "variables"]
    with here.itself.reading() as tx:
        assert tx.db.get_one(StateVersion, "sv000001").wrapped_key == b"\0" * 60


def test_a_key_is_dropped_when_nothing_needs_it(here: Installation) -> None:
    old = here.keyring.current
    rotate(here)
    rewrap_all(here)
    settle(here)

    rotation.drop(here.itself, old)

    keyring = Keyring.load(here.settings.keyring_path)
    assert old not in keyring.keys
    assert opened(here, keyring) == EVERYTHING


def test_a_key_that_something_needs_is_not_dropped(here: Installation) -> None:
    old, new = here.keyring.current, rotate(here)
    settle(here)

    with pytest.raises(Conflict, match="2 of state_versions") as caught:
        rotation.drop(here.itself, old)
    with pytest.raises(Conflict, match="seals"):
        rotation.drop(here.itself, new)

    assert caught.value.code == "key-needed"
    assert {old, new} <= {*Keyring.load(here.settings.keyring_path).keys}


def test_a_key_that_somebody_may_still_seal_with_is_not_dropped(here: Installation) -> None:
    old = here.keyring.current
    rotate(here)
    rewrap_all(here)

    with pytest.raises(Conflict, match="Drop it later"):
        rotation.drop(here.itself, old)

    assert old in Keyring.load(here.settings.keyring_path).keys


def test_a_machine_without_the_new_key_says_so_at_its_start_and_at_work(
    here: Installation, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.write_bytes(here.settings.keyring_path.read_bytes())
    of_another_machine = Keyring.load(copy, forbidden_mode=0)
    old, _ = of_another_machine.current, rotate(here)

    with pytest.raises(Unreadable) as caught:
        Rotation(replace(here, keyring=of_another_machine)).follow()
    with pytest.raises(installation.NotReady, match="does not open this database"):
        installation.prepare(here.settings.model_copy(update={"keyring_file": copy}))

    assert caught.value.code == "unknown-key"
    assert of_another_machine.current == old


def test_an_installation_of_before_goes_on_with_the_first_key_of_its_file(
    settings: Settings,
) -> None:
    here = installation.prepare(settings)
    new = keyring_file.new_line(here.keyring.keys)
    settings.keyring_path.write_text(new + settings.keyring_path.read_text())  # by hand
    with here.itself.transaction() as tx:
        old = crypto.seal_value(here.keyring, b"stateroom", bindings.CANARY)
        tx.db.execute(update(Canary).values(sealed=old))
    here.database.close()

    again = installation.prepare(settings)

    assert again.keyring.current == new.split()[0]
    again.database.close()
