"""Checks of locks."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier

from client.conformance import expect
from client.conformance.check import slow
from client.conformance.documents import go_json, lock_info
from client.conformance.target import Target
from client.conformance.wire import Answer, md5_of

NEVER_LOCKS = "terraform cannot lock: every plan and apply fails."
TWO_AT_ONCE = "Two applies run at the same time, and one overwrites what the other has saved."
LEFT_LOCKED = "terraform says that the lock could not be released, and exits with 1."
NO_LOCKS = {
    "nothing": b"",
    "an empty object": b"{}",
    "an empty ID": b'{"ID": ""}',
    "an ID with a NUL in it": b'{"ID": "a\\u0000b"}',
    "an ID that is a number": b'{"ID": 7}',
    "a list": b"[]",
    "null": b"null",
    "JSON that is cut": b'{"ID": "x',
    "text": b"not json",
}


def a_free_state_can_be_locked_and_unlocked(target: Target) -> None:
    info = lock_info()

    locked = target.lock(info)
    unlocked = target.unlock(info)

    if locked.status not in {409, 423} or not locked.fields.get("ID"):
        # the client would fail with a 201 or 204, and leave the lock behind
        expect.status(locked, 200, asked="A LOCK of an unlocked state", means=NEVER_LOCKS)
        expect.status(unlocked, 200, asked="The UNLOCK of the holder", means=LEFT_LOCKED)
    target.free()


def a_lock_held_by_another_is_refused_with_its_holder(target: Target) -> None:
    held = target.locked()

    refused = target.lock(lock_info())

    expect.status(refused, 423, 409, asked="A LOCK of a locked state", means=TWO_AT_ONCE)
    expect.true(
        refused.fields.get("ID") == held["ID"],
        f"The {refused.status} has {refused.fields.get('ID') or 'nothing'!r} as the holder's ID.",
        "Users cannot see who holds the lock, and with an empty ID tofu stops waiting for it.",
        "Let the proxy pass bodies of errors (nginx: proxy_intercept_errors off).",
    )
    created = str(refused.fields.get("Created", held["Created"]))
    expect.true(
        _is_time(created),
        f"Created is {created!r}, which is not a time.",
        "terraform cannot read it.",
    )


def a_lock_repeated_by_its_holder_is_granted_again(target: Target) -> None:
    info = target.locked()

    repeated = target.lock(info)

    expect.status(
        repeated, 200, asked="The same LOCK again, as terraform sends it after a 502",
        means="If the answer to a LOCK is lost, its own holder cannot use the lock.",
    )  # fmt: skip


def an_unlock_with_another_id_is_refused_and_frees_nothing(target: Target) -> None:
    held = target.locked()

    refused = target.unlock(lock_info())

    expect.true(
        refused.status != 200,
        "An UNLOCK with another ID than the holder's was accepted.",
        "Whoever ends first releases the lock of the next one: " + TWO_AT_ONCE,
        "The server does not compare the ID: use one that does.",
    )
    expect.status(refused, 409, 423, asked="An UNLOCK with another ID", means=LEFT_LOCKED)
    _expect_holder(target, held["ID"], "an UNLOCK with another ID")


def an_unlock_repeated_by_its_holder_is_harmless(target: Target) -> None:
    info = target.locked()
    target.unlock(info)

    repeated = target.unlock(info)

    expect.status(
        repeated, 200, asked="The same UNLOCK again, as terraform sends it after a 502",
        means=LEFT_LOCKED,
    )  # fmt: skip


def a_late_unlock_does_not_free_the_lock_of_the_next_holder(target: Target) -> None:
    first = target.locked()
    target.unlock(first)
    second = target.locked()

    late = target.unlock(first)

    expect.true(late.status != 200, "A late UNLOCK was accepted.", TWO_AT_ONCE)
    _expect_holder(target, second["ID"], "a late UNLOCK of the holder before")


def an_unlock_by_an_id_that_never_held_anything_is_refused(target: Target) -> None:
    target.free()

    refused = target.unlock(lock_info())

    expect.status(
        refused, 409, 423, asked="An UNLOCK by an ID that never held the lock",
        means="terraform does not notice that somebody broke its lock during an apply.",
    )  # fmt: skip


def a_lock_without_an_id_is_a_400_and_takes_nothing(target: Target) -> None:
    target.free()

    for what, body in NO_LOCKS.items():
        refused = target.send("LOCK", body)
        expect.status(
            refused, 400, asked=f"A LOCK with {what}",
            means="A damaged request takes a lock that nobody can release.",
        )  # fmt: skip
        _expect_holder(target, "", f"a LOCK with {what}")


def an_unlock_that_names_no_id_is_a_400_and_frees_nothing(target: Target) -> None:
    held = target.locked()

    for what, body in NO_LOCKS.items():
        if body:
            refused = target.send("UNLOCK", body)
            expect.status(
                refused, 400, asked=f"An UNLOCK with {what}",
                means="A damaged request releases the lock: " + TWO_AT_ONCE,
            )  # fmt: skip
    _expect_holder(target, held["ID"], "an UNLOCK without an ID")


def a_lock_that_was_changed_on_its_way_is_a_400(target: Target) -> None:
    target.free()

    refused = target.send(
        "LOCK", go_json(lock_info()), headers={"Content-Md5": md5_of(b"another body")}
    )

    expect.status(
        refused, 400, asked="A LOCK with the Content-MD5 of another body",
        means="The holder of a lock with a damaged ID cannot release it.",
        do="Let the proxy pass Content-MD5 unchanged; without one, the server does not check it.",
    )  # fmt: skip
    _expect_holder(target, "", "a LOCK with a wrong Content-MD5")


def a_lock_does_not_end_by_the_time_that_its_client_says(target: Target) -> None:
    target.free()
    old = lock_info() | {"Created": "2001-01-01T00:00:00Z"}
    expect.status(target.lock(old), 200, asked="A LOCK of an unlocked state", means=NEVER_LOCKS)

    _expect_holder(target, old["ID"], "a LOCK with a date of 2001")


def what_a_lock_says_of_itself_comes_back_as_json_and_nothing_else(target: Target) -> None:
    target.free()
    said = "<script>alert(1)</script>\r\nX-Injected: 1\x1b[31m"
    held = lock_info(who=said)
    expect.status(target.lock(held), 200, asked="A LOCK with odd text", means=NEVER_LOCKS)

    refused = target.lock(lock_info())

    expect.true(
        refused.headers.get("content-type", "").startswith("application/json"),
        "The holder of the lock is shown with the type "
        f"{refused.headers.get('content-type', 'none')!r}.",
        "A browser would execute what a client wrote into its lock.",
    )
    harmless = said.encode("unicode_escape").decode()  # for the terminal of whoever is refused
    expect.true(
        refused.fields.get("Who") in {said, harmless} and "x-injected" not in refused.headers,
        "The text of the holder came back changed, or as a header.",
        "A client can change the answers that others get.",
    )


@slow
def of_many_parallel_locks_exactly_one_wins(target: Target) -> None:
    target.free()
    infos = [lock_info() for _ in range(target.clients)]

    answers = _all_at_once(target, infos)

    counted = Counter(answer.status for answer in answers)
    winners = [i["ID"] for i, a in zip(infos, answers, strict=True) if a.status == 200]
    for answer in answers:
        expect.status(answer, 200, 423, 409, asked="One of many LOCKs at once", means=NEVER_LOCKS)
    expect.true(
        len(winners) == 1,
        f"{len(winners)} of {len(infos)} parallel LOCKs succeeded ({dict(counted)}).",
        TWO_AT_ONCE,
        "The server does not take locks atomically (several processes?): use one that does.",
    )
    expect.true(
        {a.fields.get("ID") for a in answers if a.status != 200} <= set(winners),
        "Refused LOCKs name another holder than the one that succeeded.",
        "Users cannot see who holds the lock.",
    )


def _all_at_once(target: Target, infos: list[dict[str, str]]) -> list[Answer]:
    start = Barrier(len(infos))

    def lock(info: dict[str, str]) -> Answer:
        start.wait(target.wire.seconds)
        return target.lock(info)

    with ThreadPoolExecutor(len(infos)) as pool:
        return list(pool.map(lock, infos))


def _expect_holder(target: Target, wanted: str, after: str) -> None:
    found = target.holder()
    expect.true(
        found == wanted,
        f"After {after} the lock is held by {found or 'nobody'}, not by {wanted or 'nobody'}.",
        "The lock does not protect the state: " + TWO_AT_ONCE,
    )


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return "T" in text
