"""The target of the checks: the address of one scratch state, and a credential."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote, urlsplit

from client.conformance.documents import FORCED, go_json, lock_info, only_the_id, state_document
from client.conformance.wire import Answer, Wire, basic, bearer, md5_of

PROTOCOL = "/api/terraform/"
READINGS = {200, 404}


class Blocked(Exception):
    """A check cannot begin because of a fault that another check reports."""


@dataclass(frozen=True)
class Target:
    wire: Wire
    path: str  # of the address of the state
    username: str
    password: str = field(repr=False)
    is_token: bool = True  # the password is a token, which also works as Bearer and with /api/v1
    size_limit: int = 16_000_000  # the largest body that the checks send, in bytes
    stall_seconds: float = 3.0
    clients: int = 20  # in parallel
    shown_address: str = ""  # the address of the state that the server shows

    @classmethod
    def at(cls, address: str, username: str, password: str) -> Self:
        """The target with this whole address."""
        return cls(Wire(address), urlsplit(address).path, username, password, is_token=False)

    @property
    def prefix(self) -> str:
        """The path before /api, empty unless the server is below a path."""
        return self.path.partition(PROTOCOL)[0] if PROTOCOL in self.path else ""

    @property
    def credentials(self) -> dict[str, str]:
        return basic(self.username, self.password)

    def read(self, headers: Mapping[str, str] | None = None) -> Answer:
        return self.send("GET", headers=headers)

    def write(self, body: bytes, lock_id: str | None = None, *, verb: str = "POST") -> Answer:
        """Write a document, with a lock ID or, as with -lock=false, without one."""
        return self.send(verb, body, path=self.path_with(lock_id))

    def lock(self, info: dict[str, str]) -> Answer:
        return self.send("LOCK", go_json(info))

    def unlock(self, info: dict[str, str]) -> Answer:
        return self.send("UNLOCK", go_json(info))

    def force_unlock(self) -> Answer:
        """Force-unlock as terraform does it: with an empty chunked body, without the ID."""
        return self.send_chunked("UNLOCK", [], {"Content-Md5": md5_of(b"")})

    def delete(self) -> Answer:
        return self.send("DELETE")

    def send(
        self,
        verb: str,
        body: bytes | None = None,
        *,
        path: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request as terraform does, with Content-MD5 and Content-Type for a body."""
        described = {} if body is None else self.described(body)
        return self.wire.send(
            verb, path or self.path, body, self.credentials | described | dict(headers or {})
        )

    def send_chunked(
        self, verb: str, pieces: Iterable[bytes], headers: Mapping[str, str], *, path: str = ""
    ) -> Answer:
        typed = {"Content-Type": "application/json"}
        return self.wire.send(
            verb, path or self.path, list(pieces), self.credentials | typed | dict(headers)
        )

    @staticmethod
    def described(body: bytes) -> dict[str, str]:
        return {"Content-Md5": md5_of(body), "Content-Type": "application/json"}

    def path_with(self, lock_id: str | None) -> str:
        return self.path if lock_id is None else f"{self.path}?ID={quote(lock_id)}"

    def stranger(self) -> dict[str, str]:
        """A credential with the right username and a wrong password."""
        return basic(self.username, f"not-{len(self.password)}-the-password")

    def ask_api(self, path: str) -> Answer:
        """GET a path of /api/v1, or any path of the server if it begins with /."""
        return self.wire.send("GET", self.prefix + path, None, bearer(self.password))

    def stored(self, serial: int = 5) -> bytes:
        """Store this document and leave the state unlocked. Raises Blocked."""
        push, body = lock_info(operation=FORCED), state_document(serial)
        self._lock(push)
        wrote = self.write(body, push["ID"])
        freed = self.unlock(push)
        if wrote.status not in {200, 201, 204}:
            raise Blocked(f"a state cannot be written (POST: {wrote.status})")
        if freed.status != 200:
            raise Blocked(f"a lock cannot be released (UNLOCK: {freed.status})")
        return body

    def locked(self, operation: str = "OperationTypeApply") -> dict[str, str]:
        """Take the lock, even if somebody else holds it. Raises Blocked."""
        info = lock_info(operation=operation)
        self._lock(info)
        return info

    def free(self) -> None:
        """Make sure that nobody holds the lock. Raises Blocked."""
        info = self.locked()
        if (freed := self.unlock(info)).status != 200:
            raise Blocked(f"a lock cannot be released (UNLOCK: {freed.status})")

    def holder(self) -> str:
        """The ID of the lock, or an empty text if the state is not locked. Raises Blocked."""
        probe = lock_info()
        answer = self.lock(probe)
        if answer.status == 200:
            self.unlock(probe)
            return ""
        if answer.status not in {409, 423}:
            raise Blocked(f"the holder of the lock is not named (LOCK: {answer.status})")
        return str(answer.fields.get("ID") or "somebody")

    def _lock(self, info: dict[str, str]) -> None:
        answer = self.lock(info)
        if answer.status in {409, 423}:  # an earlier check left the lock
            holder = str(answer.fields.get("ID") or "")
            self.unlock(only_the_id(holder)) if holder else self.force_unlock()
            answer = self.lock(info)
        if answer.status != 200:
            raise Blocked(f"an unlocked state cannot be locked (LOCK: {answer.status})")
