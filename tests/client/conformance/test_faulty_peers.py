"""Every check can fail: each is run against a server that breaks just its rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from client.conformance import network, suite
from client.conformance.check import Check, Warned
from client.conformance.suite import CHECKS, Outcome
from client.conformance.target import Target
from client.conformance.wire import Wire
from tests.support.peer import PASSWORD, PATH, USERNAME
from tests.support.peer_server import serving

FAULTS: dict[str, list[str]] = {
    "another site": ["the server is reached and is a stateroom"],
    "no credential arrives": ["the credential arrives and is right"],
    "another version": ["the server has the version of this command"],
    "not ready": ["the server is ready in all its parts"],
    "http/1.0": ["the last hop speaks http 1 1"],
    "clock off": ["the clocks agree"],
    "GET with ID is read": [
        "the query string arrives",
        "a read with a lock id was a write and is a 400",
    ],
    "GET with MD5 is read": [
        "content md5 arrives",
        "a read with content md5 was a write and is a 400",
    ],
    "GET with type is read": ["a read with a json type was a write and is a 400"],
    "no LOCK": ["the verbs lock and unlock arrive", "a free state can be locked and unlocked"],
    "compresses": ["answers come uncompressed"],
    "redirects": ["no verb is redirected"],
    "redirects a slash": ["a trailing slash is no redirect"],
    "redirects //": ["a double slash is no redirect"],
    "never written is 204": ["a state that was never written is a 404"],
    "changes bytes": [
        "what is written is what is read",
        "bytes come back as they were written",
        "a write under the lock is accepted",
    ],
    "text": ["a read says that it is json"],
    "no Content-MD5": ["a read carries the right content md5"],
    "lock stops reads": ["a locked state can be read"],
    "HEAD is empty": ["a head request is as honest as a read"],
    "wrong password is 404": ["a wrong password is a 401 or 403 for every verb"],
    "open": ["no password is a 401 or 403 for every verb"],
    "unknown is 404": ["an unknown address never says that there is no state"],
    "strangers see addresses": ["an unknown address and a wrong password answer alike"],
    "one username": ["a token is the password of any username"],
    "no Bearer": ["a token works as a bearer token"],
    "LOCK is 201": ["a free state can be locked and unlocked"],
    "UNLOCK is 204": ["a free state can be locked and unlocked"],
    "two locks": [
        "a lock held by another is refused with its holder",
        "of many parallel locks exactly one wins",
    ],
    "no holder": [
        "a lock held by another is refused with its holder",
        "the lock address of gitlab shows the holder",
    ],
    "no LOCK twice": ["a lock repeated by its holder is granted again"],
    "any unlock": [
        "an unlock with another id is refused and frees nothing",
        "a late unlock does not free the lock of the next holder",
        "an unlock that names no id is a 400 and frees nothing",
        "tofus force unlock with another id frees nothing",
    ],
    "no UNLOCK twice": ["an unlock repeated by its holder is harmless"],
    "free is freed": ["an unlock by an id that never held anything is refused"],
    "any lock": [
        "a lock without an id is a 400 and takes nothing",
        "a lock of a megabyte is refused",
    ],
    "no MD5 check": [
        "a lock that was changed on its way is a 400",
        "a body with another content md5 is a 400 and changes nothing",
    ],
    "Created counts": ["a lock does not end by the time that its client says"],
    "lock is html": ["what a lock says of itself comes back as json and nothing else"],
    "no force-unlock": ["terraforms force unlock without a body frees the lock"],
    "free is an error": ["terraforms force unlock of a free state is harmless"],
    "no tofu force-unlock": ["tofus force unlock with only the id frees the lock"],
    "202": ["a write under the lock is accepted"],
    "no PUT": ["put writes as post does"],
    "chunks are lost": [
        "a chunked body arrives whole",
        "a write without content md5 is accepted",
    ],
    "no encrypted states": ["a state that opentofu encrypted itself is welcome"],
    "no retry": ["the same bytes again under the same lock are accepted"],
    "no late retry": ["a write that arrives again after the unlock is accepted"],
    "POST ignores the lock": [
        "a write without the id of the lock is a 423 and changes nothing",
        "an id that never held the lock writes nothing",
    ],
    "only locked writes": ["a write without any lock is accepted while nobody holds it"],
    "nothing late": ["a late write is accepted when nobody locked or wrote since"],
    "late writes": [
        "a late write is refused when somebody locked since",
        "a late write is refused when somebody wrote since",
    ],
    "any body": ["a body that is no state is a 400 and changes nothing"],
    "ID gets into the state": ["the id in the query does not get into the state"],
    "any serial": ["a lower serial is a 409", "a lower serial of an encrypted state is a 409"],
    "any lineage": ["another lineage is a 409"],
    "a serial twice": ["the same serial with other bytes is a 409"],
    "no force": ["a forced push is accepted whatever its serial"],
    "one write a lock": ["an interrupted apply may write serial n and then n plus 1"],
    "no skips": ["serials may skip"],
    "first serial is 1": ["a state that was never written accepts any serial"],
    "1 MB": ["states of many sizes come back whole"],
    "a small limit": ["no proxy has a lower limit than the server"],
    "reads everything": ["a body above every limit is refused before it is sent"],
    "no Expect": ["a client that asks before it sends is served"],
    "impatient": ["an upload that stalls for a while is not cut"],
    "keeps what is cut, any body": ["an upload that is cut changes nothing"],
    "keeps what is cut": ["a force unlock that is cut frees nothing"],
    "any type": ["a body that is not said to be json is refused and changes nothing"],
    "web pages": ["a request of a web page is refused and changes nothing"],
    "any verb": ["other verbs are a 405 with those there are"],
    "no /lock": [
        "the lock address of gitlab takes the lock",
        "the lock address of gitlab frees the lock",
    ],
    "/lock can be read": ["a read of the lock address is a 405"],
    "DELETE ignores the lock": ["a locked state cannot be deleted"],
    "deleted is 404": ["a deleted state is gone and not empty"],
    "deleted can be locked": ["a deleted state is gone and not empty"],
    "deleted comes back": ["a deleted state is gone and not empty"],
    "no DELETE": ["a deleted state is gone and not empty"],
}
ASKED_OTHERWISE = {  # below, one by one
    "the line is encrypted",
    "no forward proxy is in the way",
    "the address that is shown is the one that was used",
}
CASES = [(fault, name) for fault, names in FAULTS.items() for name in names]


def named(name: str) -> Check:
    return next(check for check in CHECKS if check.name == name)


def asked(check: Check, url: str) -> Outcome:
    target = Target(Wire(url), PATH, USERNAME, PASSWORD, size_limit=2_000_000, stall_seconds=0.3)
    return next(suite.ask([check], target))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_server_that_keeps_the_protocol_passes(check: Check) -> None:
    if check.name in ASKED_OTHERWISE:
        return

    with serving() as url:
        outcome = asked(check, url)

    assert outcome.ending == "ok", outcome


def test_a_proxy_that_passes_the_head_on_with_the_body_does_not_take_whole_bodies() -> None:
    with serving("the head with the body") as url:
        outcomes = [asked(check, url) for check in CHECKS if check.theme == "limits"]

    assert {outcome.ending for outcome in outcomes} == {"ok"}, outcomes


@pytest.mark.parametrize(("fault", "name"), CASES, ids=[f"{f}: {n}" for f, n in CASES])
def test_a_server_that_breaks_a_rule_is_caught(fault: str, name: str) -> None:
    with serving(*fault.split(", ")) as url:
        outcome = asked(named(name), url)

    assert outcome.ending in {"FAIL", "warn"}, outcome
    assert outcome.seen
    assert outcome.means
    assert outcome.do


def test_every_check_is_known_to_fail_somewhere() -> None:
    assert {name for _, name in CASES} | ASKED_OTHERWISE == {check.name for check in CHECKS}


def test_a_line_in_clear_to_another_machine_is_mentioned() -> None:
    target = Target(Wire("http://stateroom.example.com"), PATH, USERNAME, PASSWORD)

    with pytest.raises(Warned, match="is not https"):
        network.the_line_is_encrypted(target)


def test_a_forward_proxy_that_terraform_obeys_is_mentioned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = Target(Wire("https://stateroom.example.com"), PATH, USERNAME, PASSWORD)
    monkeypatch.setenv("https_proxy", "http://proxy.example.com:3128")
    monkeypatch.setenv("no_proxy", "example.org")

    with pytest.raises(Warned, match=r"NO_PROXY=stateroom\.example\.com"):
        network.no_forward_proxy_is_in_the_way(target)

    monkeypatch.setenv("no_proxy", "example.org, .example.com")
    network.no_forward_proxy_is_in_the_way(target)


def test_another_address_than_the_one_that_was_used_is_mentioned() -> None:
    with serving() as url:
        shown = "http://127.0.0.1:1/api/terraform/state/shop/app"
        target = replace(Target(Wire(url), PATH, USERNAME, PASSWORD), shown_address=shown)

        with pytest.raises(Warned, match="the shown address does not answer"):
            network.the_address_that_is_shown_is_the_one_that_was_used(target)


def test_the_doctor_names_what_the_worst_of_the_peers_do() -> None:
    """POST ignores the lock, UNLOCK ignores the ID, a wrong password is a 404."""
    with serving("POST ignores the lock", "any unlock", "wrong password is 404") as url:
        target = Target(Wire(url), PATH, USERNAME, PASSWORD, stall_seconds=0.1)
        checks = suite.ordered(CHECKS, slow=False)

        outcomes = list(suite.ask(checks, target))

    failed = {outcome.check.name for outcome in outcomes if outcome.ending == "FAIL"}
    assert failed >= {
        "a write without the id of the lock is a 423 and changes nothing",
        "an unlock with another id is refused and frees nothing",
        "a wrong password is a 401 or 403 for every verb",
    }
    assert not suite.is_sound(outcomes)
