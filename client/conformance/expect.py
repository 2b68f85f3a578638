"""Expectations on answers. The error of a failed one explains it, and names a faulty proxy."""

from __future__ import annotations

from client.conformance import diagnosis
from client.conformance.check import Failed
from client.conformance.diagnosis import NOBODY_ELSE
from client.conformance.wire import Answer

EMPTY = (
    "terraform takes this for an empty state, and plans to create everything that exists already."
)


def status(answer: Answer, *wanted: int, asked: str, means: str, do: str = NOBODY_ELSE) -> Answer:
    """Expect one of these statuses. Raises Failed; a proxy's fault replaces `means` and `do`."""
    if answer.status in wanted:
        return answer
    found = diagnosis.of(answer)
    expected = " or ".join(str(number) for number in wanted)
    raise Failed(
        f"{asked} was answered {diagnosis.described(answer)}, not {expected}.",
        found.means if found else means,
        found.do if found else do,
    )


def true(fact: object, seen: str, means: str, do: str = NOBODY_ELSE) -> None:
    """Expect this to be true. Raises Failed."""
    if not fact:
        raise Failed(seen, means, do)


def not_empty(answer: Answer, asked: str) -> None:
    """Expect an answer that terraform does not take for "there is no state". Raises Failed."""
    empty = answer.status in {204, 404} or (answer.status == 200 and not answer.body)
    if not empty and not answer.is_redirect:
        return
    found = diagnosis.of(answer)
    raise Failed(
        f"{asked} was answered {diagnosis.described(answer)}"
        + (" without a body." if answer.status == 200 else "."),
        found.means if found else EMPTY,
        found.do if found else NOBODY_ELSE,
    )


def unchanged(answer: Answer, before: bytes, after: str) -> None:
    """Expect the state to be still this document. Raises Failed."""
    status(
        answer,
        200,
        asked=f"A read after {after}",
        means="The state is lost to terraform.",
    )
    true(
        answer.body == before,
        f"After {after} the state is not the same as before.",
        "A refused write changed the state: what somebody else saved is lost.",
    )
