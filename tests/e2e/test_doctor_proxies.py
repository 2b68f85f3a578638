"""The doctor behind proxies that are set up wrongly: each fault is named."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.conformance.suite import Outcome, is_sound
from client.conformance.target import Target
from client.conformance.wire import Wire
from tests.support.documents import state_document
from tests.support.examination import (
    DOCTOR,
    GOOD,
    ROOT,
    WRITING,
    environment,
    examined,
    leftovers,
    run,
    said,
)
from tests.support.installations import Installations
from tests.support.nginx import nginx, self_signed
from tests.support.processes import Process, free_port, wait_until
from tests.support.proxy import Proxy, proxy_to
from tests.support.state_address import StateAddress
from tests.support.stateroom import Stateroom
from tests.support.tools import Checkout


@pytest.fixture
def stateroom(installations: Installations) -> Stateroom:
    return installations.server()


@pytest.fixture
def behind(stateroom: Stateroom, tmp_path: Path) -> Callable[[str], list[Outcome]]:
    """What the doctor finds behind an nginx with these lines in its `location /`."""

    def examine(location: str, *themes: str, server: str = "") -> list[Outcome]:
        lines = f"{server} location / {{ proxy_pass {stateroom.url}; {location} }}"
        with nginx(tmp_path / "nginx", free_port(), lines) as url:
            return examined(url, stateroom.token, *themes)

    return examine


@pytest.fixture
def proxy(stateroom: Stateroom) -> Iterator[Proxy]:
    with proxy_to(stateroom.url) as proxy:
        yield proxy


def test_a_deployment_behind_nginx_as_the_manual_has_it_is_sound(
    new_stateroom: Callable[..., Stateroom], tmp_path: Path
) -> None:
    port = free_port()
    certificate = self_signed(tmp_path / "tls.pem")
    here = new_stateroom(public_url=f"https://127.0.0.1:{port}")
    here.start_server()
    manual = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```nginx\n(.+?)```", manual, re.DOTALL)
    server = block.replace("127.0.0.1:8420", f"127.0.0.1:{here.port}")
    token = tmp_path / "token"
    token.write_text(f"{here.token}\n", encoding="utf-8")

    with nginx(tmp_path / "nginx", port, server, certificate) as url:
        done = run(
            url, "--json", "--max-bytes", "2000000", "--stall", "0.5", "--token-file", str(token),
            SSL_CERT_FILE=str(certificate),
        )  # fmt: skip

    found = json.loads(done.stdout)
    assert found["sound"] is True, done.stdout
    assert {check["outcome"] for check in found["checks"]} == {"ok"}
    assert found["version"]
    assert done.returncode == 0


def test_a_body_limit_of_nginx_is_named(behind: Callable[..., list[Outcome]]) -> None:
    outcomes = behind("proxy_http_version 1.1; client_max_body_size 1m;", "limits")

    assert not is_sound(outcomes)
    assert "413 Request Entity Too Large" in said(outcomes)
    assert "client_max_body_size 100m" in said(outcomes)


def test_a_redirect_to_https_is_named(behind: Callable[..., list[Outcome]]) -> None:
    outcomes = behind(GOOD, server="return 301 https://$host$request_uri;")

    assert not is_sound(outcomes)
    assert "301 Moved Permanently to https://127.0.0.1/" in said(outcomes)
    assert "but nothing was stored" in said(outcomes)
    assert "use https://" in said(outcomes)


def test_a_slash_that_nginx_adds_is_named(behind: Callable[..., list[Outcome]]) -> None:
    outcomes = behind(
        GOOD,
        "redirects",
        server="location ~ ^/api/terraform/.*[^/]$ { return 308 $uri/$is_args$args; }",
    )

    assert not is_sound(outcomes)
    assert "The proxy adds a slash" in said(outcomes)
    assert "with a 307 or 308 the ID of the lock is lost" in said(outcomes)


def test_blocked_verbs_are_named_with_the_way_around(
    behind: Callable[..., list[Outcome]],
) -> None:
    outcomes = behind(
        "client_max_body_size 1m; limit_except GET POST PUT DELETE { deny all; }", "limits"
    )

    assert not is_sound(outcomes)
    assert "LOCK is blocked: it was answered 403 Forbidden from nginx" in said(outcomes)
    assert 'lock_method = "PUT", unlock_method = "DELETE"' in said(outcomes)
    # and one fault does not hide the other
    assert "client_max_body_size 100m" in said(outcomes)


def test_error_pages_of_nginx_are_named(behind: Callable[..., list[Outcome]]) -> None:
    outcomes = behind(
        f"{GOOD} proxy_intercept_errors on; error_page 400 409 423 @oops;",
        "locks",
        server='location @oops { default_type text/html; return 500 "<title>Oops</title>"; }',
    )

    assert not is_sound(outcomes)
    assert "proxy_intercept_errors off" in said(outcomes)


def test_an_old_http_to_the_server_is_mentioned(behind: Callable[..., list[Outcome]]) -> None:
    outcomes = behind("proxy_http_version 1.0; client_max_body_size 100m;", *WRITING)

    assert is_sound(outcomes), said(outcomes)
    assert "The proxy speaks HTTP/1.0 with the server" in said(outcomes)


def test_compression_is_mentioned(behind: Callable[..., list[Outcome]]) -> None:
    outcomes = behind(f"{GOOD} gzip on; gzip_proxied any; gzip_types application/json;", *WRITING)

    assert is_sound(outcomes), said(outcomes)
    assert "Answers are compressed (gzip)" in said(outcomes)


def test_another_address_in_the_snippets_is_mentioned(
    behind: Callable[..., list[Outcome]],
) -> None:
    outcomes = behind(GOOD)

    assert is_sound(outcomes), said(outcomes)
    assert "Set STATEROOM_PUBLIC_URL=http://127.0.0.1:" in said(outcomes)


def test_a_stripped_authorization_is_named(proxy: Proxy, stateroom: Stateroom) -> None:
    proxy.make_a_habit_of("lose authorization")

    outcomes = examined(proxy.url, stateroom.token)

    assert not is_sound(outcomes)
    assert "The Authorization header is removed on the way" in said(outcomes)


def test_a_stripped_query_is_named(proxy: Proxy, stateroom: Stateroom) -> None:
    proxy.make_a_habit_of("lose the query")

    outcomes = examined(proxy.url, stateroom.token)

    assert not is_sound(outcomes)
    assert "The query string is removed on the way" in said(outcomes)


def test_a_dropped_content_md5_is_named(proxy: Proxy, stateroom: Stateroom) -> None:
    proxy.make_a_habit_of("lose content-md5")

    outcomes = examined(proxy.url, stateroom.token)

    assert not is_sound(outcomes)
    assert "The Content-MD5 of requests is removed on the way" in said(outcomes)


def test_emptied_chunked_bodies_are_named(proxy: Proxy, stateroom: Stateroom) -> None:
    proxy.make_a_habit_of("empty chunks")

    outcomes = examined(proxy.url, stateroom.token, "writes")

    assert not is_sound(outcomes)
    assert "A chunked POST was answered 400" in said(outcomes)
    assert "Let the proxy pass chunked bodies" in said(outcomes)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirected_writes_are_named(proxy: Proxy, stateroom: Stateroom, status: int) -> None:
    proxy.redirect(status, "LOCK")

    outcomes = examined(proxy.url, stateroom.token, "redirects")

    assert not is_sound(outcomes)
    assert "LOCK /api/terraform/state/doctor-" in said(outcomes)
    assert "but nothing was stored" in said(outcomes)


def test_a_proxy_that_gives_up_is_named(proxy: Proxy, stateroom: Stateroom) -> None:
    proxy.answer(504, "UNLOCK", times=10**6)

    outcomes = examined(proxy.url, stateroom.token, "locks")

    assert not is_sound(outcomes)
    assert "The proxy did not wait for the server" in said(outcomes)


def test_a_connection_that_is_cut_is_named(proxy: Proxy, stateroom: Stateroom) -> None:
    proxy.cut("PUT", times=10**6)

    outcomes = examined(proxy.url, stateroom.token, "writes")

    assert not is_sound(outcomes)
    assert "closed the connection before the end of the answer" in said(outcomes)


def test_nothing_is_left_behind_a_faulty_proxy(proxy: Proxy, stateroom: Stateroom) -> None:
    proxy.answer(502, "POST", times=3)

    outcomes = examined(proxy.url, stateroom.token)

    assert "a state can be made for the checks" in said(outcomes)
    assert leftovers(stateroom) == []


def test_what_cannot_be_deleted_is_named(proxy: Proxy, stateroom: Stateroom) -> None:
    proxy.answer(502, "DELETE", times=10**6)

    outcomes = examined(proxy.url, stateroom.token)

    (left,) = leftovers(stateroom)
    assert f"could not be deleted, please delete them: /projects/{left}/workspaces/{left}" in said(
        outcomes
    )
    StateAddress(stateroom.wire, f"/api/terraform/state/{left}/{left}", stateroom.token).delete()
    stateroom.api.delete(f"/projects/{left}/workspaces/{left}")
    stateroom.api.delete(f"/projects/{left}")


def test_ctrl_c_destroys_all_behind(
    new_stateroom: Callable[..., Stateroom], tmp_path: Path
) -> None:
    here = new_stateroom()
    here.start_server()
    process = Process(
        [*DOCTOR, here.url, "--stall", "60", "--max-bytes", "1000"],
        env=environment() | {"STATEROOM_TOKEN": here.token, "PYTHONUNBUFFERED": "1"},
        cwd=ROOT,
        log=tmp_path / "doctor.log",
    )
    wait_until(lambda: "asks before it sends" in process.said(), "the upload that stalls")
    was_there = leftovers(here)

    process.signal(signal.SIGINT)

    assert process.wait() == 130
    assert was_there
    assert here.api.get("/projects")["items"] == []
    assert "Interrupted" in process.said()


def test_the_doctor_sends_what_terraform_sends(
    new_checkout: Callable[..., Checkout], proxy: Proxy, stateroom: Stateroom
) -> None:
    place = stateroom.place()
    checkout = new_checkout()
    checkout.connect(place.state, proxy.url)
    checkout.init()
    checkout.apply()
    checkout.run("force-unlock", "-force", "00000000-0000-4000-8000-000000000000")
    theirs = {request.verb: request for request in proxy.seen}
    target = Target(Wire(proxy.url), place.state.path, "ann", place.state.token)
    proxy.seen.clear()

    info = target.locked()
    target.write(state_document(99), info["ID"])
    target.unlock(info)
    target.read()
    if checkout.tool.name == "terraform":
        target.force_unlock()

    ours = {request.verb: request for request in proxy.seen}
    assert ours.keys() >= theirs.keys()
    for verb, request in theirs.items():
        assert ours[verb].headers.keys() == request.headers.keys()
        for name in ("user-agent", "accept-encoding", "content-type", "transfer-encoding"):
            assert ours[verb].headers.get(name) == request.headers.get(name), (verb, name)
    assert info.keys() == json.loads(next(r.body for r in proxy.seen if r.verb == "LOCK")).keys()
