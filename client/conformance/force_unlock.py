"""Checks of force-unlock: terraform sends no ID, tofu only the ID."""

from __future__ import annotations

from client.conformance import expect
from client.conformance.documents import lock_info, only_the_id
from client.conformance.target import Target

STAYS = "`terraform force-unlock` does not work: an abandoned lock stays for ever."
CHUNKED = (
    "Let the proxy pass an empty chunked body (nginx: proxy_http_version 1.1), and give the "
    "token the scope state:unlock."
)


def terraforms_force_unlock_without_a_body_frees_the_lock(target: Target) -> None:
    target.locked()

    forced = target.force_unlock()

    expect.status(
        forced, 200, asked="An UNLOCK with an empty chunked body", means=STAYS, do=CHUNKED
    )
    expect.true(
        target.holder() == "", "The lock is still held after terraform's force-unlock.", STAYS
    )


def terraforms_force_unlock_of_a_free_state_is_harmless(target: Target) -> None:
    target.free()

    forced = target.force_unlock()

    expect.status(
        forced, 200, asked="An UNLOCK with an empty chunked body of a free state",
        means="A repeated force-unlock seems to fail.", do=CHUNKED,
    )  # fmt: skip


def tofus_force_unlock_with_only_the_id_frees_the_lock(target: Target) -> None:
    held = target.locked()

    forced = target.unlock(only_the_id(held["ID"]))

    expect.status(
        forced, 200, asked="An UNLOCK with only the ID",
        means="`tofu force-unlock` does not work: an abandoned lock stays for ever.",
    )  # fmt: skip
    expect.true(target.holder() == "", "The lock is still held after tofu's force-unlock.", STAYS)


def tofus_force_unlock_with_another_id_frees_nothing(target: Target) -> None:
    held = target.locked()

    refused = target.unlock(only_the_id(lock_info()["ID"]))

    expect.status(
        refused, 409, 423, asked="tofu's force-unlock with a mistyped ID",
        means="It releases the lock of somebody who is at work.",
        do="The server does not compare the ID: use one that does.",
    )  # fmt: skip
    expect.true(
        target.holder() == held["ID"],
        "tofu's force-unlock with a mistyped ID changed who holds the lock.",
        "It releases the lock of somebody who is at work.",
    )
