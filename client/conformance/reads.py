"""Checks of reads: a state is never empty by accident, and comes back as it was written."""

from __future__ import annotations

from client.conformance import expect
from client.conformance.check import Failed, Skipped, fresh
from client.conformance.documents import go_json, lock_info, state_document
from client.conformance.target import Target
from client.conformance.wire import Answer, basic, bearer, md5_of

VERBS = ("GET", "POST", "PUT", "LOCK", "UNLOCK", "DELETE")
THROTTLED = "too-many-attempts"  # the code of a 429, at an alias that got ten wrong passwords


@fresh
def a_state_that_was_never_written_is_a_404(target: Target) -> None:
    read = target.read()

    expect.status(
        read, 404,
        asked="A read of a state that was never written",
        means="terraform cannot begin: it expects a 404 here.",
    )  # fmt: skip


def what_is_written_is_what_is_read(target: Target) -> None:
    before = target.stored()

    read = target.read()

    expect.status(
        read, 200, asked="A read of a written state", means="terraform does not see the state."
    )
    expect.true(
        read.body == before,
        f"{len(before)} bytes were written, but {len(read.body)} other ones came back.",
        "States are changed on the way: terraform refuses them, or reads something else.",
        "Let no proxy change bodies (compression, rewriting filters, charset conversion).",
    )


def a_read_says_that_it_is_json(target: Target) -> None:
    target.stored()

    kind = target.read().headers.get("content-type", "")

    expect.true(
        kind.startswith("application/json"),
        f"The state has the type {kind or 'nothing'!r}.",
        "Proxies and browsers may take it for text, and change it.",
    )


def a_read_carries_the_right_content_md5(target: Target) -> None:
    before = target.stored()

    given = target.read().headers.get("content-md5", "")

    expect.true(
        given == md5_of(before),
        f"The Content-MD5 of the answer is {given or 'missing'}, which is not that of the state.",
        "Damage on the way is not noticed, and terraform fails if it is not base64.",
        "Let the proxy pass Content-MD5 and bodies unchanged.",
    )


def a_locked_state_can_be_read(target: Target) -> None:
    before = target.stored()
    target.locked()

    read = target.read()

    expect.unchanged(read, before, "somebody else's LOCK")


def a_head_request_is_as_honest_as_a_read(target: Target) -> None:
    before = target.stored()

    answer = target.send("HEAD")

    expect.status(answer, 200, 405, asked="HEAD", means="Monitoring that uses HEAD sees no state.")
    expect.true(
        answer.headers.get("content-length") in {None, str(len(before))} or answer.status == 405,
        f"HEAD says {answer.headers.get('content-length')} bytes, but the state has {len(before)}.",
        "Monitoring that uses HEAD sees a wrong size.",
    )


def a_wrong_password_is_a_401_or_403_for_every_verb(target: Target) -> None:
    before = target.stored()

    for verb in VERBS:
        refused = target.send(verb, _body(verb), headers=target.stranger())
        _expect_refusal(refused, f"{verb} with a wrong password")
    expect.unchanged(target.read(), before, "requests with a wrong password")


def no_password_is_a_401_or_403_for_every_verb(target: Target) -> None:
    before = target.stored()

    for verb in VERBS:
        body = _body(verb)
        described = {} if body is None else target.described(body)
        refused = target.wire.send(verb, target.path, body, described)
        _expect_refusal(refused, f"{verb} without a password")
    expect.unchanged(target.read(), before, "requests without a password")


def an_unknown_address_never_says_that_there_is_no_state(target: Target) -> None:
    target.stored()
    parent, _, name = target.path.rpartition("/")

    for path in (
        f"{target.path}-mistyped", f"{target.path}/more/still", f"{parent}//{name}",
        f"{target.path}%00", f"{parent}/%2e%2e", f"/{target.path}",
    ):  # fmt: skip
        read = target.send("GET", path=path)
        expect.not_empty(read, f"A read of the unknown address {path}")


def an_unknown_address_and_a_wrong_password_answer_alike(target: Target) -> None:
    for verb in VERBS:
        known = target.send(verb, _body(verb), headers=target.stranger())
        if known.code == THROTTLED:
            raise Skipped("this alias got so many wrong passwords that it answers no more of them")
        unknown = target.send(
            verb, _body(verb), path=f"{target.path}-mistyped", headers=target.stranger()
        )

        expect.true(
            (known.status, known.body) == (unknown.status, unknown.body),
            f"With a wrong password {verb} is answered {known.status} at a known address, and "
            f"{unknown.status} (or another text) at an unknown one.",
            "A stranger can find out which states exist.",
        )


def a_token_is_the_password_of_any_username(target: Target) -> None:
    _needs_token(target)
    target.stored()

    for username in ("", "ann", "anybody@example.com"):
        read = target.read(basic(username, target.password))
        expect.status(
            read, 200,
            asked=f"A read as {username or 'nobody'} with the token as the password",
            means="Snippets and TF_HTTP_USERNAME with another name do not work.",
        )  # fmt: skip


def a_token_works_as_a_bearer_token(target: Target) -> None:
    _needs_token(target)
    target.stored()

    read = target.read(bearer(target.password))

    expect.status(
        read, 200, asked="A read with the token as Bearer",
        means="OpenTofu's `headers` with a token, and the API, do not work.",
    )  # fmt: skip


def _needs_token(target: Target) -> None:
    if not target.is_token:
        raise Skipped("the password of an alias is not a token")


def _body(verb: str) -> bytes | None:
    if verb in {"LOCK", "UNLOCK"}:
        return go_json(lock_info())
    return state_document(90) if verb in {"POST", "PUT"} else None


def _expect_refusal(answer: Answer, asked: str) -> None:
    expect.not_empty(answer, asked)
    if answer.status in {401, 403} or answer.code == THROTTLED:
        return
    raise Failed(
        f"{asked} was answered {answer.status}, not 401 or 403.",
        "Somebody without a password can read or change states, or gets a misleading answer.",
        "If a proxy adds its own password to requests, remove that.",
    )
