"""Checks of serial and lineage: storing an older state, or another one, needs force."""

from __future__ import annotations

from client.conformance import expect
from client.conformance.check import fresh
from client.conformance.documents import FORCED, encrypted_document, state_document
from client.conformance.target import Target

ACCEPTED = (200, 201, 204)
OTHER = "0ther000-0000-4000-8000-000000000000"
OVERWRITES = "A stale checkout, or the wrong folder, replaces what somebody else has applied."
STUCK = "The state cannot be repaired with `terraform state push`, nor moved here."


def a_lower_serial_is_a_409(target: Target) -> None:
    _expect_refusal(target, state_document(4), "a lower serial")


def another_lineage_is_a_409(target: Target) -> None:
    _expect_refusal(target, state_document(6, lineage=OTHER), "another lineage")


def the_same_serial_with_other_bytes_is_a_409(target: Target) -> None:
    _expect_refusal(target, state_document(5), "the same serial and other bytes")


def a_lower_serial_of_an_encrypted_state_is_a_409(target: Target) -> None:
    _expect_refusal(target, encrypted_document(4), "a lower serial, encrypted by OpenTofu")


def a_forced_push_is_accepted_whatever_its_serial(target: Target) -> None:
    for operation in (FORCED, "migration destination state"):
        for what, body in (
            ("a lower serial", state_document(4)),
            ("another lineage", state_document(6, lineage=OTHER)),
            ("the same serial and other bytes", state_document(5)),
        ):
            target.stored(5)
            info = target.locked(operation)
            pushed = target.write(body, info["ID"])
            expect.status(
                pushed, *ACCEPTED, asked=f"A POST with {what} under a {operation!r} lock",
                means=STUCK,
            )  # fmt: skip
            expect.unchanged(target.read(), body, f"a {operation!r} with {what}")


def an_interrupted_apply_may_write_serial_n_and_then_n_plus_1(target: Target) -> None:
    target.stored(5)
    info = target.locked()

    for serial in (6, 7):
        written = target.write(state_document(serial), info["ID"])
        expect.status(
            written, *ACCEPTED, asked=f"A POST of serial {serial} under one lock",
            means="Ctrl-C during an apply loses its changes.",
        )  # fmt: skip


def serials_may_skip(target: Target) -> None:
    target.stored(5)
    info = target.locked()

    written = target.write(state_document(42), info["ID"])

    expect.status(
        written, *ACCEPTED, asked="A POST of serial 42 after 5",
        means="Ordinary applies fail: terraform skips serials.",
    )  # fmt: skip


@fresh
def a_state_that_was_never_written_accepts_any_serial(target: Target) -> None:
    info = target.locked()

    written = target.write(state_document(1000), info["ID"])
    target.unlock(info)

    expect.status(
        written, *ACCEPTED, asked="A first POST, of serial 1000",
        means="A state with a history cannot move here.",
    )  # fmt: skip


def _expect_refusal(target: Target, body: bytes, what: str) -> None:
    before = target.stored(5)
    info = target.locked()
    refused = target.write(body, info["ID"])
    expect.status(
        refused, 409, 422, asked=f"A POST with {what} under an apply's lock", means=OVERWRITES,
        do="The server does not compare serial and lineage: use one that does.",
    )  # fmt: skip
    expect.unchanged(target.read(), before, f"a POST with {what}")
