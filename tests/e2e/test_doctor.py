"""`stateroom doctor` against real deployments, sound ones and misconfigured ones."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client import doctor, report
from client.conformance.suite import CHECKS, Outcome, is_sound
from client.conformance.target import Target
from client.conformance.wire import Wire
from client.doctor import Deployment, Thoroughness
from tests.support.documents import state_document
from tests.support.installations import Installations
from tests.support.nginx import nginx, self_signed
from tests.support.processes import Process, free_port, wait_until
from tests.support.proxy import Proxy, proxy_to
from tests.support.state_address import StateAddress
from tests.support.stateroom import Stateroom
from tests.support.tools import Checkout

ROOT = Path(__file__).parents[2]
WRITING = ("reads", "writes", "force-unlock")
DOCTOR = [sys.executable, "-m", "stateroom", "doctor"]
GOOD = "proxy_http_version 1.1; proxy_request_buffering off; client_max_body_size 100m;"


@pytest.fixture
def stateroom(installations: Installations) -> Stateroom:
    return installations.server()


@pytest.fixture
def proxy(stateroom: Stateroom) -> Iterator[Proxy]:
    with proxy_to(stateroom.url) as proxy:
        yield proxy


@pytest.fixture
def behind(stateroom: Stateroom, tmp_path: Path) -> Callable[[str], list[Outcome]]:
    """What the doctor finds behind an nginx with these lines in its `location /`."""

    def examine(location: str, *themes: str, server: str = "") -> list[Outcome]:
        lines = f"{server} location / {{ proxy_pass {stateroom.url}; {location} }}"
        with nginx(tmp_path / "nginx", free_port(), lines) as url:
            return examined(url, stateroom.token, *themes)

    return examine


def examined(url: str, token: str, *themes: str) -> list[Outcome]:
    """What the doctor finds of these themes, and of the network."""
    how = Thoroughness(slow=False)
    asked = [check for check in CHECKS if check.theme in {"network", *themes}]
    return doctor.examine(Deployment(url, token), how, lambda _: None, asked)


def run(url: str, *arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DOCTOR, url, *arguments],
        env=environment() | given,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return {**kept, "PATH": os.environ["PATH"]}


def said(outcomes: list[Outcome]) -> str:
    """All faults in words, on one line."""
    return " ".join(report.faults(outcomes).split())


def leftovers(stateroom: Stateroom) -> list[str]:
    projects = stateroom.api.get("/projects", limit=100)["items"]
    return [project["name"] for project in projects if project["name"].startswith("doctor-")]


def test_a_deployment_without_anything_in_between_is_sound(stateroom: Stateroom) -> None:
    done = run(
        stateroom.url, "--max-bytes", "2000000", "--stall", "0.5", STATEROOM_TOKEN=stateroom.token
    )

    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert {line.split()[0] for line in lines[:-3]} == {"ok"}
    assert lines[-1].startswith(f"The deployment at {stateroom.url} (Stateroom ")
    assert " is sound: " in lines[-1]
    assert stateroom.token not in done.stdout + done.stderr
    assert leftovers(stateroom) == []


def test_a_deployment_behind_nginx_as_the_manual_has_it_is_sound(
    new_stateroom: Callable[..., Stateroom], tmp_path: Path
) -> None:
    port = free_port()
    certificate = self_signed(tmp_path / "tls.pem")
    here = new_stateroom(url=f"https://127.0.0.1:{port}")
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


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        ({}, "not signed by an authority that this machine trusts"),
        ({"days": -1}, "is not valid now"),
        ({"address": "127.0.0.9"}, "is for another name"),
    ],
    ids=["of an unknown authority", "expired", "for another name"],
)
def test_a_certificate_that_cannot_be_trusted_is_named(
    stateroom: Stateroom, tmp_path: Path, certificate: dict[str, str], words: str
) -> None:
    file = self_signed(tmp_path / "tls.pem", **certificate)  # type: ignore[arg-type]
    trusted = {"SSL_CERT_FILE": str(file)} if certificate else {}
    server = f"location / {{ proxy_pass {stateroom.url}; }}"

    with nginx(tmp_path / "nginx", free_port(), server, file) as url:
        done = run(url, STATEROOM_TOKEN=stateroom.token, **trusted)

    assert done.returncode == 1
    assert words in " ".join(done.stdout.split())


def test_a_port_that_nobody_listens_on_is_named() -> None:
    outcomes = examined(f"http://127.0.0.1:{free_port()}", "a-token")

    assert "Nothing listens at" in said(outcomes)
    assert not is_sound(outcomes)


def test_a_body_limit_of_nginx_is_named(behind: Callable[..., list[Outcome]]) -> None:
    outcomes = behind("proxy_http_version 1.1; client_max_body_size 1m;", "limits")

    assert not is_sound(outcomes)
    assert "413 Request Entity Too Large" in said(outcomes)
    assert "client_max_body_size 100m" in said(outcomes)


def test_a_redirect_to_https_is_named(behind: Callable[..., list[Outcome]]) -> None:
    outcomes = behind(GOOD, server="return 301 https://$host$request_uri;")

    assert not is_sound(outcomes)
    assert "301 Moved Permanently to https://127.0.0.1/" in said(outcomes)
    assert "exits 0 and has stored nothing" in said(outcomes)
    assert "write https://" in said(outcomes)


def test_a_slash_that_nginx_adds_is_named(behind: Callable[..., list[Outcome]]) -> None:
    outcomes = behind(
        GOOD,
        "redirects",
        server="location ~ ^/api/terraform/.*[^/]$ { return 308 $uri/$is_args$args; }",
    )

    assert not is_sound(outcomes)
    assert "The proxy adds a slash" in said(outcomes)
    assert "a 307 or 308 loses the lock's ID" in said(outcomes)


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
    assert "Answers come compressed (gzip)" in said(outcomes)


def test_another_address_in_the_snippets_is_mentioned(
    behind: Callable[..., list[Outcome]],
) -> None:
    outcomes = behind(GOOD)

    assert is_sound(outcomes), said(outcomes)
    assert "Set STATEROOM_URL=http://127.0.0.1:" in said(outcomes)


def test_a_stripped_authorization_is_named(proxy: Proxy, stateroom: Stateroom) -> None:
    proxy.make_a_habit_of("lose authorization")

    outcomes = examined(proxy.url, stateroom.token)

    assert not is_sound(outcomes)
    assert "The Authorization header is stripped on the way" in said(outcomes)


def test_a_wrong_token_is_named(stateroom: Stateroom) -> None:
    outcomes = examined(stateroom.url, "not-a-token")

    assert not is_sound(outcomes)
    assert "The credential is refused" in said(outcomes)


def test_a_stripped_query_is_named(proxy: Proxy, stateroom: Stateroom) -> None:
    proxy.make_a_habit_of("lose the query")

    outcomes = examined(proxy.url, stateroom.token)

    assert not is_sound(outcomes)
    assert "The query string is stripped on the way" in said(outcomes)


def test_a_dropped_content_md5_is_named(proxy: Proxy, stateroom: Stateroom) -> None:
    proxy.make_a_habit_of("lose content-md5")

    outcomes = examined(proxy.url, stateroom.token)

    assert not is_sound(outcomes)
    assert "The Content-MD5 of requests is dropped on the way" in said(outcomes)


def test_emptied_chunked_bodies_are_named(proxy: Proxy, stateroom: Stateroom) -> None:
    proxy.make_a_habit_of("empty chunks")

    outcomes = examined(proxy.url, stateroom.token, "writes")

    assert not is_sound(outcomes)
    assert "A chunked POST was answered 400" in said(outcomes)
    assert "Let the proxy pass chunked bodies on" in said(outcomes)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirected_writes_are_named(proxy: Proxy, stateroom: Stateroom, status: int) -> None:
    proxy.redirect(status, "LOCK")

    outcomes = examined(proxy.url, stateroom.token, "redirects")

    assert not is_sound(outcomes)
    assert "LOCK /api/terraform/state/doctor-" in said(outcomes)
    assert "exits 0 and has stored nothing" in said(outcomes)


def test_a_proxy_that_gives_up_is_named(proxy: Proxy, stateroom: Stateroom) -> None:
    proxy.answer(504, "UNLOCK", times=10**6)

    outcomes = examined(proxy.url, stateroom.token, "locks")

    assert not is_sound(outcomes)
    assert "The proxy did not wait for the server" in said(outcomes)


def test_a_connection_that_is_cut_is_named(proxy: Proxy, stateroom: Stateroom) -> None:
    proxy.cut("PUT", times=10**6)

    outcomes = examined(proxy.url, stateroom.token, "writes")

    assert not is_sound(outcomes)
    assert "ended the connection without a whole answer" in said(outcomes)


def test_nothing_is_left_behind_a_faulty_proxy(proxy: Proxy, stateroom: Stateroom) -> None:
    proxy.answer(502, "POST", times=3)

    outcomes = examined(proxy.url, stateroom.token)

    assert "a state can be made for the checks" in said(outcomes)
    assert leftovers(stateroom) == []


def test_what_cannot_be_deleted_is_named(proxy: Proxy, stateroom: Stateroom) -> None:
    proxy.answer(502, "DELETE", times=10**6)

    outcomes = examined(proxy.url, stateroom.token)

    (left,) = leftovers(stateroom)
    assert f"could not be deleted, please do: /projects/{left}/workspaces/{left}" in said(outcomes)
    StateAddress(stateroom.wire, f"/api/terraform/state/{left}/{left}", stateroom.token).delete()
    stateroom.api.delete(f"/projects/{left}/workspaces/{left}")
    stateroom.api.delete(f"/projects/{left}")


def test_ctrl_c_leaves_nothing_behind(
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


def test_a_token_of_one_project_examines_within_it(installations: Installations) -> None:
    place = installations.place()
    path = f"/projects/{place.project}/tokens"
    token = place.api.post(path, name="doctor", scopes=["admin"])["secret"]

    outcomes = examined(place.wire.url, token)

    assert is_sound(outcomes), said(outcomes)
    workspaces = place.api.get(f"/projects/{place.project}/workspaces")["items"]
    assert [workspace["name"] for workspace in workspaces] == [place.workspace]


def test_a_token_that_may_make_no_workspace_is_told_what_it_needs(
    installations: Installations,
) -> None:
    place = installations.place()
    path = f"/projects/{place.project}/tokens"
    token = place.api.post(path, name="reader", scopes=["state:read", "runs:read"])["secret"]

    outcomes = examined(place.wire.url, token)

    assert "Give a token that has state:read, state:write" in said(outcomes)
    assert not is_sound(outcomes)


def test_an_address_that_somebody_made_is_examined_and_deleted(
    installations: Installations,
) -> None:
    place = installations.place()
    credentials = {"TF_HTTP_USERNAME": "anybody", "TF_HTTP_PASSWORD": place.state.token}

    done = run("--address", place.state.url, "--quick", **credentials)

    assert done.returncode == 0, done.stdout + done.stderr
    assert place.state.read().status == 410
    assert not place.is_locked()


def test_an_alias_is_examined_by_its_own_login(installations: Installations) -> None:
    place = installations.place()
    path = f"/projects/{place.project}/workspaces/{place.workspace}/aliases"
    alias = place.api.post(path, name="laptop", access="read-write")
    credentials = {
        "TF_HTTP_USERNAME": alias["username"],
        "TF_HTTP_PASSWORD": alias["password"],
    }

    done = run("--address", alias["address"], "--quick", **credentials)

    assert done.returncode == 0, done.stdout + done.stderr
    assert alias["password"] not in done.stdout + done.stderr
    assert "the state keeps what the checks have written" in " ".join(done.stdout.split())
    assert not place.is_locked()


def test_a_state_that_holds_something_is_not_touched(installations: Installations) -> None:
    place = installations.place()
    body = state_document()
    place.state.write(body)
    credentials = {"TF_HTTP_USERNAME": "anybody", "TF_HTTP_PASSWORD": place.state.token}

    done = run("--address", place.state.url, "--quick", **credentials)

    assert done.returncode == 1
    assert "Only a state that was never written is used" in " ".join(done.stdout.split())
    assert place.state.read().body == body
    assert len(place.versions()) == 1


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (["http://127.0.0.1:1"], {}, "Set STATEROOM_TOKEN"),
        (["127.0.0.1:1"], {"STATEROOM_TOKEN": "t"}, "must begin with https://"),
        (["https://me:secret@host"], {"STATEROOM_TOKEN": "t"}, "No credentials in the URL"),
        (["--token-file", "/there/is/none", "http://host"], {}, "cannot be read"),
        ([], {"STATEROOM_TOKEN": "t"}, "Give the URL"),
    ],
)
def test_a_wrong_call_is_told_what_is_missing(
    arguments: list[str], given: dict[str, str], words: str
) -> None:
    done = subprocess.run(
        [*DOCTOR, *arguments],
        env=environment() | given,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert words in done.stderr
    assert "secret" not in done.stderr
