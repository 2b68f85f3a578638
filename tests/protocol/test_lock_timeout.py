"""Rule 10 of the protocol: a lock ends by the clock only where a workspace, or a hold, says so."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.support.documents import lock_info, state_document
from tests.support.keeper import Keeper
from tests.support.parallel import all_at_once
from tests.support.place import Place

CLIENTS = 50


@pytest.fixture
def keeper(place: Place) -> Keeper:
    return Keeper(place)


def test_the_next_lock_takes_over_from_a_client_that_was_silent_for_too_long(
    place: Place, keeper: Keeper
) -> None:
    keeper.set_lock_timeout(60)
    late, following = lock_info(), lock_info()
    place.state.lock(late)
    keeper.let_seconds_pass(61)

    taken = place.state.lock(following)

    assert taken.status == 200
    lock = keeper.lock()
    assert (lock["lock_id"], lock["taken_from"]) == (following["ID"], late["ID"])
    assert ("lock.take_over", following["ID"]) in place.audited("lock_id")
    assert ("lock.take_over", late["ID"]) in place.audited("taken_from")
    assert ("lock.take_over", "administrator") in place.audited("late_holder")


def test_the_late_holders_write_is_refused_and_rescued(place: Place, keeper: Keeper) -> None:
    keeper.set_lock_timeout(60)
    late, following = lock_info(), lock_info()
    place.state.lock(late)
    keeper.let_seconds_pass(61)
    place.state.lock(following)

    refused = place.state.write(state_document(), late["ID"])

    assert (refused.status, refused.json()["code"]) == (409, "lock-taken-over")
    assert refused.json()["holder"]["ID"] == following["ID"]
    assert [kept["reason"] for kept in keeper.rescued()] == ["lock-taken-over"]
    assert place.versions() == []


def test_the_late_holders_unlock_is_refused_with_the_present_holder(
    place: Place, keeper: Keeper
) -> None:
    keeper.set_lock_timeout(60)
    late, following = lock_info(), lock_info()
    place.state.lock(late)
    keeper.let_seconds_pass(61)
    place.state.lock(following)

    refused = place.state.unlock(late)

    assert refused.status == 409
    assert refused.json()["holder"]["ID"] == following["ID"]
    assert place.is_locked()


def test_a_late_write_is_refused_after_the_next_holder_is_gone_too(
    place: Place, keeper: Keeper
) -> None:
    keeper.set_lock_timeout(60)
    late, following = lock_info(), lock_info()
    place.state.lock(late)
    keeper.let_seconds_pass(61)
    place.state.lock(following)
    place.state.unlock(following)

    refused = place.state.write(state_document(), late["ID"])

    assert (refused.status, refused.json()["code"]) == (409, "lock-taken-over")


def test_the_next_holder_writes_and_unlocks_as_ever(place: Place, keeper: Keeper) -> None:
    keeper.set_lock_timeout(60)
    late, following = lock_info(), lock_info()
    place.state.lock(late)
    place.state.write(state_document(1, lineage="a"), late["ID"])
    keeper.let_seconds_pass(61)

    answers = [
        place.state.lock(following),
        place.state.write(state_document(2, lineage="a"), following["ID"]),
        place.state.unlock(following),
    ]

    assert [answer.status for answer in answers] == [200, 200, 200]
    assert [version["lock_id"] for version in place.versions()] == [following["ID"], late["ID"]]


def test_a_write_of_a_stranger_is_locked_out_after_a_take_over(
    place: Place, keeper: Keeper
) -> None:
    keeper.set_lock_timeout(60)
    following = lock_info()
    place.state.lock(lock_info())
    keeper.let_seconds_pass(61)
    place.state.lock(following)

    refused = place.state.write(state_document(), "of-nobody")

    assert (refused.status, refused.json()["ID"]) == (423, following["ID"])


def test_a_holder_who_was_heard_of_in_time_keeps_the_lock(place: Place, keeper: Keeper) -> None:
    keeper.set_lock_timeout(60)
    info = lock_info()
    place.state.lock(info)
    keeper.let_seconds_pass(50)
    place.state.write(state_document(), info["ID"])
    keeper.let_seconds_pass(50)

    assert place.state.lock(lock_info()).status == 423


def test_a_holder_who_locks_again_is_heard_of(place: Place, keeper: Keeper) -> None:
    keeper.set_lock_timeout(60)
    info = lock_info()
    place.state.lock(info)
    keeper.let_seconds_pass(61)

    repeated = place.state.lock(info)

    assert repeated.status == 200
    assert place.state.lock(lock_info()).status == 423
    assert keeper.lock()["taken_from"] is None


def test_without_a_timeout_a_lock_stays_for_ever(place: Place, keeper: Keeper) -> None:
    place.state.lock(lock_info())
    keeper.let_seconds_pass(10_000_000)

    assert place.state.lock(lock_info()).status == 423


def test_the_longest_timeout_is_counted_right(place: Place, keeper: Keeper) -> None:
    keeper.set_lock_timeout(2_592_000)  # in milliseconds it is more than 32 bits hold
    place.state.lock(lock_info())
    keeper.let_seconds_pass(2_591_000)
    assert place.state.lock(lock_info()).status == 423

    keeper.let_seconds_pass(1_001)

    assert place.state.lock(lock_info()).status == 200


def test_the_clients_clock_counts_for_nothing(place: Place, keeper: Keeper) -> None:
    keeper.set_lock_timeout(60)
    place.state.lock(lock_info() | {"Created": "2001-01-01T00:00:00Z"})

    assert place.state.lock(lock_info()).status == 423


def test_a_refused_take_over_leaves_the_lock_with_its_holder(place: Place, keeper: Keeper) -> None:
    keeper.set_lock_timeout(60)
    info = lock_info()
    place.state.lock(info)
    keeper.let_seconds_pass(61)
    keeper.freeze()

    refused = place.state.lock(lock_info())

    assert refused.json()["ID"] == "workspace-frozen"
    assert place.state.write(state_document(), info["ID"]).status == 200


def test_a_hold_by_hand_keeps_everybody_out_and_says_why(place: Place, keeper: Keeper) -> None:
    held = keeper.hold(30, "we look at it by hand")

    refused = place.state.lock(lock_info())
    written = place.state.write(state_document(), held["lock_id"])

    assert refused.status == 423
    assert refused.json()["ID"].startswith("held-by-administrator-")
    assert "we look at it by hand (until " in refused.json()["Info"]
    assert refused.json().keys() == {"ID", "Operation", "Info", "Who", "Created"}
    assert written.status == 423


def test_a_hold_is_never_silent_for_too_long(place: Place, keeper: Keeper) -> None:
    keeper.set_lock_timeout(60)
    keeper.hold(30)
    keeper.let_seconds_pass(1000)

    assert place.state.lock(lock_info()).status == 423


def test_the_first_lock_after_the_end_of_a_hold_goes_through(place: Place, keeper: Keeper) -> None:
    held = keeper.hold(30)
    keeper.let_seconds_pass(1801)

    locked = place.state.lock(lock_info())

    assert locked.status == 200
    assert ("lock.take_over", held["lock_id"]) in place.audited("taken_from")
    assert ("lock.take_over", "expired") in place.audited("because")


def test_the_first_write_after_the_end_of_a_hold_goes_through(place: Place, keeper: Keeper) -> None:
    held = keeper.hold(30)
    keeper.let_seconds_pass(1801)

    written = place.state.write(state_document())

    assert written.status == 200
    assert ("lock.expire", held["lock_id"]) in place.audited("lock_id")
    assert not place.is_locked()


def test_of_50_parallel_locks_on_a_silent_one_exactly_one_wins(served_place: Place) -> None:
    keeper = Keeper(served_place)
    keeper.set_lock_timeout(60)
    late = lock_info()
    served_place.state.lock(late)
    keeper.let_seconds_pass(61)
    infos = [lock_info() for _ in range(CLIENTS)]

    answers = all_at_once([lambda info=info: served_place.state.lock(info) for info in infos])  # type: ignore[misc]

    assert Counter(answer.status for answer in answers) == {200: 1, 423: CLIENTS - 1}
    winner = next(info for info, a in zip(infos, answers, strict=True) if a.status == 200)
    assert {a.json()["ID"] for a in answers if a.status == 423} == {winner["ID"]}
    takings = [what for what, _ in served_place.audited("taken_from") if what == "lock.take_over"]
    assert takings == ["lock.take_over"]
    assert keeper.lock()["taken_from"] == late["ID"]


def test_of_50_parallel_locks_after_a_hold_exactly_one_wins(served_place: Place) -> None:
    keeper = Keeper(served_place)
    keeper.hold(30)
    keeper.let_seconds_pass(1801)
    infos = [lock_info() for _ in range(CLIENTS)]

    answers = all_at_once([lambda info=info: served_place.state.lock(info) for info in infos])  # type: ignore[misc]

    assert Counter(answer.status for answer in answers) == {200: 1, 423: CLIENTS - 1}
