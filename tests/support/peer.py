"""A small state server that keeps the protocol, or breaks those rules of it that a test names."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

from client.conformance.wire import md5_of

PATH = "/api/terraform/state/shop/app"
USERNAME, PASSWORD = "token", "open-sesame"
FORCED = {"state-push", "migration destination state"}


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    verb: str
    path: str
    lock_id: str | None
    headers: dict[str, str]  # names in lower case
    body: bytes


class Refusal(Exception):
    def __init__(self, status: int, body: dict[str, Any] | None = None) -> None:
        self.status = status
        self.body = body or {"status": status}


class Peer:
    """One state at PATH. `faults` are the rules that it breaks, in a few words each."""

    def __init__(self, *faults: str) -> None:
        self.faults = set(faults)
        self.body: bytes | None = None
        self.holder: dict[str, Any] | None = None
        self.last_id = ""
        self.written_since = False
        self.last_write: tuple[str | None, bytes] = (None, b"")
        self.deleted = False
        self.mutex = threading.Lock()

    def broken(self, fault: str) -> bool:
        return fault in self.faults

    def answer(self, request: Request) -> Reply:
        try:
            return self._route(request)
        except Redirect:
            raise
        except Refusal as refusal:
            return _json(refusal.status, refusal.body)

    def _route(self, request: Request) -> Reply:
        if request.path == "/healthz":
            return self._health()
        if request.path == "/readyz":
            parts = {"database": "failed" if self.broken("not ready") else "ok"}
            return _json(503 if self.broken("not ready") else 200, {"parts": parts})
        if request.path == "/api/v1/openapi.json":
            headers = {"Content-Encoding": "gzip"} if self.broken("compresses") else {}
            return Reply(200, gzip.compress(b"{}"), headers)
        self._check_redirect(request)
        known = self._check_credential(request)
        if request.path == "/api/v1/whoami":
            return _json(200, {"name": "doctor"})
        if not known:
            raise Refusal(404 if self.broken("unknown is 404") else 403)
        with self.mutex:
            return self._act(request)

    def _health(self) -> Reply:
        off = timedelta(hours=2) if self.broken("clock off") else timedelta()
        if self.broken("another site"):
            return Reply(200, b"<html><title>Welcome</title>", {"Content-Type": "text/html"})
        return _json(
            200,
            {
                "version": "9.9" if self.broken("another version") else version("stateroom"),
                "time": (datetime.now(UTC) + off).isoformat(),
                "protocol": "HTTP/1.0" if self.broken("http/1.0") else "HTTP/1.1",
            },
        )

    def _check_redirect(self, request: Request) -> None:
        path = request.path
        to = ""
        if self.broken("redirects") and not path.endswith("/"):
            to = f"{path}/"
        elif self.broken("redirects a slash") and path.endswith("/"):
            to = path.rstrip("/")
        elif self.broken("redirects //") and "//" in path:
            to = path.replace("//", "/")
        if to:
            raise Redirect(to)

    def _check_credential(self, request: Request) -> bool:
        """Check the address and the password. Raises Refusal."""
        path = request.path.replace("//", "/").rstrip("/").removesuffix("/lock")
        known = path == PATH or request.path.startswith("/api/v1/")
        given = request.headers.get("authorization", "")
        username, password = _credential(given)
        right = password == PASSWORD
        if given.startswith("Bearer") and self.broken("no Bearer"):
            right = False
        if given.startswith("Basic") and username != USERNAME and self.broken("one username"):
            right = False
        if not given and self.broken("open"):
            right = True
        if self.broken("no credential arrives"):
            right, given = False, ""
        if right:
            return known
        if self.broken("wrong password is 404"):
            raise Refusal(404)
        if self.broken("strangers see addresses") and not known:
            raise Refusal(403)
        raise Refusal(401, {"given": bool(given)})

    def _check_browser(self, request: Request) -> None:
        """Check that no web page sent this. Raises Refusal."""
        page = {"origin", "sec-fetch-site"} & request.headers.keys()
        if page and not self.broken("web pages"):
            raise Refusal(403)
        with_body = request.verb in {"POST", "PUT", "LOCK"}
        typed = request.headers.get("content-type", "").startswith("application/json")
        if with_body and not typed and not self.broken("any type"):
            raise Refusal(415)

    def _act(self, request: Request) -> Reply:
        self._check_browser(request)
        if request.path.rstrip("/").endswith("/lock"):
            return self._at_lock(request)
        self._check_md5(request)
        verbs = {
            "GET": self._read,
            "HEAD": self._read,
            "POST": self._write,
            "PUT": self._write,
            "DELETE": self._delete,
            "LOCK": self._lock,
            "UNLOCK": self._unlock,
        }
        if request.verb in verbs and not self.broken(f"no {request.verb}"):
            return verbs[request.verb](request)
        if self.broken("any verb"):
            return Reply(200)
        return Reply(405, headers={"Allow": "GET, POST, PUT, DELETE, LOCK, UNLOCK"})

    def _at_lock(self, request: Request) -> Reply:
        if self.broken("no /lock"):
            raise Refusal(405)
        if request.verb in {"LOCK", "POST", "PUT"}:
            return self._lock(request)
        if request.verb in {"UNLOCK", "DELETE"}:
            return self._unlock(request)
        if self.broken("/lock can be read"):
            return Reply(404)
        raise Refusal(405)

    def _check_md5(self, request: Request) -> None:
        given = request.headers.get("content-md5")
        checked = not self.broken("no MD5 check") and request.verb != "GET"
        if given is not None and checked and given != md5_of(request.body):
            raise Refusal(400)

    def _read(self, request: Request) -> Reply:
        was_write = (
            ("content-md5" in request.headers and not self.broken("GET with MD5 is read"))
            or (request.lock_id is not None and not self.broken("GET with ID is read"))
            or ("content-type" in request.headers and not self.broken("GET with type is read"))
        )
        if was_write:
            raise Refusal(400)
        if self.deleted:
            raise Refusal(404 if self.broken("deleted is 404") else 410)
        if self.holder is not None and self.broken("lock stops reads"):
            raise Refusal(423)
        if request.verb == "HEAD" and self.broken("HEAD is empty"):
            return Reply(404)
        if self.body is None:
            return Reply(204 if self.broken("never written is 204") else 404)
        body = self.body
        if self.broken("changes bytes"):
            body = json.dumps(json.loads(body)).encode()
        kind = "text/plain" if self.broken("text") else "application/json"
        headers = {"Content-Type": kind, "Content-MD5": md5_of(body)}
        if self.broken("no Content-MD5"):
            del headers["Content-MD5"]
        return Reply(200, body, headers)

    def _write(self, request: Request) -> Reply:
        if self.deleted:
            if not self.broken("deleted comes back"):
                raise Refusal(410)
            return Reply(200)
        if self.broken("chunks are lost") and "transfer-encoding" in request.headers:
            request = Request("POST", request.path, request.lock_id, request.headers, b"")
        heading = self._heading(request.body)
        self._check_lock(request)
        if self.broken("no retry") and self.last_write == (request.lock_id, request.body):
            raise Refusal(409)
        if self.last_write != (request.lock_id, request.body):
            self._check_serial(heading)
        self.last_write = (request.lock_id, request.body)
        self.written_since = True
        self.body = request.body
        if self.broken("ID gets into the state") and request.lock_id:
            self.body = json.dumps(json.loads(request.body) | {"ID": request.lock_id}).encode()
        if self.broken("202"):
            return Reply(202)
        return Reply(200)

    def _heading(self, body: bytes) -> dict[str, Any]:
        if self.broken("any body"):
            try:
                return dict(json.loads(body))
            except (ValueError, TypeError):
                return {"serial": 99, "lineage": "any"}
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            raise Refusal(400) from None
        serial = found.get("serial") if isinstance(found, dict) else None
        if not isinstance(serial, int) or serial < 0 or "lineage" not in found:
            raise Refusal(400)
        if "version" not in found and self.broken("no encrypted states"):
            raise Refusal(400)
        return dict(found)

    def _check_lock(self, request: Request) -> None:
        if self.broken("POST ignores the lock"):
            return
        if self.holder is not None:
            if request.lock_id != self.holder["ID"]:
                raise Refusal(423, self.holder)
            return
        if request.lock_id is None:
            if self.broken("only locked writes"):
                raise Refusal(403)
            return
        if self.last_write == (request.lock_id, request.body) and not self.broken("no late retry"):
            return
        late = request.lock_id != self.last_id or self.written_since
        if (late and not self.broken("late writes")) or self.broken("nothing late"):
            raise Refusal(409)

    def _check_serial(self, new: dict[str, Any]) -> None:
        if self.body is None:
            if self.broken("first serial is 1") and new["serial"] > 1:
                raise Refusal(409)
            return
        forced = self.holder is not None and self.holder.get("Operation") in FORCED
        if forced and not self.broken("no force"):
            return
        old = json.loads(self.body) if self.body.startswith((b"{", b"\n")) else {"serial": 0}
        objectionable = (
            (new["serial"] < old["serial"] and not self.broken("any serial"))
            or (new["lineage"] != old.get("lineage") and not self.broken("any lineage"))
            or (new["serial"] == old["serial"] and not self.broken("a serial twice"))
        )
        skips = new["serial"] > old["serial"] + 1 and self.broken("no skips")
        twice = new["serial"] > old["serial"] and self.broken("one write a lock")
        if objectionable or skips or (twice and self.written_since and self.holder):
            raise Refusal(409)

    def _delete(self, _request: Request) -> Reply:
        if self.holder is not None and not self.broken("DELETE ignores the lock"):
            raise Refusal(423, self.holder)
        self.deleted = True
        return Reply(200)

    def _lock(self, request: Request) -> Reply:
        if len(request.body) > 100_000 and not self.broken("any lock"):
            raise Refusal(413)
        info = self._info(request.body)
        if self.deleted and not self.broken("deleted can be locked"):
            raise Refusal(423, {"ID": "state-deleted"})
        held = self.holder
        if held is not None and not self.broken("two locks"):
            if held["ID"] == info["ID"] and not self.broken("no LOCK twice"):
                return Reply(200)
            is_old = held.get("Created", "").startswith("2001")
            if not (is_old and self.broken("Created counts")):
                return self._refuse_lock(held)
        self.holder, self.last_id, self.written_since = info, info["ID"], False
        return Reply(201 if self.broken("LOCK is 201") else 200)

    def _refuse_lock(self, held: dict[str, Any]) -> Reply:
        shown = {} if self.broken("no holder") else held
        reply = _json(423, shown)
        if self.broken("lock is html"):
            reply.headers["Content-Type"] = "text/html; charset=utf-8"
        return reply

    def _info(self, body: bytes) -> dict[str, Any]:
        try:
            info = json.loads(body)
            if isinstance(info["ID"], str) and info["ID"] and "\0" not in info["ID"]:
                return dict(info)
        except (ValueError, TypeError, KeyError):
            pass
        if self.broken("any lock"):
            return {"ID": "any"}
        raise Refusal(400)

    def _unlock(self, request: Request) -> Reply:
        if not request.body:
            if self.broken("no force-unlock"):
                raise Refusal(400)
            if self.broken("free is an error") and self.holder is None:
                raise Refusal(409)
            self.holder = None
            return Reply(200)
        if self.broken("any unlock"):
            self.holder = None
            return Reply(200)
        info = self._info(request.body)
        if self.broken("no tofu force-unlock") and not info.get("Operation"):
            raise Refusal(400)
        if self.holder is None:
            mine = info["ID"] == self.last_id and not self.broken("no UNLOCK twice")
            return Reply(200 if mine or self.broken("free is freed") else 409)
        if info["ID"] != self.holder["ID"]:
            return _json(409, {"holder": self.holder})
        self.holder = None
        return Reply(204 if self.broken("UNLOCK is 204") else 200)


class Redirect(Refusal):
    def __init__(self, to: str) -> None:
        super().__init__(301)
        self.to = to


def _json(status: int, body: Any) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


def _credential(given: str) -> tuple[str, str]:
    kind, _, value = given.partition(" ")
    if kind == "Bearer":
        return "", value
    try:
        username, _, password = base64.b64decode(value).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return username, password
