"""Checks of what is between terraform and the server: names, certificates, proxies, clocks."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from client.conformance import diagnosis, expect
from client.conformance.check import Failed, Skipped, Warned, gate, site
from client.conformance.documents import go_json, lock_info
from client.conformance.target import Target
from client.conformance.wire import Answer, Broken, Wire, md5_of

LET_IN = (
    "Let the proxy pass Authorization (nginx: no `proxy_set_header Authorization`; Apache: "
    "`CGIPassAuth on`), and remove the proxy's own login."
)
FAR = 300.0  # seconds from which on a clock counts as wrong
LOCKS = ("LOCK", "UNLOCK")
IN_CLEAR = (
    "States and passwords are sent unencrypted.",
    "Put a proxy with TLS in front of the server, and https:// into STATEROOM_PUBLIC_URL.",
)


@site
@gate
def the_server_is_reached_and_is_a_stateroom(target: Target) -> None:
    try:
        answer = target.wire.send("GET", f"{target.prefix}/healthz")
    except Broken as error:
        raise Failed(error.message, "terraform gets no answer either.", error.do) from None
    expect.status(
        answer, 200, asked="/healthz", means="This is not Stateroom, or it cannot be reached."
    )
    expect.true(
        answer.fields.get("version"),
        "/healthz is answered by something that is not Stateroom.",
        "The proxy sends requests to another server, or answers them itself.",
        "Let the proxy pass every path to Stateroom.",
    )


@site
def the_server_is_ready_in_all_its_parts(target: Target) -> None:
    answer = target.wire.send("GET", f"{target.prefix}/readyz")
    failed = [name for name, said in answer.fields.get("parts", {}).items() if said != "ok"]
    if answer.fields.get("status") == "degraded":
        raise Warned(
            f"/readyz says degraded: {', '.join(failed)}.",
            "States are safe, but runs begin a few seconds later.",
            "Look at the server's log, and at STATEROOM_BROKER_URL.",
        )
    expect.status(
        answer, 200, asked=f"/readyz ({', '.join(failed) or 'no part named'})",
        means="States can be neither read nor written.",
        do="Look at the server's log, which names the part that failed.",
    )  # fmt: skip


@site
def the_server_has_the_version_of_this_command(target: Target) -> None:
    theirs = str(target.wire.send("GET", f"{target.prefix}/healthz").fields.get("version", ""))
    ours = version("stateroom")
    if theirs != ours:
        raise Warned(
            f"The server has version {diagnosis.clean(theirs) or 'unknown'}, this doctor {ours}.",
            "The checks belong to the doctor's version: a rule may be newer than the server.",
            "Use the doctor of the server's version; after an upgrade, restart every server.",
        )


@site
def the_line_is_encrypted(target: Target) -> None:
    if not target.wire.is_tls and not target.wire.is_loopback:
        raise Warned(f"{target.wire.origin} is not https.", *IN_CLEAR)


@site
def no_forward_proxy_is_in_the_way(target: Target) -> None:
    """Clients in Go, such as terraform, obey these variables; the doctor connects directly."""
    host = target.wire.host
    found = getproxies().get("https" if target.wire.is_tls else "http")
    if found and not target.wire.is_loopback and not proxy_bypass(host):
        raise Warned(
            "HTTPS_PROXY or HTTP_PROXY is set here, and NO_PROXY does not name this server.",
            "terraform uses that proxy, but these checks did not.",
            f"Set NO_PROXY={host}, here and where terraform runs.",
        )


@site
def the_last_hop_speaks_http_1_1(target: Target) -> None:
    spoken = target.wire.send("GET", f"{target.prefix}/healthz").fields.get("protocol")
    if spoken is None:
        raise Skipped("the server does not say with which HTTP version it was asked")
    if spoken == "HTTP/1.0":
        raise Warned(
            "The proxy speaks HTTP/1.0 with the server.",
            "The proxy collects chunked bodies before it sends them, every request opens a new "
            "connection, and an incomplete answer cannot be recognised.",
            'Speak HTTP/1.1 (nginx: proxy_http_version 1.1; proxy_set_header Connection "").',
        )


@site
def the_clocks_agree(target: Target) -> None:
    answer = target.wire.send("GET", f"{target.prefix}/healthz")
    now = time.time()
    clocks = {
        "Date header": _from_header(answer.headers.get("date", "")),
        "server's clock": _from_iso(str(answer.fields.get("time", ""))),
    }
    off = {name: at - now for name, at in clocks.items() if at is not None}
    for name, seconds in off.items():
        if abs(seconds) > FAR:
            raise Failed(
                f"The {name} is {abs(seconds):,.0f} s {'ahead of' if seconds > 0 else 'behind'} "
                "this machine's.",
                "Expiries of tokens and aliases, stale locks and the audit log are wrong by that "
                "much; TLS certificates may seem expired.",
                "Run NTP on both machines.",
            )
    if not off:
        raise Skipped("the answers contain no time")


@site
@gate
def the_credential_arrives_and_is_right(target: Target) -> None:
    path = f"{target.prefix}/api/v1/whoami" if target.is_token else target.path
    with_it = target.send("GET", path=path)
    if with_it.status not in {401, 403}:
        expect.true(
            not diagnosis.by_somebody_else(with_it),
            f"A read was answered {diagnosis.described(with_it)}.",
            *_blamed(with_it, "The credential is not checked.", diagnosis.NOBODY_ELSE),
        )
        return
    without = target.wire.send("GET", path)
    if (with_it.status, with_it.body) == (without.status, without.body):
        raise Failed(
            f"With and without a password the answer is the same: {diagnosis.described(with_it)}.",
            *_blamed(with_it, "The Authorization header is removed on the way.", LET_IN),
        )
    raise Failed(
        f"The credential is refused: {diagnosis.described(with_it)}.",
        "terraform cannot read or write with it.",
        "Check that it belongs to this server, and is not expired or revoked.",
    )


def the_query_string_arrives(target: Target) -> None:
    plain = target.read()
    with_id = target.send("GET", path=target.path_with(lock_info()["ID"]))

    expect.true(
        with_id.status != plain.status or plain.status not in {200, 404},
        f"A GET with ?ID= is answered {with_id.status}, as one without it.",
        "The query string is removed on the way: a POST arrives without the ID of its lock, and is "
        "refused. terraform leaves errored.tfstate behind.",
        "Let the proxy pass the query (nginx: `proxy_pass http://server;` without a path, or "
        "with $request_uri; no rewrite that drops $is_args$args).",
    )


def content_md5_arrives(target: Target) -> None:
    plain = target.read()
    described = target.read({"Content-Md5": md5_of(b"")})

    expect.true(
        described.status != plain.status or plain.status not in {200, 404},
        f"A GET with Content-MD5 is answered {described.status}, as one without it.",
        "The Content-MD5 of requests is removed on the way: damaged states and redirected writes "
        "are not noticed.",
        "Let the proxy pass Content-MD5 unchanged.",
    )


def the_verbs_lock_and_unlock_arrive(target: Target) -> None:
    """The body is not a valid lock, so that the server refuses it and changes nothing."""
    for verb in LOCKS:
        answer = target.send(verb, b"{}")
        arrived = answer.code or answer.status in {200, 400, 409, 422, 423}
        if arrived and not diagnosis.by_somebody_else(answer):
            continue
        found = diagnosis.of(answer)
        raise Failed(
            f"{verb} is blocked: it was answered {diagnosis.described(answer)}.",
            found.means if found else "terraform cannot lock: every plan and apply fails.",
            f"{found.do if found else 'Let LOCK and UNLOCK pass.'} {_way_around(target)}",
        )


def answers_come_uncompressed(target: Target) -> None:
    read = target.wire.send("GET", f"{target.prefix}/api/v1/openapi.json")
    state = target.read()
    if read.is_compressed or state.is_compressed:
        raise Warned(
            "Answers are compressed "
            f"({_encoding(read) or _encoding(state)}): a proxy changes them.",
            "terraform works, but Content-MD5 and Content-Length no longer match what is sent, "
            "and the size of a compressed state reveals something about its content.",
            "Turn compression off below /api/terraform (nginx: gzip off).",
        )


def the_address_that_is_shown_is_the_one_that_was_used(target: Target) -> None:
    if not target.shown_address:
        raise Skipped("no workspace was created whose address could be compared")
    used = f"{target.wire.origin}{target.prefix}"
    shown = target.shown_address.partition("/api/terraform/")[0]
    if _normal(shown) == _normal(used):
        return
    raise Warned(
        f"Workspaces show the address {diagnosis.clean(shown)}, but you used {used}"
        f"{'' if _answers(shown) else '; from here, the shown address does not answer'}.",
        "Pasted snippets and all runs use the shown address, which was not checked.",
        f"Set STATEROOM_PUBLIC_URL={used} on servers and workers, or run doctor with the shown "
        "address.",
    )


def _blamed(answer: Answer, means: str, do: str) -> tuple[str, str]:
    found = diagnosis.of(answer)
    return (found.means, found.do) if found else (means, do)


def _encoding(answer: Answer) -> str:
    return diagnosis.clean(answer.headers.get("content-encoding", ""))


def _way_around(target: Target) -> str:
    """The methods at …/lock (as in GitLab) that pass although LOCK and UNLOCK do not, if any."""
    address = f"{target.path}/lock"
    info = lock_info()
    taken = {verb: target.send(verb, go_json(info), path=address) for verb in ("PUT", "POST")}
    freed = target.send("DELETE", go_json(info), path=address)
    works = [verb for verb, answer in taken.items() if answer.status in {200, 423}]
    if not works or freed.status not in {200, 409}:
        return "PUT, POST and DELETE at ADDRESS/lock do not pass either."
    return (
        "Until then, use lock_address and unlock_address = ADDRESS/lock, "
        f'lock_method = "{works[0]}", unlock_method = "DELETE".'
    )


def _answers(url: str) -> bool:
    prefix = urlsplit(url).path
    try:
        answer = Wire(url, 5.0).send("GET", f"{prefix}/healthz")
    except (Broken, ValueError):
        return False
    return bool(answer.fields.get("version"))


def _normal(url: str) -> tuple[str, str, int, str]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = "127.0.0.1" if parts.hostname in {"localhost", "::1"} else parts.hostname or ""
    return parts.scheme, host, port, parts.path.rstrip("/")


def _from_header(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None


def _from_iso(text: str) -> float | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.replace(tzinfo=at.tzinfo or UTC).timestamp()
