"""What people do with terraform and tofu at a state of ours."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

from tests.support.documents import lock_info, state_document
from tests.support.installations import Installations
from tests.support.place import Place
from tests.support.tools import Checkout


def serial_of(document: str) -> int:
    serial: int = json.loads(document)["serial"]
    return serial


def test_apply_change_and_destroy_each_make_a_version(checkout: Checkout, place: Place) -> None:
    checkout.apply()
    checkout.apply("-var", "greeting=changed")
    changed = place.state.read().json()
    checkout.must("destroy", "-auto-approve", "-input=false")

    assert changed["outputs"]["greeting"]["value"] == "changed"
    assert place.state.read().json()["resources"] == []
    numbers = [version["number"] for version in place.versions()]
    assert numbers == list(range(len(numbers), 0, -1))
    assert len(numbers) >= 3
    assert {version["operation"] for version in place.versions()} == {"OperationTypeApply"}
    assert not place.is_locked()


def test_the_same_apply_works_on_postgresql(
    new_checkout: Callable[..., Checkout], installations: Installations
) -> None:
    place = installations.place("postgresql")
    folder = new_checkout()
    folder.connect(place.state)
    folder.init()

    folder.apply()

    assert place.state.read().json()["outputs"]["greeting"]["value"] == "hello"
    assert not place.is_locked()


def test_a_plan_with_nothing_to_change_writes_nothing(checkout: Checkout, place: Place) -> None:
    checkout.apply()
    before = place.versions()

    done = checkout.run("plan", "-detailed-exitcode", "-input=false")

    assert done.returncode == 0, done.stdout + done.stderr
    assert place.versions() == before
    assert not place.is_locked()


def test_an_apply_without_locks_is_recorded_as_such(checkout: Checkout, place: Place) -> None:
    checkout.apply("-lock=false")

    assert {version["lock_id"] for version in place.versions()} == {None}


def test_a_configuration_without_lock_addresses_never_locks(
    new_checkout: Callable[..., Checkout], place: Place
) -> None:
    folder = new_checkout()
    folder.connect(place.state, locks=False)
    folder.init()

    folder.apply()

    assert {version["lock_id"] for version in place.versions()} == {None}


def test_an_apply_without_locks_is_refused_under_the_lock_of_another(
    checkout: Checkout, place: Place
) -> None:
    place.state.lock(lock_info())

    done = checkout.run("apply", "-auto-approve", "-input=false", "-lock=false")

    assert done.returncode == 1
    assert checkout.errored_state()["outputs"]["greeting"]["value"] == "hello"
    assert place.versions() == []


def test_state_pull_prints_what_is_stored(checkout: Checkout, place: Place) -> None:
    checkout.apply()

    pulled = checkout.must("state", "pull")

    assert json.loads(pulled) == place.state.read().json()


def test_state_push_stores_what_is_pushed(checkout: Checkout, place: Place) -> None:
    checkout.apply()
    document = place.state.read().json()
    document["serial"] += 10
    document["outputs"]["greeting"]["value"] = "pushed"
    checkout.write("pushed.tfstate", json.dumps(document))

    checkout.must("state", "push", "pushed.tfstate")

    stored = place.state.read().json()
    assert stored["outputs"]["greeting"]["value"] == "pushed"
    assert stored["serial"] > document["serial"] - 10
    assert stored["lineage"] == document["lineage"]
    assert place.versions()[0]["forced"] is False
    assert not place.is_locked()


def test_state_push_of_a_foreign_state_needs_force(checkout: Checkout, place: Place) -> None:
    checkout.apply()
    before = place.state.read().body
    checkout.write("foreign.tfstate", state_document(1, outputs={"from": "afar"}).decode())

    refused = checkout.run("state", "push", "foreign.tfstate")
    unchanged = place.state.read().body
    checkout.must("state", "push", "-force", "foreign.tfstate")

    assert refused.returncode == 1
    assert unchanged == before
    assert place.state.read().json()["outputs"]["from"]["value"] == "afar"
    assert place.versions()[0]["forced"] is True
    assert not place.is_locked()


def test_force_unlock_frees_the_lock_of_another(checkout: Checkout, place: Place) -> None:
    held = lock_info()
    place.state.lock(held)

    checkout.must("force-unlock", "-force", held["ID"])

    assert not place.is_locked()


def test_init_takes_a_local_state_along(
    new_checkout: Callable[..., Checkout], place: Place
) -> None:
    folder = new_checkout()
    folder.init()
    folder.apply()
    before = json.loads((folder.folder / "terraform.tfstate").read_text())

    folder.connect(place.state)
    folder.must("init", "-input=false", "-migrate-state", "-force-copy")

    # terraform gives a migrated state a lineage and a serial of its own
    assert place.state.read().json()["resources"] == before["resources"]
    assert folder.run("plan", "-detailed-exitcode", "-input=false").returncode == 0
    assert not place.is_locked()


def test_the_same_state_opens_from_another_folder(
    checkout: Checkout, new_checkout: Callable[..., Checkout], place: Place
) -> None:
    checkout.apply()
    other = new_checkout("other")
    other.connect(place.state)
    other.init()

    done = other.run("plan", "-detailed-exitcode", "-input=false")

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_plan_under_the_lock_of_another_fails_and_shows_its_id(
    checkout: Checkout, place: Place
) -> None:
    held = lock_info()
    place.state.lock(held)

    done = checkout.run("plan", "-input=false")

    assert done.returncode == 1
    assert held["ID"] in done.stderr
    assert place.is_locked()


def test_a_plan_with_a_lock_timeout_waits_for_the_lock_of_another(
    checkout: Checkout, place: Place
) -> None:
    held = lock_info()
    place.state.lock(held)
    release = threading.Timer(1.5, lambda: place.state.unlock(held))
    release.start()

    done = checkout.run("plan", "-input=false", "-lock-timeout=30s")

    release.join()
    assert done.returncode == 0, done.stderr
    assert not place.is_locked()


def test_a_deleted_state_stops_terraform_before_it_creates_everything_again(
    checkout: Checkout, place: Place
) -> None:
    checkout.apply()
    place.state.delete()

    done = checkout.run("apply", "-auto-approve", "-input=false")

    assert done.returncode == 1
    assert "state-deleted" in done.stderr or "410" in done.stderr


def test_a_mistyped_address_stops_terraform(
    new_checkout: Callable[..., Checkout], place: Place
) -> None:
    folder = new_checkout()
    place.state.path += "-mistyped"
    folder.connect(place.state)

    done = folder.run("init", "-input=false")
    planned = folder.run("plan", "-input=false")

    assert (done.returncode, planned.returncode) == (1, 1)


def test_a_wrong_password_stops_terraform(checkout: Checkout, place: Place) -> None:
    checkout.apply()
    before = place.state.read().body
    checkout.environment["TF_HTTP_PASSWORD"] = "wrong"

    locked = checkout.run("apply", "-auto-approve", "-input=false", "-no-color")
    unlocked = checkout.run("plan", "-lock=false", "-input=false", "-no-color")

    assert (locked.returncode, unlocked.returncode) == (1, 1)
    assert "invalid auth" in unlocked.stderr or "requires auth" in unlocked.stderr
    assert place.state.read().body == before
