"""Rules 5 and 10 of the protocol: who may break a lock, and what is recorded of it.

The rules that every client can see are in client/conformance; here is what looks inside.
"""

from __future__ import annotations

import json

import pytest

from tests.support.documents import lock_info
from tests.support.place import Place


def test_a_force_unlock_needs_its_own_permission(place: Place) -> None:
    place.state.lock(lock_info())
    writer = place.with_scopes("state:read", "state:write")

    refused = writer.send_chunked("UNLOCK", [], {})

    assert refused.status == 403
    assert place.state.lock(lock_info()).status == 423


def test_a_force_unlock_is_in_the_audit_log(place: Place) -> None:
    held = lock_info()
    place.state.lock(held)

    place.state.send_chunked("UNLOCK", [], {})

    assert ("lock.break", held["ID"]) in place.audited("lock_id")


@pytest.mark.parametrize("letter", ["\0", "\x1b", "\n", "\x7f", "\x9b", "\u202e"])
def test_an_id_with_a_control_character_is_refused(place: Place, letter: str) -> None:
    refused = place.state.lock(lock_info() | {"ID": f"a{letter}[31mb"})

    assert refused.status == 400
    assert b"control characters" in refused.body
    assert not place.is_locked()


def test_what_a_holder_said_does_nothing_to_the_terminal_of_who_is_refused(place: Place) -> None:
    title = "\x1b]0;owned\x07"
    place.state.lock(lock_info() | {"Who": title, "Info": title, "Path": title})

    refused = json.loads(place.state.lock(lock_info()).body)

    assert all(refused[name] == r"\x1b]0;owned\x07" for name in ("Who", "Info", "Path"))


def test_a_plan_of_one_workspace_does_not_lock_another(place: Place) -> None:
    other = place.another_workspace()
    place.state.lock(lock_info())

    locked = other.lock(lock_info())

    assert locked.status == 200


def test_the_id_that_everybody_sees_unlocks_for_its_holder_alone(place: Place) -> None:
    held = lock_info()
    place.state.lock(held)
    writer = place.with_scopes("state:read", "state:write")
    breaker = place.with_scopes("state:read", "state:write", "state:unlock")

    refused = writer.unlock(held)
    still_held = place.is_locked()
    broken = breaker.unlock(held)  # as tofu's force-unlock asks

    assert (refused.status, still_held) == (403, True)
    assert (broken.status, place.is_locked()) == (200, False)
    assert ("lock.break", held["ID"]) in place.audited("lock_id")
