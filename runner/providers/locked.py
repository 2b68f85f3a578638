"""What a dependency lock file (.terraform.lock.hcl) says. It comes from the repository or a run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from runner.errors import ToolError
from runner.processes import found

NAME = ".terraform.lock.hcl"
ADDRESS = re.compile(
    r"[a-z0-9][a-z0-9.-]{0,252}(:\d{1,5})?/[0-9a-z][0-9a-z_-]*/[0-9a-z][0-9a-z_-]*"
)
VERSION = re.compile(r"\d{1,9}\.\d{1,9}\.\d{1,9}(-[0-9A-Za-z.-]{1,64})?(\+[0-9A-Za-z.-]{1,64})?")

MOST_BYTES = 1 << 20
_BLOCK = re.compile(r'^provider "([^"\n]*)" \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)
_BEGIN = re.compile(r"^\s*provider\b", re.MULTILINE)
_SELECTED = re.compile(r'^\s*version\s*=\s*"([^"\n]*)"', re.MULTILINE)
_HASHES = re.compile(rb"^\s*hashes\s*=\s*\[\n", re.MULTILINE)
_HASH = re.compile(r'"((?:h1|zh):[0-9A-Za-z+/=]+)"')


@dataclass(frozen=True)
class Locked:
    """The version of a provider that a lock file selects, and the packages that it accepts."""

    version: str
    hashes: frozenset[str]


def read(root: Path, folder: Path) -> Mapping[str, Locked]:
    """What the lock file of a folder below the root selects, by the addresses of the providers.

    Raises ToolError `lock-file-unreadable` for one that is not as the tools write it: then nobody
    here knows what it accepts.
    """
    path = PurePosixPath(folder.relative_to(root) / NAME)
    if not (folder / NAME).exists():
        return {}
    content = found.content(root, path, MOST_BYTES)
    if content is None:
        raise _unreadable("It is no regular file, or larger than 1 MiB.")
    return parse(content)


def parse(content: bytes) -> Mapping[str, Locked]:
    """Raises ToolError `lock-file-unreadable`."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _unreadable("It is not UTF-8.") from None
    blocks = _BLOCK.findall(text)
    if len(blocks) != len(_BEGIN.findall(text)) or "/*" in text:
        raise _unreadable("It is not as `init` writes it.")
    selected = {}
    for address, body in blocks:
        version = _SELECTED.search(body)
        if not version:
            raise _unreadable(f"It has no version of {address[:200]}.")
        selected[address] = Locked(version[1], frozenset(_HASH.findall(body)))
    return selected


def accept(content: bytes, address: str, h1: str) -> bytes:
    """The lock file with one more hash for a provider, as the tools add one when they install it.

    They compare an unpacked package with such hashes only.
    """
    begin = content.find(f'provider "{address}" {{\n'.encode())
    at = _HASHES.search(content, begin) if begin >= 0 else None
    if at is None:
        return content
    return content[: at.end()] + f'    "{h1}",\n'.encode() + content[at.end() :]


def _unreadable(why: str) -> ToolError:
    return ToolError("lock-file-unreadable", f"The lock file {NAME} could not be read. {why}")
