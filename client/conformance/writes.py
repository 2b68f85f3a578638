"""Checks of writes: a state is stored once, complete, byte for byte, and under its lock."""

from __future__ import annotations

import json

from client.conformance import expect
from client.conformance.check import Failed, Skipped
from client.conformance.diagnosis import NOBODY_ELSE
from client.conformance.documents import FORCED, encrypted_document, lock_info, state_document
from client.conformance.target import Blocked, Target
from client.conformance.wire import Answer, md5_of

ACCEPTED = (200, 201, 204)
ERRORED = "The apply is done, but its state is not saved: terraform leaves errored.tfstate behind."
OVERWRITTEN = "Two people write one state at the same time, and the changes of one are lost."
KEPT = "Let the proxy pass Content-MD5 unchanged; without one, the server does not check it."
HEAD = b'{"version":4,"serial":6,"lineage":"d0c70000-0000-4000-8000-5ca7c45ca7c4",'
ODD_BYTES = {
    "white space": b"\n" + HEAD.replace(b",", b" ,\r\n\t") + b'"outputs":{}}\n\n ',
    "keys in another order": b'{"outputs":{},' + HEAD[1:-1] + b"}",
    "escapes": HEAD + b'"outputs":{"\\/":"\\u0061\\ud83d\\ude00"}}',
    "letters beyond ASCII": HEAD + '"outputs":{"ключ":"値"}}'.encode(),
    "odd numbers": HEAD + b'"x":1.0e+400,"y":-0.0,"z":123456789012345678901}',
    "a key twice": HEAD + b'"x":1,"x":2}',
    "deep nesting": HEAD + b'"x":' + b"[" * 200 + b"]" * 200 + b"}",
}
NO_STATES = {
    "nothing": b"",
    "white space": b"  \n",
    "text": b"not json",
    "a state that is cut": state_document(6)[:-20],
    "a list": b"[]",
    "null": b"null",
    "an empty object": b"{}",
    "an object that is no state": b'{"hello": "world"}',
    "a state with something behind": state_document(6) + b"trailing",
    "a serial that is text": HEAD.replace(b"6", b'"six"', 1) + b'"outputs":{}}',
    "a negative serial": HEAD.replace(b"6", b"-1", 1) + b'"outputs":{}}',
    "broken UTF-8": HEAD + b'"outputs":{"x":"\xff"}}',
}


def a_write_under_the_lock_is_accepted(target: Target) -> None:
    info, body = target.locked(FORCED), state_document(6)

    _expect_accepted(target.write(body, info["ID"]), "A POST with the ID of the lock")

    _expect_stored(target, body)


def put_writes_as_post_does(target: Target) -> None:
    target.stored(5)
    info, body = target.locked(), state_document(6)

    _expect_accepted(target.write(body, info["ID"], verb="PUT"), 'update_method = "PUT"')

    _expect_stored(target, body)


def bytes_come_back_as_they_were_written(target: Target) -> None:
    for what, body in ODD_BYTES.items():
        target.stored(5)
        info = target.locked()
        _expect_accepted(target.write(body, info["ID"]), f"A state with {what}")
        _expect_stored(target, body)


def a_chunked_body_arrives_whole(target: Target) -> None:
    target.stored(5)
    info, body = target.locked(), state_document(6, size=100_000)
    pieces = [body[:1], body[1:10], body[10:70_000], body[70_000:]]

    written = target.send_chunked(
        "POST", pieces, {"Content-Md5": md5_of(body)}, path=target.path_with(info["ID"])
    )

    expect.status(
        written, *ACCEPTED, asked="A chunked POST", means=ERRORED,
        do="Let the proxy pass chunked bodies (nginx: proxy_http_version 1.1); without a proxy, "
        "the server does not read them.",
    )  # fmt: skip
    _expect_stored(target, body)


def a_write_without_content_md5_is_accepted(target: Target) -> None:
    target.stored(5)
    info, body = target.locked(), state_document(6)

    written = target.send_chunked("POST", [body], {}, path=target.path_with(info["ID"]))

    _expect_accepted(written, "A POST without Content-MD5")


def a_state_that_opentofu_encrypted_itself_is_welcome(target: Target) -> None:
    target.stored(5)
    info, body = target.locked(), encrypted_document(6)

    written = target.write(body, info["ID"])

    expect.status(
        written, *ACCEPTED, asked="A POST of a state that OpenTofu has encrypted", means=ERRORED
    )
    _expect_stored(target, body)


def the_same_bytes_again_under_the_same_lock_are_accepted(target: Target) -> None:
    target.stored(5)
    info, body = target.locked(), state_document(6)
    _expect_accepted(target.write(body, info["ID"]), "A POST with the ID of the lock")

    repeated = target.write(body, info["ID"])

    expect.status(
        repeated, *ACCEPTED,
        asked="The same POST again, as terraform sends it after a 502",
        means="If the answer to a write is lost, the apply fails although its state was saved.",
    )  # fmt: skip


def a_write_that_arrives_again_after_the_unlock_is_accepted(target: Target) -> None:
    target.stored(5)
    info, body = target.locked(), state_document(6)
    target.write(body, info["ID"])
    target.unlock(info)

    repeated = target.write(body, info["ID"])

    expect.status(
        repeated, *ACCEPTED, asked="The same POST once more after the UNLOCK",
        means="If a retry arrives late, the apply fails although its state was saved.",
    )  # fmt: skip


def a_write_without_the_id_of_the_lock_is_a_423_and_changes_nothing(target: Target) -> None:
    before = target.stored(5)
    held = target.locked()

    for what, lock_id in (("without an ID", None), ("with another ID", lock_info()["ID"])):
        refused = target.write(state_document(6), lock_id)
        expect.status(
            refused, 423, 409, asked=f"A POST {what} while somebody holds the lock",
            means=OVERWRITTEN,
            do="The lock does not protect: use a server that checks it.",
        )  # fmt: skip
        expect.true(
            refused.fields.get("ID") == held["ID"] or refused.code,
            f"The refusal of a POST {what} does not name the holder of the lock.",
            "Users do not see whom to ask.",
        )
        expect.unchanged(target.read(), before, f"a POST {what}")


def a_write_without_any_lock_is_accepted_while_nobody_holds_it(target: Target) -> None:
    target.stored(5)
    body = state_document(6)

    written = target.write(body)

    if written.code == "lock-required":
        raise Skipped("this installation refuses writes without a lock")
    expect.status(written, *ACCEPTED, asked="A POST without a lock (-lock=false)", means=ERRORED)
    _expect_stored(target, body)


def a_late_write_is_accepted_when_nobody_locked_or_wrote_since(target: Target) -> None:
    target.stored(5)
    info = target.locked()
    target.unlock(info)

    late = target.write(state_document(6), info["ID"])

    expect.status(late, *ACCEPTED, asked="A POST that arrives after its own UNLOCK", means=ERRORED)


def a_late_write_is_refused_when_somebody_locked_since(target: Target) -> None:
    before = target.stored(5)
    first = target.locked()
    target.unlock(first)
    target.unlock(target.locked())

    _expect_conflict(target, state_document(6), first["ID"], before)


def a_late_write_is_refused_when_somebody_wrote_since(target: Target) -> None:
    target.stored(5)
    info = target.locked()
    target.unlock(info)
    newer = state_document(6)
    if target.write(newer).code == "lock-required":
        raise Skipped("this installation refuses writes without a lock")

    _expect_conflict(target, state_document(7), info["ID"], newer)


def an_id_that_never_held_the_lock_writes_nothing(target: Target) -> None:
    before = target.stored(5)

    _expect_conflict(target, state_document(6), lock_info()["ID"], before)


def a_body_that_is_no_state_is_a_400_and_changes_nothing(target: Target) -> None:
    before = target.stored(5)
    info = target.locked()

    for what, body in NO_STATES.items():
        refused = target.write(body, info["ID"])
        expect.status(
            refused, 400, asked=f"A POST of {what}",
            means="A body that was damaged on the way replaces the state.",
        )  # fmt: skip
        expect.unchanged(target.read(), before, f"a POST of {what}")


def a_body_with_another_content_md5_is_a_400_and_changes_nothing(target: Target) -> None:
    before = target.stored(5)
    info = target.locked()

    for what, given in (("of another body", md5_of(b"another body")), ("that is no base64", "*")):
        refused = target.send(
            "POST", state_document(6), path=target.path_with(info["ID"]),
            headers={"Content-Md5": given},
        )  # fmt: skip
        expect.status(
            refused, 400, asked=f"A POST with the Content-MD5 {what}",
            means="A state that was damaged on the way is stored.", do=KEPT,
        )  # fmt: skip
        expect.unchanged(target.read(), before, f"a POST with the Content-MD5 {what}")


def the_id_in_the_query_does_not_get_into_the_state(target: Target) -> None:
    target.stored(5)
    info, body = target.locked(), state_document(6)
    target.write(body, info["ID"])

    read = target.read()

    expect.true(
        info["ID"].encode() not in read.body,
        "The state that comes back contains the ?ID= of the POST.",
        "The server changes states.",
    )
    expect.true(
        isinstance(json.loads(read.body or b"null"), dict),
        "The state that comes back is not a JSON object.",
        "terraform cannot read it.",
    )


def _expect_accepted(answer: Answer, asked: str) -> None:
    query = " Does a proxy remove the query string (?ID=…)?" if answer.status == 423 else ""
    expect.status(answer, *ACCEPTED, asked=asked, means=ERRORED, do=(NOBODY_ELSE + query).strip())


def _expect_stored(target: Target, body: bytes) -> None:
    read = target.read()
    if read.status == 200 and read.body == body:
        return
    raise Failed(
        f"{len(body)} bytes were accepted, but a read is answered {read.status} with "
        f"{len(read.body)} other bytes.",
        "terraform reports that its state is saved, but it is not.",
        "Let the proxy pass bodies unchanged (nginx: proxy_request_buffering off, "
        "proxy_http_version 1.1); without a proxy, the server loses states.",
    )


def _expect_conflict(target: Target, body: bytes, lock_id: str, before: bytes) -> None:
    refused = target.write(body, lock_id)
    if refused.status in {200, 201, 204}:
        raise Failed(
            f"A POST with an ID that no longer holds the lock was accepted ({refused.status}).",
            OVERWRITTEN,
            "Check whether a proxy removes the query string (?ID=…); if not, the server does not "
            "check locks.",
        )
    expect.status(
        refused,
        409,
        423,
        asked="A POST with an ID that no longer holds the lock",
        means=OVERWRITTEN,
    )
    read = target.read()
    if read.status >= 500:
        raise Blocked(f"the state cannot be read ({read.status})")
    expect.unchanged(read, before, "a POST with an ID that no longer holds the lock")
