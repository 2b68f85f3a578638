"""Checks of large, slow and broken bodies."""

from __future__ import annotations

import time
from collections.abc import Callable

from client.conformance import diagnosis, expect
from client.conformance.check import Failed, Skipped, Warned, slow
from client.conformance.documents import state_document
from client.conformance.target import Target
from client.conformance.wire import Answer, Broken

ACCEPTED = (200, 201, 204)
SIZES = (64_000, 1_500_000, 11_000_000)  # bytes; nginx's default limit is 1 MiB
DEFAULT_LIMIT = 100_000_000  # of Stateroom, bytes
ABSURD = 1 << 42
AT_ONCE = 1.5  # seconds in which a body has to be refused after its beginning was sent
BEGINNING = bytes(65_536)  # proxies written in Go send the head with the first part of the body
ERRORED = (
    "A state of that size cannot be saved: the apply is done, but terraform leaves errored.tfstate "
    "behind."
)
LIMIT = (
    "Raise the proxy's limit to STATEROOM_MAX_STATE_BYTES, or remove it below /api (nginx: "
    "client_max_body_size 100m; traefik: no buffering middleware)."
)
STREAM = (
    "Let the proxy stream bodies, and wait (nginx: proxy_request_buffering off, "
    "client_body_timeout and proxy_read_timeout 300s)."
)
DAMAGED = "A connection that breaks in the middle of a write damages the state."


@slow
def states_of_many_sizes_come_back_whole(target: Target) -> None:
    for size in [size for size in (*SIZES, target.size_limit) if size <= target.size_limit]:
        target.stored(5)
        info, body = target.locked(), state_document(6, size=size)
        written = _write(target, body, info["ID"], size)
        if written.code == "too-large":
            raise Skipped(f"this installation only accepts states below {size:,} bytes")
        expect.status(
            written, *ACCEPTED, asked=f"A state of {size:,} bytes", means=ERRORED, do=LIMIT
        )
        expect.unchanged(target.read(), body, f"a write of {size:,} bytes")


def no_proxy_has_a_lower_limit_than_the_server(target: Target) -> None:
    """Only the head and the beginning of each body are sent: proxies decide by Content-Length."""
    limit = _servers_limit(target)
    refused = _announce(target, limit)
    if refused is not None and refused.status == 413 and not refused.code:
        raise Failed(
            f"A body of {limit:,} bytes is refused on the way: {diagnosis.described(refused)}.",
            "The server accepts states of that size, but the proxy does not: such a state cannot "
            "be saved, and terraform leaves errored.tfstate behind.",
            LIMIT,
        )


def a_body_above_every_limit_is_refused_before_it_is_sent(target: Target) -> None:
    refused = _announce(target, ABSURD)

    if refused is None:
        raise Warned(
            f"A body of {ABSURD:,} bytes was announced, and not refused within {AT_ONCE:g} s.",
            "The proxy receives whole bodies before it asks the server: its disk can be filled, "
            "and large states take twice the time.",
            "Let it stream bodies (nginx: proxy_request_buffering off), or set a limit.",
        )
    expect.status(refused, 413, 400, 403, asked="A body of 4 TB", means="A disk can be filled.")


def a_client_that_asks_before_it_sends_is_served(target: Target) -> None:
    target.stored(5)
    info, body = target.locked(), state_document(6)
    headers = _headers(target, body) | {"Expect": "100-continue"}

    with target.wire.open("POST", target.path_with(info["ID"]), headers) as exchange:
        exchange.has_answer(1.0)  # curl also sends the body after a second without an answer
        exchange.send(body)
        answer = exchange.answer()

    expect.status(
        answer, *ACCEPTED, asked="A POST with Expect: 100-continue",
        means="curl and other clients cannot write large states.",
    )  # fmt: skip


@slow
def an_upload_that_stalls_for_a_while_is_not_cut(target: Target) -> None:
    target.stored(5)
    info, body = target.locked(), state_document(6, size=200_000)

    with target.wire.open("POST", target.path_with(info["ID"]), _headers(target, body)) as exchange:
        exchange.send(body[:100_000])
        time.sleep(target.stall_seconds)
        exchange.send(body[100_000:])
        answer = _answer(exchange.answer, f"An upload that pauses for {target.stall_seconds:g} s")

    expect.status(
        answer, *ACCEPTED, asked=f"An upload that pauses for {target.stall_seconds:g} s",
        means="A state cannot be saved over a slow connection.", do=STREAM,
    )  # fmt: skip
    expect.unchanged(target.read(), body, "a slow upload")


def an_upload_that_is_cut_changes_nothing(target: Target) -> None:
    before = target.stored(5)
    info, body = target.locked(), state_document(6, size=3_000)
    path = target.path_with(info["ID"])

    with target.wire.open("POST", path, _headers(target, body)) as exchange:
        exchange.send(body[:1_500])
    chunked = {**target.credentials, "Transfer-Encoding": "chunked"}
    typed = chunked | {"Content-Type": "application/json"}
    with target.wire.open("POST", path, typed) as exchange:
        exchange.send(f"{len(body):x}\r\n".encode() + body + b"\r\n")  # without the last chunk

    _expect_nothing_happens(target, before, info["ID"])


def a_force_unlock_that_is_cut_frees_nothing(target: Target) -> None:
    before = target.stored(5)
    info = target.locked()
    chunked = {**target.credentials, "Transfer-Encoding": "chunked"}

    with target.wire.open("UNLOCK", target.path, chunked):
        pass  # never send the last chunk, which would end the body

    _expect_nothing_happens(target, before, info["ID"])


def a_lock_of_a_megabyte_is_refused(target: Target) -> None:
    target.free()

    refused = target.send("LOCK", b'{"ID": "one", "Info": "' + b"x" * 1_000_000 + b'"}')

    if refused.status == 200:
        target.unlock({"ID": "one"})
        raise Failed(
            "A lock of a megabyte was accepted.",
            "A client can fill the database.",
            diagnosis.NOBODY_ELSE,
        )
    expect.status(
        refused, 413, 400, asked="A lock of a megabyte", means="The answer does not say why."
    )


def _headers(target: Target, body: bytes) -> dict[str, str]:
    return {**target.credentials, **target.described(body), "Content-Length": str(len(body))}


def _servers_limit(target: Target) -> int:
    refused = _announce(target, ABSURD)
    if refused is not None and refused.code == "too-large":
        return int(refused.fields.get("limit_bytes", DEFAULT_LIMIT))
    return DEFAULT_LIMIT


def _announce(target: Target, size: int) -> Answer | None:
    """The answer to a body of that size before most of it is sent, or None if there is none."""
    headers = {**target.credentials, "Content-Type": "application/json"}
    with target.wire.open("POST", target.path, headers | {"Content-Length": str(size)}) as exchange:
        if not exchange.has_answer(AT_ONCE / 3):
            exchange.send(BEGINNING)
            if not exchange.has_answer(AT_ONCE):
                return None
        return _answer(exchange.answer, f"A body of {size:,} bytes, announced but not sent,")


def _write(target: Target, body: bytes, lock_id: str, size: int) -> Answer:
    return _answer(lambda: target.write(body, lock_id), f"A state of {size:,} bytes")


def _answer(ask: Callable[[], Answer], asked: str) -> Answer:
    try:
        return ask()
    except Broken as error:
        raise Failed(
            f"{asked} got no answer: {error.message}", ERRORED, f"{LIMIT} {STREAM}"
        ) from None


def _expect_nothing_happens(target: Target, before: bytes, holder: str) -> None:
    """Expect no change, also a moment later: the server may still be at work."""
    for _ in range(3):
        time.sleep(0.1)
        expect.unchanged(target.read(), before, "a request that was cut")
    expect.true(target.holder() == holder, "A request that was cut changed the lock.", DAMAGED)
