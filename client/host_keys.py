"""Host keys of ssh servers: the lines of a known_hosts file, and asking a server for its own."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace

from client.text import printable

SECONDS = 10
_PLACE = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>\w[\w.-]*))(?::(?P<port>\d{1,5}))?", re.ASCII
)


class NoHostKey(Exception):
    """What was given is no host key, or there is none. The message says why."""


@dataclass(frozen=True)
class HostKey:
    """One line. `hosts` is its first field: names with commas between them, patterns, a hash."""

    hosts: str
    kind: str
    key: str  # base64
    marker: str = ""  # @revoked or @cert-authority

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen -l prints it."""
        digest = hashlib.sha256(base64.b64decode(self.key)).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"

    @property
    def line(self) -> str:
        return " ".join(word for word in (self.marker, self.hosts, self.kind, self.key) if word)

    def is_of(self, host: str) -> bool:
        """Whether the line names this host itself; a pattern does not."""
        if self.hosts.startswith("|"):
            return _is_hash_of(host, self.hosts)
        return host in self.hosts.lower().split(",")

    def without(self, host: str) -> HostKey | None:
        """The line for its other hosts; None when there are none."""
        others = [name for name in self.hosts.split(",") if name.lower() != host]
        return replace(self, hosts=",".join(others)) if others and "|" not in self.hosts else None


@dataclass(frozen=True)
class Place:
    """Where an ssh server is."""

    host: str
    port: int = 22

    def __str__(self) -> str:
        """As a person writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 22 else f"{host}:{self.port}"

    @property
    def name(self) -> str:
        """As a known_hosts file has it."""
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"


def place(text: str) -> Place:
    """HOST or HOST:PORT; brackets around an IPv6 address. Raises NoHostKey."""
    found = _PLACE.fullmatch(text)
    port = int(found["port"] or 22) if found else 0
    if found is None or not 0 < port < 1 << 16:
        raise NoHostKey(f"{text!r} is no host: write HOST or HOST:PORT.")
    return Place((found["ipv6"] or found["name"]).lower(), port)


def parse(line: str) -> HostKey | None:
    """The key in a line of a known_hosts file; None for a comment. Raises NoHostKey."""
    words = line.split()
    if not words or words[0].startswith("#"):
        return None
    marker = words.pop(0) if words[0].startswith("@") else ""
    try:
        hosts, kind, key = words[:3]
        base64.b64decode(key, validate=True)
    except (ValueError, binascii.Error):
        raise NoHostKey(
            "A line of a known_hosts file has a host, the type of a key and the key."
        ) from None
    return HostKey(hosts, kind, key, marker)


def every(text: str) -> Iterator[HostKey]:
    """The keys of a known_hosts file. Raises NoHostKey with the number of a line that is wrong."""
    for number, line in enumerate(text.splitlines(), 1):
        try:
            found = parse(line)
        except NoHostKey as error:
            raise NoHostKey(f"Line {number}: {error}") from None
        if found is not None:
            yield found


def scan(where: Place) -> list[HostKey]:
    """The keys that a server shows when it is asked from here. Raises NoHostKey.

    Whoever is between here and the server can show his own: compare the fingerprints.
    """
    argv = ["ssh-keyscan", "-T", str(SECONDS), "-p", str(where.port), "--", where.host]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    try:
        done = subprocess.run(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=6 * SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise NoHostKey("There is no ssh-keyscan here: install OpenSSH's client.") from None
    except subprocess.TimeoutExpired:
        raise NoHostKey(f"{where} does not answer.") from None
    found = [
        replace(key, hosts=where.name) for key in every(done.stdout.decode("ascii", "replace"))
    ]
    if not found:
        said = printable(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
        raise NoHostKey(f"{where} shows no host key: {said or 'it does not answer'}.")
    return found


def _is_hash_of(host: str, field: str) -> bool:
    """`|1|SALT|HMAC-SHA1`, which is how HashKnownHosts of ssh_config writes a host."""
    try:
        _, version, salt, digest = field.split("|")
        found = hmac.digest(base64.b64decode(salt), host.encode(), "sha1")
        return version == "1" and found == base64.b64decode(digest)
    except (ValueError, binascii.Error):
        return False
