"""Rules 1, 4, 6 and 7 of the protocol: what is recorded of a write, and that it is one version.

The rules that every client can see are in client/conformance; here is what looks inside.
"""

from __future__ import annotations

from tests.support.documents import encrypted_document, lock_info, state_document
from tests.support.place import Place


def test_a_state_that_opentofu_encrypted_itself_is_welcome(place: Place) -> None:
    first = encrypted_document(1, lineage="a")
    second = encrypted_document(2, lineage="a", secret=b"other")

    written = [place.state.write(first), place.state.write(second)]

    assert [answer.status for answer in written] == [200, 200]
    assert place.state.read().body == second
    assert place.versions()[0]["serial"] == 2


def test_the_same_bytes_again_under_the_same_lock_make_no_second_version(place: Place) -> None:
    body, info = state_document(), lock_info()
    place.state.lock(info)
    place.state.write(body, info["ID"])

    repeated = place.state.write(body, info["ID"])

    assert repeated.status == 200
    assert len(place.versions()) == 1


def test_a_write_that_arrives_again_after_the_unlock_makes_no_second_version(place: Place) -> None:
    body, info = state_document(), lock_info()
    place.state.lock(info)
    place.state.write(body, info["ID"])
    place.state.unlock(info)

    repeated = place.state.write(body, info["ID"])

    assert repeated.status == 200
    assert len(place.versions()) == 1


def test_a_write_without_any_lock_is_accepted_and_recorded_as_such(place: Place) -> None:
    accepted = place.state.write(state_document())

    assert accepted.status == 200
    assert place.versions()[0]["lock_id"] is None


def test_a_write_under_a_lock_is_recorded_with_it(place: Place) -> None:
    info = lock_info()
    place.state.lock(info)

    place.state.write(state_document(), info["ID"])

    assert place.versions()[0]["lock_id"] == info["ID"]


def test_versions_are_numbered_without_gap_whatever_was_refused(place: Place) -> None:
    info = lock_info()
    place.state.lock(info)

    for serial in (1, 1, 5, 3, 9):
        place.state.write(
            state_document(serial, lineage="a", outputs={"n": str(serial)}), info["ID"]
        )
        place.state.write(b"not json", info["ID"])
        place.state.write(state_document(50, lineage="a"))

    assert [version["number"] for version in place.versions()] == [3, 2, 1]
