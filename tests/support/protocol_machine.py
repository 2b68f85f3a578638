"""A model of one state, and random conversations in which the server must answer like the model."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from client.conformance.wire import md5_of
from tests.support.api import Api
from tests.support.documents import lock_info, state_document
from tests.support.state_address import StateAddress
from tests.support.wire import Answer

LINEAGES = ("6f1f3d0e-0000-4000-8000-000000000001", "6f1f3d0e-0000-4000-8000-000000000002")
# what a lock is for goes with its ID, so that the model need not remember it
OPERATIONS = {
    "ann": "OperationTypeApply",
    "bob": "OperationTypePlan",
    "forcing": "state-push",
}
IDS = st.sampled_from(sorted(OPERATIONS))
FORCED = {"state-push"}


class Ground(Protocol):
    """Where a conversation takes place: a server that may be killed, and fresh states on it."""

    api: Api
    project: str

    def another_workspace(self) -> StateAddress: ...


@dataclass(frozen=True)
class Document:
    serial: int
    lineage: str
    variant: int

    @property
    def body(self) -> bytes:
        outputs = {"variant": str(self.variant)}
        return state_document(self.serial, lineage=self.lineage, outputs=outputs)


@dataclass
class Model:
    """The protocol's rules for one state."""

    documents: list[tuple[Document, str | None]] = field(default_factory=list)
    holder: str | None = None
    held_last: str | None = None
    written_at_release: int = 0
    deleted: bool = False

    @property
    def newest(self) -> Document | None:
        return self.documents[-1][0] if self.documents else None

    def read(self) -> int:
        if self.deleted:
            return 410
        return 404 if self.newest is None else 200

    def lock(self, lock_id: str) -> int:
        if self.deleted or self.holder not in {None, lock_id}:
            return 423
        self.holder = self.held_last = lock_id
        return 200

    def unlock(self, lock_id: str) -> int:
        if self.held_last != lock_id:
            return 409
        self._free()
        return 200

    def force_unlock(self) -> int:
        self._free()
        return 200

    def delete(self) -> int:
        if self.holder is not None:
            return 423
        self.deleted = True
        return 200

    def write(self, document: Document, lock_id: str | None) -> int:
        refusal = self._refusal(document, lock_id)
        if refusal is None and document != self.newest:
            self.documents.append((document, lock_id))
        return refusal or 200

    def _refusal(self, document: Document, lock_id: str | None) -> int | None:
        if self.deleted:
            return 410
        if self.holder is not None and lock_id != self.holder:
            return 423
        if self.holder is None and lock_id is not None and not self._may_be_late(document, lock_id):
            return 409
        if document == self.newest or OPERATIONS.get(lock_id or "") in FORCED:
            return None
        return 409 if self._is_behind(document) else None

    def _may_be_late(self, document: Document, lock_id: str) -> bool:
        if self.documents and self.documents[-1] == (document, lock_id):
            return True
        return self.held_last == lock_id and self.written_at_release == len(self.documents)

    def _is_behind(self, document: Document) -> bool:
        newest = self.newest
        if newest is None:
            return False
        return document.lineage != newest.lineage or document.serial <= newest.serial

    def _free(self) -> None:
        if self.holder is not None:
            self.written_at_release = len(self.documents)
        self.holder = None


class Conversation(RuleBasedStateMachine):
    """Several clients use one state. All answers and what is stored must be as in the model."""

    def __init__(self, ground: Ground, crash: Callable[[], None]) -> None:
        super().__init__()
        self.ground, self.crash = ground, crash
        self.model = Model()

    @initialize()
    def begin(self) -> None:
        self.address = self.ground.another_workspace()
        workspace = self.address.path.rsplit("/", 1)[1]
        self.states = f"/projects/{self.ground.project}/workspaces/{workspace}/states"

    @rule(lock_id=IDS)
    def lock(self, lock_id: str) -> None:
        answer = self.address.lock(self.info(lock_id))

        agree(answer, self.model.lock(lock_id))
        if answer.status == 423:
            assert answer.json()["ID"] == self.model.holder or self.model.deleted

    @rule(lock_id=IDS)
    def unlock(self, lock_id: str) -> None:
        agree(self.address.unlock(self.info(lock_id)), self.model.unlock(lock_id))

    @rule()
    def force_unlock(self) -> None:
        headers = {"Content-MD5": md5_of(b"")}
        agree(self.address.send_chunked("UNLOCK", [], headers), self.model.force_unlock())

    @rule(lock_id=st.none() | IDS, step=st.integers(-1, 3), variant=st.integers(0, 1),
          lineage=st.sampled_from([*LINEAGES[:1] * 4, LINEAGES[1]]))  # fmt: skip
    def write(self, lock_id: str | None, step: int, variant: int, lineage: str) -> None:
        document = self.next_document(step, variant, lineage)

        agree(self.address.write(document.body, lock_id), self.model.write(document, lock_id))

    @rule(step=st.integers(-1, 2), variant=st.integers(0, 1))
    def write_as_who_held_the_lock_last(self, step: int, variant: int) -> None:
        document, lock_id = self.next_document(step, variant, LINEAGES[0]), self.model.held_last

        agree(self.address.write(document.body, lock_id), self.model.write(document, lock_id))

    @rule()
    def write_the_newest_again(self) -> None:
        if self.model.newest is not None:
            agree(
                self.address.write(self.model.newest.body, self.model.holder),
                self.model.write(self.model.newest, self.model.holder),
            )

    @precondition(lambda self: self.model.documents and not self.model.deleted)
    @rule(comes_back=st.booleans())
    def delete(self, *, comes_back: bool) -> None:
        agree(self.address.delete(), self.model.delete())
        if comes_back:
            self.undelete()

    @precondition(lambda self: self.model.deleted)
    @rule()
    def undelete(self) -> None:
        self.ground.api.post(f"{self.states}/undelete")
        self.model.deleted = False

    @rule()
    def die(self) -> None:
        self.crash()

    @precondition(lambda self: self.model.holder is not None)
    @rule(delay=st.floats(0, 0.01), step=st.integers(1, 2))
    def die_while_the_holder_writes(self, delay: float, step: int) -> None:
        """Kill the server during a write. The answer or the write may be lost, but no half of it."""
        document, holder = self.next_document(step, 0, LINEAGES[0]), self.model.holder
        heard: list[Answer] = []
        writer = threading.Thread(target=self._write_into, args=(heard, document, holder))
        writer.start()
        time.sleep(delay)
        self.crash()
        writer.join()

        answered = heard and heard[0].status == 200
        arrived = self.address.read().body == document.body
        assert arrived or not answered, "a write that was answered with 200 is gone"
        # as terraform does when it hears nothing; whatever became of the first, there is one now
        agree(self.address.write(document.body, holder), self.model.write(document, holder))

    def _write_into(self, heard: list[Answer], document: Document, holder: str | None) -> None:
        try:
            heard.append(self.address.write(document.body, holder))
        except (OSError, http.client.HTTPException):
            return  # the server died first

    @invariant()
    def what_was_written_is_read_byte_for_byte(self) -> None:
        answer = self.address.read()

        agree(answer, self.model.read())
        if answer.status == 200:
            assert self.model.newest is not None
            assert answer.body == self.model.newest.body

    @invariant()
    def the_versions_are_numbered_without_a_gap(self) -> None:
        listed = self.ground.api.get(self.states, limit=1)["items"]

        assert (listed[0]["number"] if listed else 0) == len(self.model.documents)

    def next_document(self, step: int, variant: int, lineage: str) -> Document:
        newest = self.model.newest
        serial = 1 if newest is None else max(0, newest.serial + step)
        return Document(serial, lineage, variant)

    @staticmethod
    def info(lock_id: str) -> dict[str, Any]:
        return lock_info(lock_id, operation=OPERATIONS[lock_id])


def agree(answer: Answer, expected: int) -> None:
    assert answer.status == expected, f"{answer.status} {answer.body!r}, not {expected}"
