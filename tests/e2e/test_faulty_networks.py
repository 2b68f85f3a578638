"""When the network between terraform and us fails, nothing is stored twice or lost."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.support.place import Place
from tests.support.proxy import Proxy, proxy_to
from tests.support.tools import Checkout


@pytest.fixture
def proxy(place: Place) -> Iterator[Proxy]:
    with proxy_to(place.wire.url) as proxy:
        yield proxy


@pytest.fixture
def behind(proxy: Proxy, new_checkout: Callable[..., Checkout], place: Place) -> Checkout:
    """A folder that reaches the place's state through the proxy, initialised."""
    folder = new_checkout()
    folder.connect(place.state, proxy.url)
    folder.init()
    return folder


def applies(checkout: Checkout) -> int:
    done = checkout.run("apply", "-auto-approve", "-input=false", "-no-color")
    sys.stderr.write(done.stderr)  # shown when the test fails
    return done.returncode


@pytest.mark.parametrize("verb", ["LOCK", "POST", "UNLOCK"])
def test_an_answer_lost_on_its_way_costs_nothing(
    behind: Checkout, proxy: Proxy, place: Place, verb: str
) -> None:
    proxy.commit_then_answer(502, verb)

    code = applies(behind)

    assert code == 0
    assert proxy.verbs().count(verb) == 2
    assert len(place.versions()) == 1
    assert not place.is_locked()


@pytest.mark.parametrize("verb", ["LOCK", "POST", "UNLOCK"])
def test_a_connection_cut_after_the_request_costs_nothing(
    behind: Checkout, proxy: Proxy, place: Place, verb: str
) -> None:
    proxy.cut(verb, forward=True)

    code = applies(behind)

    assert code == 0
    assert len(place.versions()) == 1
    assert not place.is_locked()


@pytest.mark.parametrize("verb", ["GET", "LOCK", "POST", "UNLOCK"])
def test_a_request_that_never_arrived_is_sent_again(
    behind: Checkout, proxy: Proxy, place: Place, verb: str
) -> None:
    proxy.answer(503, verb)

    code = applies(behind)

    assert code == 0
    assert len(place.versions()) == 1
    assert not place.is_locked()


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirected_write_fails_and_leaves_the_state_with_the_client(
    behind: Checkout, proxy: Proxy, place: Place, status: int
) -> None:
    proxy.redirect(status, "POST")

    code = applies(behind)

    # without our refusal terraform exits 0 here, and the state is nowhere
    assert code == 1
    assert behind.errored_state()["outputs"]["greeting"]["value"] == "hello"
    assert place.versions() == []
    assert not place.is_locked()


def test_a_state_kept_after_a_redirect_can_be_pushed(
    behind: Checkout, proxy: Proxy, place: Place
) -> None:
    proxy.redirect(302, "POST")
    applies(behind)
    behind.connect(place.state)
    behind.must("init", "-input=false", "-reconfigure")

    behind.must("state", "push", "errored.tfstate")

    assert place.state.read().json()["outputs"]["greeting"]["value"] == "hello"
    assert behind.run("plan", "-detailed-exitcode", "-input=false").returncode == 0


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirected_lock_stops_terraform_before_it_does_anything(
    behind: Checkout, proxy: Proxy, place: Place, status: int
) -> None:
    proxy.redirect(status, "LOCK")

    code = applies(behind)

    assert code == 1
    assert "POST" not in proxy.verbs()
    assert not place.is_locked()


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirected_unlock_is_not_taken_for_done(
    behind: Checkout, proxy: Proxy, place: Place, status: int
) -> None:
    proxy.redirect(status, "UNLOCK")

    code = applies(behind)

    assert code == 1
    assert len(place.versions()) == 1
    assert place.is_locked()


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_that_keeps_the_verb_works(
    behind: Checkout, proxy: Proxy, place: Place, status: int
) -> None:
    for verb in ("GET", "LOCK", "POST", "UNLOCK"):
        # on the same host: at another one, older clients do not say who they are
        proxy.redirect(status, verb, times=1, to=proxy.url)

    code = applies(behind)

    # before 1.8 terraform does not follow when there is a body: it stops at the lock
    follows = behind.tool.version() >= (1, 8)
    assert code == (0 if follows else 1)
    assert len(place.versions()) == (1 if follows else 0)
    assert not place.is_locked()


def test_what_terraform_sends_is_what_the_protocol_tests_send(
    behind: Checkout, proxy: Proxy
) -> None:
    applies(behind)

    lock, post, unlock = (
        next(request for request in proxy.seen if request.verb == verb)
        for verb in ("LOCK", "POST", "UNLOCK")
    )
    info = json.loads(lock.body)
    assert set(info) == {"ID", "Operation", "Info", "Who", "Version", "Created", "Path"}
    assert f"?ID={info['ID']}" in post.path
    assert unlock.body == lock.body
    assert all("content-md5" in request.headers for request in (lock, post, unlock))
