"""The host keys that ssh trusts: those of the project, and the shipped keys of public git hosts."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from pathlib import Path

from runner.errors import SourceError

_SHIPPED = Path(__file__).with_name("known_hosts")


def trusted(own: str) -> list[str]:
    """The lines of a known_hosts file: the project's lines, and the shipped ones.

    If a line of the project names a host, the shipped keys of that host are left out. Raises
    SourceError with `known-hosts-invalid`.
    """
    if any(not (c.isprintable() or c in "\t\r\n") for c in own):
        raise SourceError("known-hosts-invalid", "The known hosts have control characters in them.")
    lines = [line.rstrip() for line in own.splitlines()]
    named = [line.split()[0] for line in lines if line.strip() and line.lstrip()[0] not in "#@"]
    return lines + [line for line in shipped() if not _is_named(line.split()[0], named)]


def shipped() -> list[str]:
    """The published keys of public git hosts, which every project knows."""
    lines = _SHIPPED.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def _is_named(host: str, named: list[str]) -> bool:
    return any(_is_hash_of(host, f) if f.startswith("|") else _matches(host, f) for f in named)


def _is_hash_of(host: str, field: str) -> bool:
    """Whether the field is the hash of this host: `|1|SALT|HMAC-SHA1`, as HashKnownHosts writes."""
    try:
        _, version, salt, digest = field.split("|")
        found = hmac.digest(base64.b64decode(salt), host.encode(), "sha1")
        return version == "1" and found == base64.b64decode(digest)
    except (ValueError, binascii.Error):  # ssh ignores it too
        return False


def _matches(host: str, field: str) -> bool:
    """Whether one of the patterns, with * and ?, matches, and none with ! does."""
    patterns = field.split(",")
    excluded = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    included = [pattern for pattern in patterns if not pattern.startswith("!")]
    return any(_fits(host, p) for p in included) and not any(_fits(host, p) for p in excluded)


def _fits(host: str, pattern: str) -> bool:
    expression = re.escape(pattern.lower()).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, host) is not None
