"""Host keys of ssh servers: the lines of a known_hosts file, and scanning a server for its keys."""

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
    """The input is not a host key, or a server has none. The message says why."""


@dataclass(frozen=True)
class HostKey:
    """One line. `hosts` is its first field: names separated by commas, patterns, or a hash."""

    hosts: str
    kind: str
    key: str  # base64
    marker: str = ""  # @revoked or @cert-authority

    @property
    def fingerprint(self) -> str:
        """The fingerprint as `ssh-keygen -l` prints it."""
        digest = hashlib.sha256(base64.b64decode(self.key)).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"

    @property
    def line(self) -> str:
        return " ".join(word for word in (self.marker, self.hosts, self.kind, self.key) if word)

    def is_of(self, host: str) -> bool:
        """Whether the line names this host. Patterns do not count."""
        if self.hosts.startswith("|"):
            return _is_hash_of(host, self.hosts)
        return host in self.hosts.lower().split(",")

    def without(self, host: str) -> HostKey | None:
        """The line without this host, or None if it names no other."""
        others = [name for name in self.hosts.split(",") if name.lower() != host]
        return replace(self, hosts=",".join(others)) if others and "|" not in self.hosts else None


@dataclass(frozen=True)
class Place:
    """The host and port of an ssh server."""

    host: str
    port: int = 22

    def __str__(self) -> str:
        """The form that people write: HOST or HOST:PORT."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 22 else f"{host}:{self.port}"

    @property
    def name(self) -> str:
        """The form in known_hosts files: HOST or [HOST]:PORT."""
        return self.host if self.port == 22 else f"[{self.host}]:{self.port}"


def place(text: str) -> Place:
    """Parse HOST or HOST:PORT, with brackets around an IPv6 address. Raises NoHostKey."""
    found = _PLACE.fullmatch(text)
    port = int(found["port"] or 22) if found else 0
    if found is None or not 0 < port < 1 << 16:
        raise NoHostKey(f"{text!r} is not a host: write HOST or HOST:PORT.")
    return Place((found["ipv6"] or found["name"]).lower(), port)


def parse(line: str) -> HostKey | None:
    """The key in a line of a known_hosts file, or None for a comment. Raises NoHostKey."""
    words = line.split()
    if not words or words[0].startswith("#"):
        return None
    marker = words.pop(0) if words[0].startswith("@") else ""
    try:
        hosts, kind, key = words[:3]
        base64.b64decode(key, validate=True)
    except (ValueError, binascii.Error):
        raise NoHostKey(
            "A line of a known_hosts file needs a host, the type of a key and the key."
        ) from None
    return HostKey(hosts, kind, key, marker)


def every(text: str) -> Iterator[HostKey]:
    """The keys in a known_hosts file. Raises NoHostKey with the number of a wrong line."""
    for number, line in enumerate(text.splitlines(), 1):
        try:
            found = parse(line)
        except NoHostKey as error:
            raise NoHostKey(f"Line {number}: {error}") from None
        if found is not None:
            yield found


def scan(where: Place, seconds: int = SECONDS) -> list[HostKey]:
    """The keys that a server shows to this machine. Raises NoHostKey.

    `seconds` is how long it may take to answer.
    Somebody between this machine and the server could show other keys: compare the fingerprints.
    """
    argv = ["ssh-keyscan", "-T", str(seconds), "-p", str(where.port), "--", where.host]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    try:
        done = subprocess.run(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=6 * seconds,
            check=False,
        )
    except FileNotFoundError:
        raise NoHostKey("ssh-keyscan is not installed: install OpenSSH's client.") from None
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
    """Whether the field is the hash of this host: `|1|SALT|HMAC-SHA1`, as HashKnownHosts writes."""
    try:
        _, version, salt, digest = field.split("|")
        found = hmac.digest(base64.b64decode(salt), host.encode(), "sha1")
        return version == "1" and found == base64.b64decode(digest)
    except (ValueError, binascii.Error):
        return False
