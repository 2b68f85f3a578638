"""Checks of methods and addresses: which of them exist, and that no others do."""

from __future__ import annotations

from client.conformance import diagnosis, expect
from client.conformance.check import Failed, Skipped, last
from client.conformance.documents import go_json, lock_info, state_document
from client.conformance.target import Target

WANTED = {"GET", "POST", "PUT", "DELETE", "LOCK", "UNLOCK"}
GITLAB = "Configurations that come from GitLab (lock_method = POST, unlock_method = DELETE) fail."


def other_verbs_are_a_405_with_those_there_are(target: Target) -> None:
    before = target.stored()

    for verb in ("PATCH", "MKCOL", "PROPFIND", "OPTIONS"):
        refused = target.send(verb)
        if diagnosis.by_somebody_else(refused) and not refused.is_redirect:
            continue  # a proxy may block all methods but ours
        expect.status(refused, 405, asked=verb, means="A wrong update_method seems to work.")
        allowed = {name.strip() for name in refused.headers.get("allow", "").split(",")}
        expect.true(
            allowed >= WANTED,
            f"The 405 of {verb} allows {', '.join(sorted(allowed)) or 'nothing'}.",
            "The answer does not say which methods exist.",
        )
    expect.unchanged(target.read(), before, "unknown methods")


def the_lock_address_of_gitlab_takes_the_lock(target: Target) -> None:
    for verb in ("LOCK", "POST", "PUT"):
        target.free()
        info = lock_info()
        locked = target.send(verb, go_json(info), path=f"{target.path}/lock")
        expect.status(locked, 200, asked=f"{verb} at …/lock", means=GITLAB)
        expect.true(
            target.holder() == info["ID"],
            f"{verb} at …/lock was accepted, but does not lock.",
            GITLAB,
        )


def the_lock_address_of_gitlab_shows_the_holder(target: Target) -> None:
    held = target.locked()

    refused = target.send("POST", go_json(lock_info()), path=f"{target.path}/lock")

    expect.status(refused, 423, 409, asked="POST at …/lock of a locked state", means=GITLAB)
    expect.true(
        refused.fields.get("ID") == held["ID"],
        "The refusal of a POST at …/lock does not name the holder.",
        "Users cannot see who holds the lock.",
    )


def the_lock_address_of_gitlab_frees_the_lock(target: Target) -> None:
    for verb in ("UNLOCK", "DELETE"):
        info = target.locked()
        freed = target.send(verb, go_json(info), path=f"{target.path}/lock")
        expect.status(freed, 200, asked=f"{verb} at …/lock", means=GITLAB)
        expect.true(
            target.holder() == "", f"{verb} at …/lock was accepted, but does not unlock.", GITLAB
        )


def a_read_of_the_lock_address_is_a_405(target: Target) -> None:
    refused = target.send("GET", path=f"{target.path}/lock")

    expect.not_empty(refused, "A read of …/lock")
    expect.status(
        refused, 405, 403, asked="A read of …/lock", means="A wrong `address` seems to work."
    )


def a_locked_state_cannot_be_deleted(target: Target) -> None:
    before = target.stored()
    target.locked()

    refused = target.delete()

    if refused.status == 403 and refused.code:
        raise Skipped("this credential may not delete states")
    expect.status(
        refused, 423, 409, asked="DELETE of a locked state",
        means="A state disappears in the middle of an apply.",
    )  # fmt: skip
    expect.unchanged(target.read(), before, "a DELETE that was refused")


@last
def a_deleted_state_is_gone_and_not_empty(target: Target) -> None:
    target.stored()

    deleted = target.delete()

    if deleted.status == 403 and deleted.code:
        raise Skipped("this credential may not delete states")
    expect.status(deleted, 200, asked="DELETE of a free state", means="It cannot be deleted.")
    expect.not_empty(target.read(), "A read of a deleted state")
    _expect_readable_refusal(target)
    written = target.write(state_document(6))
    expect.true(
        400 <= written.status < 500,
        f"A POST to a deleted state was answered {written.status}.",
        "A deleted state comes back with other content.",
    )
    again = target.delete()
    expect.status(again, 200, asked="The same DELETE again", means="A retry seems to fail.")


def _expect_readable_refusal(target: Target) -> None:
    refused = target.lock(lock_info())
    if refused.status == 200:
        raise Failed(
            "A deleted state can be locked.",
            "terraform continues with a deleted state, and plans to create everything.",
            diagnosis.NOBODY_ELSE,
        )
    expect.status(
        refused, 423, 409, asked="LOCK of a deleted state", means="terraform shows no reason."
    )
    expect.true(
        refused.fields.get("ID"),
        "LOCK of a deleted state is refused without an ID that says why.",
        "terraform only shows the ID, so users do not see the reason.",
    )
