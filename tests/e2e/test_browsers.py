"""A browser that remembers the login of an alias, and a page of another site."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Response

from tests.support.documents import lock_info, state_document
from tests.support.place import Place

SEND = """
async ([address, method, type, body]) => {
    const headers = type ? { 'Content-Type': type } : {};
    try {
        await fetch(address, { method, headers, body, mode: 'no-cors', credentials: 'include' });
        return 'sent';
    } catch (error) {
        return String(error);
    }
}
"""


class _Elsewhere(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title>")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Another site: `localhost` is not the site `127.0.0.1` that the server is at."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def remembering(browser: Browser, place: Place) -> Page:
    """A page of a browser in which somebody has typed the login and seen the state."""
    assert place.state.write(state_document(1, lineage="a")).status == 200
    path = f"/projects/{place.project}/workspaces/{place.workspace}/aliases"
    made = place.api.post(path, name="laptop", access="read-write")
    host = urlsplit(made["address"])
    page = browser.new_page()
    page.set_default_timeout(60_000)
    login = f"{made['username']}:{made['password']}"
    seen = page.goto(f"{host.scheme}://{login}@{host.netloc}{host.path}")
    assert seen is not None
    assert (seen.status, b'"serial"' in seen.body()) == (200, True)
    again = page.goto(made["address"])
    assert again is not None
    assert again.status == 200, "the browser has to remember the login, or nothing is tested"
    return page


def test_a_page_of_another_site_writes_locks_and_unlocks_nothing(
    remembering: Page, elsewhere: str, place: Place
) -> None:
    before = place.state.read().body
    address = remembering.url
    answers: list[tuple[str, int]] = []
    remembering.goto(elsewhere)

    def note(response: Response) -> None:
        answers.append((response.request.method, response.status))

    remembering.on("response", note)

    for method, kind, body in [
        ("POST", "text/plain", state_document(2, lineage="a")),
        ("POST", "application/x-www-form-urlencoded", state_document(3, lineage="a")),
        ("POST", None, state_document(4, lineage="a")),
    ]:
        sent = remembering.evaluate(SEND, [address, method, kind, body.decode()])
        assert sent == "sent"
    lock = str(lock_info()).replace("'", '"')
    assert remembering.evaluate(SEND, [f"{address}/lock", "POST", "text/plain", lock]) == "sent"
    with remembering.expect_navigation():
        remembering.evaluate(
            """([address, body]) => {
                const form = document.createElement('form');
                Object.assign(form, { method: 'POST', action: address, enctype: 'text/plain' });
                const [name, value] = body.split(/=(.*)/s);
                form.append(Object.assign(document.createElement('input'), { name, value }));
                document.body.append(form);
                form.submit();
            }""",
            [address, state_document(5, lineage="a=b").decode()],
        )

    assert len(answers) >= 5
    assert {status for method, status in answers if method == "POST"} == {403}
    assert place.state.read().body == before
    assert [version["number"] for version in place.versions()] == [1]
    assert not place.is_locked()


def test_a_page_of_the_same_server_writes_nothing_either(remembering: Page, place: Place) -> None:
    address = remembering.url
    before = place.state.read().body
    remembering.goto(f"{place.wire.url}/healthz")  # a page without a policy of its own

    status = remembering.evaluate(
        """async ([address, body]) => {
            const headers = { 'Content-Type': 'application/json' };
            const sent = await fetch(address, { method: 'POST', headers, body });
            return sent.status;
        }""",
        [address, state_document(2, lineage="a").decode()],
    )

    assert status == 403
    assert place.state.read().body == before
