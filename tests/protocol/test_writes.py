"""Rules 1, 4, 6 and 7 of the protocol: what is written is what is read, once, under its lock."""

from __future__ import annotations

import json

import pytest

from tests.support.documents import encrypted_document, lock_info, md5_of, state_document
from tests.support.place import Place

ODD_BYTES = {
    "whitespace": b'\n{"version":4,\t"serial" : 1,\r\n "lineage":"a" ,"outputs":{}}\n\n ',
    "key order": b'{"outputs":{},"lineage":"a","serial":1,"version":4}',
    "escapes": b'{"version":4,"serial":1,"lineage":"\\u0061","outputs":{"\\/":"\\ud83d\\ude00"}}',
    "utf-8": '{"version":4,"serial":1,"lineage":"a","outputs":{"ключ":"値"}}'.encode(),
    "numbers": b'{"version":4,"serial":1,"lineage":"a","x":1.0e+400,"y":-0.0,"z":123456789012345678901}',
    "doubles": b'{"version":4,"serial":1,"lineage":"a","x":1,"x":2}',
    "deep": b'{"version":4,"serial":1,"lineage":"a","x":' + b"[" * 200 + b"]" * 200 + b"}",
}


def test_what_is_written_is_what_is_read(place: Place) -> None:
    body, info = state_document(), lock_info()
    place.state.lock(info)

    written = place.state.write(body, info["ID"])
    read = place.state.read()

    assert written.status == 200
    assert (read.status, read.body) == (200, body)
    assert read.headers["content-md5"] == md5_of(body)
    assert read.headers["content-type"].startswith("application/json")


def test_put_writes_as_post_does(place: Place) -> None:
    body, info = state_document(), lock_info()
    place.state.lock(info)

    written = place.state.write(body, info["ID"], verb="PUT")

    assert written.status == 200
    assert place.state.read().body == body


@pytest.mark.parametrize("body", ODD_BYTES.values(), ids=ODD_BYTES.keys())
def test_bytes_come_back_as_they_were_written(place: Place, body: bytes) -> None:
    written = place.state.write(body)

    assert written.status == 200
    assert place.state.read().body == body


def test_a_large_state_comes_back_as_it_was_written(place: Place) -> None:
    body = state_document(size=3_000_000)

    written = place.state.write(body)
    read = place.state.read()

    assert written.status == 200
    assert read.body == body
    assert read.headers["content-length"] == str(len(body))
    assert read.headers["content-md5"] == md5_of(body)


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


def test_a_write_without_the_lock_of_somebody_is_refused_with_the_holder(place: Place) -> None:
    held = lock_info()
    before = state_document(1, lineage="a")
    place.state.write(before)
    place.state.lock(held)

    refused = place.state.write(state_document(2, lineage="a"))

    assert refused.status == 423
    assert refused.json()["ID"] == held["ID"]
    assert place.state.read().body == before


def test_a_write_with_another_id_than_the_holders_is_refused(place: Place) -> None:
    place.state.lock(lock_info())

    refused = place.state.write(state_document(), lock_info()["ID"])

    assert refused.status == 423
    assert place.state.read().status == 404


def test_a_write_without_any_lock_is_accepted_and_recorded_as_such(place: Place) -> None:
    accepted = place.state.write(state_document())

    assert accepted.status == 200
    assert place.versions()[0]["lock_id"] is None


def test_a_write_under_a_lock_is_recorded_with_it(place: Place) -> None:
    info = lock_info()
    place.state.lock(info)

    place.state.write(state_document(), info["ID"])

    assert place.versions()[0]["lock_id"] == info["ID"]


def test_a_late_write_is_accepted_when_nobody_locked_or_wrote_since(place: Place) -> None:
    info = lock_info()
    place.state.lock(info)
    place.state.unlock(info)

    late = place.state.write(state_document(), info["ID"])

    assert late.status == 200


def test_a_late_write_is_refused_when_somebody_locked_since(place: Place) -> None:
    first, second = lock_info(), lock_info()
    place.state.lock(first)
    place.state.unlock(first)
    place.state.lock(second)
    place.state.unlock(second)

    late = place.state.write(state_document(), first["ID"])

    assert late.status == 409
    assert place.state.read().status == 404


def test_a_late_write_is_refused_when_somebody_wrote_since(place: Place) -> None:
    info = lock_info()
    place.state.lock(info)
    place.state.unlock(info)
    newer = state_document(1, lineage="a")
    place.state.write(newer)

    late = place.state.write(state_document(2, lineage="a"), info["ID"])

    assert late.status == 409
    assert place.state.read().body == newer


def test_an_id_that_never_held_the_lock_writes_nothing(place: Place) -> None:
    refused = place.state.write(state_document(), lock_info()["ID"])

    assert refused.status == 409
    assert place.state.read().status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  \n",
        b"not json",
        state_document()[:-20],
        b'{"version": 4, "serial": 1,',
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"hello": "world"}',
        b'{"version":4,"serial":1,"lineage":"a"} trailing',
        b'{"version":4,"serial":"one","lineage":"a"}',
        b'{"version":4,"serial":-1,"lineage":"a"}',
        b'{"version":4,"serial":1,"lineage":"\xff"}',
    ],
)
def test_a_body_that_is_no_state_is_refused_and_changes_nothing(place: Place, body: bytes) -> None:
    before = state_document()
    place.state.write(before)

    refused = place.state.write(body)

    assert refused.status == 400
    assert refused.json()["detail"]
    assert place.state.read().body == before
    assert len(place.versions()) == 1


def test_a_body_that_was_changed_on_its_way_is_refused(place: Place) -> None:
    refused = place.state.send(
        "POST", state_document(), headers={"Content-MD5": md5_of(b"something else")}
    )

    assert refused.status == 400
    assert place.state.read().status == 404


def test_a_content_md5_that_is_no_base64_is_refused(place: Place) -> None:
    refused = place.state.send("POST", state_document(), headers={"Content-MD5": "*"})

    assert refused.status == 400


def test_a_write_without_content_md5_is_accepted(place: Place) -> None:
    body = state_document()

    accepted = place.state.send_chunked("POST", [body[:10], body[10:]], {})

    assert accepted.status == 200
    assert place.state.read().body == body


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


def test_the_id_in_the_query_does_not_get_into_the_state(place: Place) -> None:
    info = lock_info()
    place.state.lock(info)

    place.state.write(state_document(), info["ID"])

    assert "ID" not in json.loads(place.state.read().body)
