"""Checks that no web page writes a state with the login that a browser remembers."""

from __future__ import annotations

from collections.abc import Mapping

from client.conformance import expect
from client.conformance.documents import go_json, lock_info, state_document
from client.conformance.target import Target
from client.conformance.wire import md5_of

FORGED = (
    "Whoever has typed the login of a state into a browser can be made to write it, or to free its "
    "lock, by any page that they open."
)
LET_IT = (
    "If this is Stateroom, a proxy changes what marks the request: let it pass Content-Type, "
    "Origin and Sec-Fetch-Site."
)
ELSEWHERE: tuple[Mapping[str, str], ...] = (
    {"Origin": "https://elsewhere.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
)
# what a form or a script of any page may send without asking
SIMPLE = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")


def a_body_that_is_not_said_to_be_json_is_refused_and_changes_nothing(target: Target) -> None:
    before = target.stored()

    for kind in (*SIMPLE, ""):
        for verb in ("POST", "PUT", "LOCK"):
            body = go_json(lock_info()) if verb == "LOCK" else state_document(7)
            _expect_refused(
                target, verb, body, {"Content-Type": kind}, f"the type {kind or 'none'}"
            )
    expect.unchanged(target.read(), before, "writes of another type")
    expect.true(target.holder() == "", "A LOCK of another type was refused, but locks.", FORGED)


def a_request_of_a_web_page_is_refused_and_changes_nothing(target: Target) -> None:
    before, held = target.stored(), target.locked()

    for said in ELSEWHERE:
        asked = " ".join(f"{name}: {value}" for name, value in said.items())
        for verb, body in (
            ("GET", None),
            ("POST", state_document(7)),
            ("PUT", state_document(7)),
            ("LOCK", go_json(held)),
            ("UNLOCK", go_json(held)),
            ("DELETE", None),
        ):
            described = {} if body is None else target.described(body)
            _expect_refused(target, verb, body, described | dict(said), asked)
    expect.true(
        target.holder() == held["ID"], "An UNLOCK of a web page was refused, but unlocks.", FORGED
    )
    expect.unchanged(target.read(), before, "requests of web pages")


def _expect_refused(
    target: Target, verb: str, body: bytes | None, headers: Mapping[str, str], asked: str
) -> None:
    typed = {"Content-Md5": md5_of(body)} if body is not None else {}
    described = {name: value for name, value in (typed | dict(headers)).items() if value}
    refused = target.wire.send(verb, target.path, body, target.credentials | described)
    expect.true(
        400 <= refused.status < 500 and refused.status not in {404, 423},
        f"{verb} with {asked} was answered {refused.status}.",
        FORGED,
        LET_IT,
    )
