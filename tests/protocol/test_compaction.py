"""Rule 14 of the protocol: of one lock's versions the first and the last stay."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.documents import lock_info, state_document
from tests.support.place import Place

STATES = "/projects/{project}/workspaces/{workspace}/states"


def apply(place: Place, *serials: int) -> dict[str, str]:
    """A long apply: it writes several times under one lock, which is left held."""
    info = lock_info()
    assert place.state.lock(info).status == 200
    for serial in serials:
        assert place.state.write(state_document(serial, lineage="a"), info["ID"]).status == 200
    return info


def numbers(place: Place) -> list[int]:
    return [version["number"] for version in place.versions()]


def history(place: Place) -> list[tuple[int, str | None]]:
    items: list[dict[str, Any]] = place.api.get(place.filled(STATES), removed="true")["items"]
    return [(item["number"], item["removed_because"]) for item in items]


def test_a_released_lock_leaves_the_first_and_the_last_version(place: Place) -> None:
    info = apply(place, 1, 2, 3, 4)
    assert numbers(place) == [4, 3, 2, 1]

    place.state.unlock(info)

    assert numbers(place) == [4, 1]
    gone = "compaction"
    assert history(place) == [(4, None), (3, gone), (2, gone), (1, None)]
    assert ("state.compact", 2) in place.audited("removed")


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_short_apply_loses_nothing(place: Place, writes: int) -> None:
    place.state.unlock(apply(place, *range(1, writes + 1)))

    assert len(numbers(place)) == writes
    assert "state.compact" not in [action for action, _ in place.audited("removed")]


def test_the_versions_of_other_locks_and_of_none_stay(place: Place) -> None:
    place.state.unlock(apply(place, 1, 2, 3))
    place.state.write(state_document(4, lineage="a"))
    place.state.write(state_document(5, lineage="a"))

    place.state.unlock(apply(place, 6, 7, 8, 9))

    assert numbers(place) == [9, 6, 5, 4, 3, 1]


def test_a_pinned_version_in_the_middle_stays(place: Place) -> None:
    info = apply(place, 1, 2, 3, 4)
    place.api.patch(f"{place.filled(STATES)}/2", pinned=True)

    place.state.unlock(info)

    assert numbers(place) == [4, 2, 1]


@pytest.mark.parametrize("way", ["by a person", "by terraform"])
def test_a_broken_lock_is_compacted_too(place: Place, way: str) -> None:
    apply(place, 1, 2, 3)

    if way == "by a person":
        place.api.delete(place.filled("/projects/{project}/workspaces/{workspace}/lock?reason=x"))
    else:
        place.state.send_chunked("UNLOCK", [], {})

    assert numbers(place) == [3, 1]


def test_an_unlock_that_is_repeated_changes_nothing(place: Place) -> None:
    info = apply(place, 1, 2, 3)

    answers = [place.state.unlock(info).status for _ in range(2)]

    assert answers == [200, 200]
    assert numbers(place) == [3, 1]


def test_the_numbers_go_on_after_a_compaction(place: Place) -> None:
    place.state.unlock(apply(place, 1, 2, 3))

    place.state.write(state_document(4, lineage="a"))

    assert numbers(place) == [4, 3, 1]
    assert place.state.read().body == state_document(4, lineage="a")
