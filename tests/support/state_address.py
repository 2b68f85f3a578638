"""A client of one state address that sends what terraform sends, header by header."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Mapping
from typing import Any

from backend.errors import Unreadable
from client.conformance.wire import md5_of
from tests.support.wire import Answer, Wire, basic


class StateAddress:
    def __init__(self, wire: Wire, path: str, token: str) -> None:
        self.wire = wire
        self.path = path
        self.token = token

    @property
    def url(self) -> str:
        return self.wire.url + self.path

    def read(self, headers: Mapping[str, str] | None = None) -> Answer:
        return self.send("GET", headers=headers)

    def read_or_cut(self) -> Answer | None:
        """None when the answer ends in the middle of its body: terraform fails then."""
        try:
            return self.read()
        except (http.client.IncompleteRead, Unreadable):
            return None

    def write(self, body: bytes, lock_id: str | None = None, *, verb: str = "POST") -> Answer:
        """POST or PUT; without a lock ID it is the write of `-lock=false`."""
        query = "" if lock_id is None else f"?ID={lock_id}"
        return self.send(verb, body, path=self.path + query)

    def lock(self, info: Mapping[str, Any]) -> Answer:
        return self.send("LOCK", json.dumps(info).encode())

    def unlock(self, info: Mapping[str, Any]) -> Answer:
        return self.send("UNLOCK", json.dumps(info).encode())

    def send_chunked(
        self, verb: str, pieces: Iterable[bytes], headers: Mapping[str, str]
    ) -> Answer:
        """Without Content-Length, as terraform sends an empty body."""
        described = basic(self.token) | {"Content-Type": "application/json"} | dict(headers)
        return self.wire.send(verb, self.path, list(pieces), described)

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
        """With Content-MD5 and the JSON type when there is a body; `headers` win."""
        described = (
            {}
            if body is None
            else {"Content-Type": "application/json", "Content-MD5": md5_of(body)}
        )
        return self.wire.send(
            verb, path or self.path, body, basic(self.token) | described | dict(headers or {})
        )
