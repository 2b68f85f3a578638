"""Checks of redirects: terraform follows a redirected write with a GET, and the write is lost."""

from __future__ import annotations

from client.conformance import diagnosis, expect
from client.conformance.check import Failed
from client.conformance.documents import lock_info
from client.conformance.target import Target
from client.conformance.wire import md5_of

LOST = (
    "When a proxy redirects a write, terraform sends a GET, which succeeds: it exits with 0, but "
    "nothing was stored."
)
LET_IT = (
    "If this is Stateroom, a proxy removes what marks the request: let it pass Content-MD5, "
    "Content-Type and the query."
)


def no_verb_is_redirected(target: Target) -> None:
    _expect_no_redirect(target, target.path)


def a_trailing_slash_is_no_redirect(target: Target) -> None:
    _expect_no_redirect(target, f"{target.path}/")


def a_double_slash_is_no_redirect(target: Target) -> None:
    parent, _, name = target.path.rpartition("/")
    _expect_no_redirect(target, f"{parent}//{name}")


def a_read_with_content_md5_was_a_write_and_is_a_400(target: Target) -> None:
    target.stored()

    refused = target.read({"Content-Md5": md5_of(b"the body that was lost")})

    expect.status(refused, 400, asked="A GET with Content-MD5", means=LOST, do=LET_IT)


def a_read_with_a_lock_id_was_a_write_and_is_a_400(target: Target) -> None:
    target.stored()

    refused = target.send("GET", path=target.path_with(lock_info()["ID"]))

    expect.status(refused, 400, asked="A GET with ?ID=", means=LOST, do=LET_IT)


def a_read_with_a_json_type_was_a_write_and_is_a_400(target: Target) -> None:
    target.stored()

    for kind in ("application/json", "application/json; charset=utf-8"):
        refused = target.read({"Content-Type": kind})
        expect.status(refused, 400, asked=f"A GET with the type {kind}", means=LOST, do=LET_IT)


def _expect_no_redirect(target: Target, path: str) -> None:
    """The bodies are neither valid locks nor states, so they are refused and change nothing."""
    for verb in ("GET", "LOCK", "POST", "PUT", "UNLOCK"):
        answer = target.send(verb, None if verb == "GET" else b"{}", path=path)
        found = diagnosis.of(answer) if answer.is_redirect else None
        if found is not None:
            raise Failed(
                f"{verb} {path} was answered {diagnosis.described(answer)}.", found.means, found.do
            )
