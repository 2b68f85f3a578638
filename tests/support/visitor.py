"""A browser without a screen: it opens pages of the application in this process, and sends forms."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

FORM_TOKEN = re.compile(r'name="csrf" value="([0-9a-f]+)"')
BROWSER = {
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
}


class Visitor:
    """It keeps cookies. `token`: it signed in already, and this is the secret of its session."""

    def __init__(self, app: Flask, token: str | None = None) -> None:
        self.client = app.test_client()
        if token is not None:
            self.client.set_cookie("stateroom_session", token)

    def get(self, path: str, **options: Any) -> TestResponse:
        headers = BROWSER | options.pop("headers", {})
        return self.client.get(path, headers=headers, **options)

    def read(self, path: str) -> str:
        """The text of a page that has to be there."""
        answer = self.get(path)
        assert answer.status_code == 200, (answer.status_code, answer.get_data(as_text=True))
        return answer.get_data(as_text=True)

    def send(self, path: str, fields: Any = None, **options: Any) -> TestResponse:
        """Send a form to an address, with the token of a form that was opened before."""
        headers = BROWSER | options.pop("headers", {})
        given = {"csrf": self.form_token(), **(fields or {})}
        return self.client.post(path, data=given, headers=headers, **options)

    def done(self, path: str, fields: Any = None) -> str:
        """Send a form that has to be accepted; the address that the browser goes to then."""
        answer = self.send(path, fields)
        assert answer.status_code == 303, (answer.status_code, answer.get_data(as_text=True))
        return str(answer.headers["Location"])

    def form_token(self) -> str:
        """The token of a form on a page that everybody has."""
        cookie = self.client.get_cookie("stateroom_session")
        page = self.get("/account" if cookie is not None else "/sign-in", follow_redirects=True)
        found = FORM_TOKEN.search(page.get_data(as_text=True))
        assert found is not None, page.get_data(as_text=True)
        return found[1]


def words(page: str) -> str:
    """What is written on a page, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())
