"""Check an exported audit log without a server or a key.

    hash = SHA-256(hash of the previous entry || the entry as JSON: sorted, no spaces, ASCII)

where the entry is the line without `number`, `previous` and `hash`, and the hash before the first
entry is 32 zero bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

FIRST = "0" * 64
_LINK = ("number", "previous", "hash")


@dataclass
class ChainReport:
    """`head` is NUMBER:HASH of the last good entry. `broken` says what is wrong after it."""

    verified: int = 0
    missing: int = 0
    head: str = f"0:{FIRST}"
    broken: str | None = None


class Broken(Exception):
    """The first line that was changed or moved."""


def check(
    lines: Iterable[bytes], known: str | None = None, *, gaps: str = "refused"
) -> ChainReport:
    """Check the chain. `known` is a head that somebody noted earlier.

    `gaps` are "allowed" in the export of one project or period. Then the hashes are checked, but
    not whether entries are missing.
    """
    report = ChainReport()
    number, digest, found = 0, FIRST, known in {None, f"0:{FIRST}"}
    try:
        for place, line in enumerate(lines, 1):
            before = number
            number, digest = _follow(line, place, number, digest, gaps)
            report.missing += number - before - 1
            report.verified += 1
            report.head = f"{number}:{digest}"
            found = found or report.head == known
    except Broken as broken:
        report.broken = str(broken)
        return report
    if not found:
        report.broken = f"The entry {known}, which was noted as the head, is missing."
    return report


def _follow(line: bytes, place: int, number: int, digest: str, gaps: str) -> tuple[int, str]:
    """The number and hash of the entry in this line. Raises Broken."""
    link, entry = _parse(line, place)
    said = link["number"]
    if said <= number:
        raise Broken(f"Line {place}: entry {said} comes after entry {number}: the order is wrong.")
    if said > number + 1 and gaps == "refused":
        first, last = number + 1, said - 1
        what = f"entry {first} is" if first == last else f"the entries {first} to {last} are"
        raise Broken(f"Line {place}: {what} missing: removed, or left out by a filter.")
    if said == number + 1 and link["previous"] != digest:
        raise Broken(f"Line {place}: entry {said} does not follow entry {number}: inserted.")
    if _hash(link["previous"], entry) != link["hash"]:
        raise Broken(f"Line {place}: entry {said} was changed.")
    return said, link["hash"]


def _parse(line: bytes, place: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The link and the entry of a line. Raises Broken for a line that is not an entry."""
    try:
        entry = json.loads(line)
        link = {name: entry.pop(name) for name in _LINK}
        valid = isinstance(link["number"], int) and all(
            len(bytes.fromhex(link[name])) == 32 for name in _LINK[1:]
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        valid = False
    if not valid:
        raise Broken(f"Line {place} is not a line of an exported audit log.")
    return link, entry


def _hash(previous: str, entry: dict[str, Any]) -> str:
    canonical = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode("ascii")
    return hashlib.sha256(bytes.fromhex(previous) + canonical).hexdigest()
