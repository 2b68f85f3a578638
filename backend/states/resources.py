"""The resources in a version of a state: listed, counted, drawn, and one with its attributes.

A large document is looked through in a process of its own, as one that is compared.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from backend import audit
from backend.documents import resources as document
from backend.documents import resources_process
from backend.documents.graph import Graph
from backend.documents.resources import Asked, Detail, Draw, List, Listing, Show, Sum, Summary
from backend.errors import Conflict, Gone, Invalid, Unreadable
from backend.models import StateVersion
from backend.offload import Room, off_loop
from backend.states import looking, states, versions
from backend.transactions import Caller

SMALL = 1024 * 1024  # bytes of a document that is looked through in a thread of the server
ROOM = Room(2, seconds=20.0, refusal="Too many states are being looked through. Try again.")

KEPT = 4  # graphs of versions, which never change: a picture is asked for after its page

Found = TypeVar("Found")


class _LastDrawn:
    """The graphs that were asked for last, by the ids of their versions."""

    def __init__(self) -> None:
        self._graphs: OrderedDict[str, Graph] = OrderedDict()
        self._in_turn = threading.Lock()

    def get(self, version: StateVersion) -> Graph | None:
        with self._in_turn:
            return self._graphs.get(version.id)

    def keep(self, version: StateVersion, drawn: Graph) -> None:
        with self._in_turn:
            self._graphs[version.id] = drawn
            while len(self._graphs) > KEPT:
                self._graphs.popitem(last=False)


_last_drawn = _LastDrawn()


@dataclass(frozen=True)
class Seen(Generic[Found]):
    """What was found in this version. Of a state that was never written both are None."""

    version: StateVersion | None
    found: Found | None


@dataclass(frozen=True)
class Summarised:
    """A version with what is in it, or the reason that nobody can look into it."""

    version: StateVersion
    summary: Summary | None
    why: str = ""


def find_all(
    caller: Caller, project: str, workspace: str, which: str, wanted: List
) -> Seen[Listing]:
    """The instances in a version, given as a number or `latest`. Raises what `get` raises."""
    return _ask(caller, project, workspace, which, wanted)


def summarise(caller: Caller, project: str, workspace: str, which: str) -> Summarised:
    """A version, with how many resources of which types and which outputs it has, or why not.

    Raises NotFound, Forbidden, and Gone for the latest version of a deleted state.
    """
    with caller.reading() as tx:
        state = states.named(tx, project, workspace)
        version = versions.get(tx, state, which)
    try:
        _refuse(version)
        found = _answer(caller, version, Sum())
    except (Conflict, Gone, Invalid, Unreadable) as reason:
        return Summarised(version, None, reason.message)
    return Summarised(version, found)  # type: ignore[arg-type]  # a sum is answered by a summary


def draw(caller: Caller, project: str, workspace: str, which: str) -> Seen[Graph]:
    """What depends on what. Raises what `get` raises."""
    return _ask(caller, project, workspace, which, Draw())


def get(caller: Caller, project: str, workspace: str, which: str, address: str) -> Seen[Detail]:
    """One instance with its attributes, without its secrets. Audited.

    Raises NotFound, Forbidden, Gone for a removed version, Invalid for one that is too large,
    Conflict for one that OpenTofu encrypted or that is no state, Unreadable, and Unavailable when
    many are being looked through.
    """
    return _ask(caller, project, workspace, which, Show(address))


def _ask(caller: Caller, project: str, workspace: str, which: str, question: Asked) -> Seen[Found]:
    version = _version(caller, project, workspace, which, question)
    if version is None:
        return Seen(None, None)
    return Seen(version, _answer(caller, version, question))  # type: ignore[arg-type]  # each has its own


def _answer(caller: Caller, version: StateVersion, question: Asked) -> document.Answer:
    if isinstance(question, Draw) and (known := _last_drawn.get(version)) is not None:
        return known
    content = states.content(version, caller.here.keyring, caller.here.blobs)
    ask = _here if version.size <= SMALL else _apart
    found = ask(caller, version.size, question, content)
    if isinstance(found, Graph):
        _last_drawn.keep(version, found)
    return found


def _version(
    caller: Caller, project: str, workspace: str, which: str, question: Asked
) -> StateVersion | None:
    is_audited = isinstance(question, Show)
    with caller.transaction() if is_audited else caller.reading() as tx:
        state = states.named(tx, project, workspace)
        tx.require("state:read", state.project_id)
        if which == versions.LATEST and state.current == 0 and state.deleted_at is None:
            return None
        version = versions.numbered(tx.db, state, which)
        _refuse(version)
        if isinstance(question, Show):
            audit.record(
                tx, "state.show_resource", state.id, project_id=state.project_id,
                number=version.number, address=question.address[:1000],
            )  # fmt: skip
    return version


def _refuse(version: StateVersion) -> None:
    """Refuse to look into a version before it is opened."""
    states.refuse_removed(version)
    document.check_size(version.size)
    if version.encrypted:
        raise Conflict(
            "OpenTofu encrypted this state itself: only its own passphrase opens the content.",
            code="state-encrypted",
        )


def _here(
    _caller: Caller, _size: int, question: Asked, content: Iterator[bytes]
) -> document.Answer:
    with ROOM.enter():
        return off_loop(lambda: document.answer(question, b"".join(content)))


def _apart(caller: Caller, size: int, question: Asked, content: Iterator[bytes]) -> document.Answer:
    """Look through it in a process of its own. Raises Invalid when it needs more than it may."""
    pieces = itertools.chain((resources_process.heading(question),), content)
    return off_loop(resources_process.found_in, _PROCESS.answer(caller, size, pieces))


def _too_much(memory: int) -> Invalid:
    return Invalid(
        f"Looking through this state needs more than {memory:,} bytes of memory, or "
        f"{resources_process.CPU_SECONDS} seconds. Download it, and read it with `terraform show`.",
        code="state-too-large-to-show",
    )


_PROCESS = looking.Process(resources_process.__name__, resources_process.CPU_SECONDS, _too_much)
