"""OpenID providers: one of other people's making as a process, and one that can tell lies."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import requests
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.support.processes import Process, free_port, wait_until
from tests.support.project import ROOT

CLIENT_ID, CLIENT_SECRET = "stateroom-tests", "a secret of the provider"
Claims = dict[str, Any]


@contextmanager
def oidc_provider_mock(log: Path) -> Iterator[str]:
    """The URL of a provider process. Its users are made by `person`."""
    port = free_port()
    argv = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    process = Process(argv, env={"PATH": "/usr/bin:/bin", "NO_COLOR": "1"}, cwd=ROOT, log=log)
    url = f"http://localhost:{port}"
    try:
        wait_until(lambda: _answers(url), url, every=0.1)
        yield url
    finally:
        process.kill_tree()


def person(url: str, subject: str, **claims: Any) -> None:
    """Have that provider know a person, or change what it says of them."""
    requests.put(f"{url}/users/{subject}", json=claims, timeout=10).raise_for_status()


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/.well-known/openid-configuration", timeout=2).ok
    except requests.ConnectionError:
        return False


class Provider:
    """A provider that signs in whoever comes, and says of them what a test has it say."""

    def __init__(self) -> None:
        self.claims: Claims = {"sub": "ann-1", "preferred_username": "ann", "groups": []}
        self.told: Claims | None = None  # by the userinfo endpoint; None: the same
        self.key = _new_key()
        self.published = [self.key]
        # what it does to the claims of an ID token, and how it signs them
        self.change: Callable[[Claims], Claims] = dict
        self.sign: Callable[[Claims], str] = self.signed
        self.answer: Callable[[Claims], Claims] = dict  # to what it sends back to us
        self.is_down = False
        self.methods: list[str] = []  # how clients showed who they are
        self.asked: list[str] = []  # paths
        self._codes: dict[str, dict[str, str]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://localhost:{self._server.server_port}"
        self.more: Claims = {"end_session_endpoint": f"{self.url}/leave"}
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def signed(self, claims: Claims) -> str:
        return jwt.encode({"alg": "RS256", "kid": str(self.key.kid)}, claims, self.key)

    def unsigned(self, claims: Claims) -> str:
        return self._signing_input("none", claims) + "."

    def signed_with_the_public_key(self, claims: Claims) -> str:
        """With HS256, whose key everybody has who knows the public one."""
        said = self._signing_input("HS256", claims)
        proof = hmac.digest(self.key.as_pem(private=False), said.encode(), "sha256")
        return f"{said}.{_base64(proof)}"

    def signed_by_somebody_else(self, claims: Claims) -> str:
        return jwt.encode({"alg": "RS256", "kid": str(self.key.kid)}, claims, _new_key())

    def _signing_input(self, algorithm: str, claims: Claims) -> str:
        parts = ({"alg": algorithm, "kid": self.key.kid}, claims)
        return ".".join(_base64(json.dumps(part).encode()) for part in parts)

    def rotate(self) -> None:
        """From now on it signs with another key, and publishes that alone."""
        self.key = _new_key()
        self.published = [self.key]

    def send_back(self, address: str) -> str:
        """Where it sends a browser that comes with this address."""
        answer = requests.get(address, timeout=10, allow_redirects=False)
        assert answer.status_code == 302, answer.text
        there = urlsplit(answer.headers["Location"])
        return f"{there.path}?{there.query}"

    def metadata(self) -> Claims:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/keys",
            **self.more,
        }

    def keys(self) -> Claims:
        return {"keys": [{**key.as_dict(private=False), "use": "sig"} for key in self.published]}

    def authorize(self, asked: dict[str, str]) -> str:
        code = secrets.token_urlsafe(8)
        self._codes[code] = asked
        back = self.answer({"code": code, "state": asked["state"]})
        return f"{asked['redirect_uri']}?{urlencode(back)}"

    def redeem(self, form: dict[str, str], authorization: str) -> tuple[int, Claims]:
        asked = self._codes.pop(form.get("code", ""), None)
        self.methods.append("basic" if authorization else "post")
        expected = _basic(f"{CLIENT_ID}:{CLIENT_SECRET.replace(' ', '%20')}")
        plain = _basic(f"{CLIENT_ID}:{CLIENT_SECRET}")
        is_client = authorization in {expected, plain} or form.get("client_secret") == CLIENT_SECRET
        if not is_client:
            return 401, {"error": "invalid_client"}
        if asked is None or _challenge(form["code_verifier"]) != asked["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": asked["client_id"],
            "exp": now + 300,
            "iat": now,
            "nonce": asked["nonce"],
            **self.claims,
        }
        token = self.sign(self.change(claims))
        return 200, {"access_token": "access", "token_type": "Bearer", "id_token": token}


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            there = urlsplit(self.path)
            provider.asked.append(there.path)
            if provider.is_down:
                self._send(500, {})
            elif there.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", provider.authorize(dict(parse_qsl(there.query))))
                self.end_headers()
            elif there.path == "/userinfo":
                told = provider.claims if provider.told is None else provider.told
                self._send(200, {"sub": provider.claims["sub"]} | told)
            else:
                known = {
                    "/.well-known/openid-configuration": provider.metadata,
                    "/keys": provider.keys,
                }
                self._send(200, known[there.path]())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            if provider.is_down:
                self._send(500, {})
            else:
                self._send(*provider.redeem(form, self.headers.get("Authorization", "")))

        def _send(self, status: int, body: Claims) -> None:
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _new_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": secrets.token_hex(4)})


def _challenge(verifier: str) -> str:
    return _base64(hashlib.sha256(verifier.encode()).digest())


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
