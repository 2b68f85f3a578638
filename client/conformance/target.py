"""Where the checks are asked: one scratch state at its address, and what is known around it."""

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
    """A check cannot begin, because something that another check names does not work."""


@dataclass(frozen=True)
class Target:
    wire: Wire
    path: str  # of the state's address
    username: str
    password: str = field(repr=False)
    is_token: bool = True  # the password is a token: any username, Bearer and /api/v1 too
    size_limit: int = 16_000_000  # largest body that the checks send, bytes
    stall_seconds: float = 3.0
    clients: int = 20  # in parallel
    shown_address: str = ""  # where the server itself says that the state is

    @classmethod
    def at(cls, address: str, username: str, password: str) -> Self:
        """A state by its whole address."""
        return cls(Wire(address), urlsplit(address).path, username, password, is_token=False)

    @property
    def prefix(self) -> str:
        """What comes before /api: empty unless the server lives below a path."""
        return self.path.partition(PROTOCOL)[0] if PROTOCOL in self.path else ""

    @property
    def credentials(self) -> dict[str, str]:
        return basic(self.username, self.password)

    def read(self, headers: Mapping[str, str] | None = None) -> Answer:
        return self.send("GET", headers=headers)

    def write(self, body: bytes, lock_id: str | None = None, *, verb: str = "POST") -> Answer:
        """Without a lock ID it is the write of -lock=false."""
        return self.send(verb, body, path=self.path_with(lock_id))

    def lock(self, info: dict[str, str]) -> Answer:
        return self.send("LOCK", go_json(info))

    def unlock(self, info: dict[str, str]) -> Answer:
        return self.send("UNLOCK", go_json(info))

    def force_unlock(self) -> Answer:
        """As terraform does it: an empty chunked body, and not the ID that was typed."""
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
        """As terraform: Content-MD5 and the JSON type beside a body; `headers` win."""
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
        """The right username with a wrong password."""
        return basic(self.username, f"not-{len(self.password)}-the-password")

    def ask_api(self, path: str) -> Answer:
        """A GET of /api/v1, or of the server's own pages when it begins with /."""
        return self.wire.send("GET", self.prefix + path, None, bearer(self.password))

    def stored(self, serial: int = 5) -> bytes:
        """A free state that holds this document, whatever it held before. Raises Blocked."""
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
        """A lock that is ours now, whoever had it before. Raises Blocked."""
        info = lock_info(operation=operation)
        self._lock(info)
        return info

    def free(self) -> None:
        """Nobody holds the lock. Raises Blocked."""
        info = self.locked()
        if (freed := self.unlock(info)).status != 200:
            raise Blocked(f"a lock cannot be released (UNLOCK: {freed.status})")

    def holder(self) -> str:
        """The ID of who holds the lock; empty when nobody does. Raises Blocked."""
        probe = lock_info()
        answer = self.lock(probe)
        if answer.status == 200:
            self.unlock(probe)
            return ""
        if answer.status not in {409, 423}:
            raise Blocked(f"nobody says who holds the lock (LOCK: {answer.status})")
        return str(answer.fields.get("ID") or "somebody")

    def _lock(self, info: dict[str, str]) -> None:
        answer = self.lock(info)
        if answer.status in {409, 423}:  # left by a check before
            holder = str(answer.fields.get("ID") or "")
            self.unlock(only_the_id(holder)) if holder else self.force_unlock()
            answer = self.lock(info)
        if answer.status != 200:
            raise Blocked(f"a free state cannot be locked (LOCK: {answer.status})")
