"""The host keys by which runs of a project know ssh servers: lines of a known_hosts file."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from backend.catalogue import projects
from backend.errors import Conflict, Invalid, NotFound
from backend.models import Project
from backend.offload import Room
from backend.transactions import Caller, Transaction

# each scan is a subprocess, which waits for a server
ROOM = Room(2, seconds=2.0, refusal="Other hosts are being asked just now. Try again.")


@dataclass(frozen=True)
class HostKey:
    """One line. `hosts` is its first field: names separated by commas, patterns, or a hash."""

    hosts: str
    kind: str
    key: str  # base64
    marker: str = ""  # @revoked or @cert-authority

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` prints it; empty when the key cannot be read."""
        try:
            digest = hashlib.sha256(base64.b64decode(self.key, validate=True)).digest()
        except binascii.Error:
            return ""
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"

    @property
    def line(self) -> str:
        return " ".join(word for word in (self.marker, self.hosts, self.kind, self.key) if word)

    def is_of(self, host: str) -> bool:
        """Whether the line names this host. Patterns and hashes do not count."""
        return host.lower() in self.hosts.lower().split(",")


@dataclass(frozen=True)
class Shown:
    """A key that a server shows now. `known`: by the project, or `published`: by its owner."""

    key: HostKey
    known: bool
    published: bool


@dataclass(frozen=True)
class Scan:
    """What a server shows, and the known keys of the same types that it does not show."""

    host: str
    shown: Sequence[Shown]
    others: Sequence[HostKey]

    @property
    def new(self) -> str:
        """The lines to add, if they are what the host's owner publishes."""
        keys = [one.key for one in self.shown if not one.known and not one.published]
        return "" if self.others else "".join(f"{key.line}\n" for key in keys)


def every(text: str) -> Iterator[HostKey]:
    """The keys in a known_hosts file, without comments and what is no key."""
    for line in text.splitlines():
        found = _read(line)
        if found is not None:
            yield found


def scan(caller: Caller, project: str, host: str) -> Scan:
    """Ask HOST or HOST:PORT for its keys, for an administrator of the project.

    Somebody between this server and the host could show other keys: people compare them. Raises
    Forbidden, NotFound, Unavailable, and Invalid when the host is refused or does not answer.
    """
    with caller.reading() as tx:
        at = projects.named(tx, project)
        tx.require("admin", at.id)
        known = list(every(at.known_hosts))
    with ROOM.enter():
        shown = list(every("\n".join(caller.here.scan_host(host))))
    name = shown[0].hosts
    own = [key for key in known if key.is_of(name)]
    published = [
        key for key in every("\n".join(caller.here.published_host_keys)) if key.is_of(name)
    ]
    counts = own or published  # the keys of a project come before those that are published
    kinds = {key.kind for key in shown}
    return Scan(
        name,
        [Shown(key, _has(own, key), not own and _has(published, key)) for key in shown],
        [key for key in counts if key.kind in kinds and not key.marker and not _has(shown, key)],
    )


def add(tx: Transaction, project: Project, pasted: str) -> list[HostKey]:
    """Add lines as ssh-keyscan prints them, and return those that were not there yet.

    For administrators of the project. Raises Invalid with the number of a wrong line.
    """
    tx.require("admin", project.id)
    tx.db.refresh(project, with_for_update=True)
    had = {key.line for key in every(project.known_hosts)}
    added = [key for key in dict.fromkeys(_checked(pasted)) if key.line not in had]
    if added:
        lines = [*project.known_hosts.splitlines(), *(key.line for key in added)]
        _store(tx, project, lines)
    return added


def remove(tx: Transaction, project: Project, line: str) -> HostKey:
    """Remove a line. For administrators of the project. Raises NotFound when it is not there."""
    tx.require("admin", project.id)
    tx.db.refresh(project, with_for_update=True)
    lines = project.known_hosts.splitlines()
    gone = next((key for key in every(project.known_hosts) if key.line == line), None)
    if gone is None:
        raise NotFound("The project has no such host key any more.")
    _store(tx, project, [one for one in lines if _read(one) != gone])
    return gone


def _store(tx: Transaction, project: Project, lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines if line.strip())
    if len(text) > MAX_LENGTH:
        raise Conflict(f"A project has at most {MAX_LENGTH:,} bytes of host keys.", code="too-many")
    projects.update(tx, project, known_hosts=text)


MAX_LENGTH = 65_536


def _checked(pasted: str) -> Iterator[HostKey]:
    for number, line in enumerate(pasted.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _read(line)
        if (
            found is None
            or not found.fingerprint
            or not line.strip().replace("\t", " ").isprintable()
        ):
            raise Invalid(
                f"Line {number} is not a host key: a line needs a host, a key type and a key, as "
                "`ssh-keyscan HOST` prints it.",
                code="known-hosts-invalid",
                errors=[{"field": "lines", "message": f"Line {number} is not a host key."}],
            )
        yield found


def _read(line: str) -> HostKey | None:
    words = line.split()
    if not words or words[0].startswith("#"):
        return None
    marker = words.pop(0) if words[0].startswith("@") else ""
    return HostKey(words[0], words[1], words[2], marker) if len(words) >= 3 else None


def _has(keys: Iterable[HostKey], wanted: HostKey) -> bool:
    return any((key.kind, key.key) == (wanted.kind, wanted.key) for key in keys)
