"""Fetch the files that pointers of Git LFS stand for, from the LFS server of their repository.

git-lfs would follow whatever address the server answers with. This asks the same interface (the
batch API, basic transfers) and sends every address through the gate of the repository's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from runner.errors import SourceError
from runner.job import Login, Source
from runner.sources.repository import Limits
from runner.sources.url import Address
from runner.sources.web import Answered, Web

_OID = re.compile(r"^oid sha256:([0-9a-f]{64})$", re.MULTILINE)
_SIZE = re.compile(r"^size (\d{1,18})$", re.MULTILINE)
_JSON = "application/vnd.git-lfs+json"
_AT_ONCE = 100
_CHUNK = 1 << 16
_MOST_ANSWER = 4 << 20


@dataclass(frozen=True)
class Pointer:
    path: str
    oid: str
    size: int


def read(root: Path, path: str) -> Pointer:
    """What a pointer says. Raises SourceError `lfs-failed`."""
    text = (root / path).read_text(encoding="utf-8", errors="replace")
    oid, size = _OID.search(text), _SIZE.search(text)
    if not oid or not size:
        raise _failed(path, "its pointer cannot be read")
    return Pointer(path, oid[1], int(size[1]))


def fetch(
    pointers: Sequence[Pointer],
    root: Path,
    source: Source,
    address: Address,
    limits: Limits,
) -> None:
    """Replace pointers of one repository with their files. Raises SourceError, Stopped."""
    if address.scheme == "file":
        for pointer in pointers:
            _copy(pointer, root, Path(unquote(urlsplit(address.url).path)), limits)
        return
    if address.scheme not in ("http", "https"):
        raise _failed(
            pointers[0].path,
            "over ssh there is no Git LFS here. Give the template an https address and a login",
        )
    web = Web(source.policy, limits)
    for start in range(0, len(pointers), _AT_ONCE):
        some = pointers[start : start + _AT_ONCE]
        actions = _batch(web, some, source, address)
        for pointer in some:
            _download(web, pointer, root, actions.get(pointer.oid))


def _batch(
    web: Web, pointers: Sequence[Pointer], source: Source, address: Address
) -> dict[str, Any]:
    """Where to download each object, by its id."""
    url = f"{address.url.rstrip('/').removesuffix('.git')}.git/info/lfs/objects/batch"
    headers = {"Accept": _JSON, "Content-Type": _JSON, **_login(source)}
    asked = {
        "operation": "download",
        "transfers": ["basic"],
        "objects": [{"oid": pointer.oid, "size": pointer.size} for pointer in pointers],
    }
    try:
        with web.ask(url, headers, json.dumps(asked).encode()) as answer:
            said = json.loads(b"".join(_bounded(answer, _MOST_ANSWER)))
        return {str(one["oid"]): one for one in said["objects"]}
    except (ValueError, KeyError, TypeError) as error:
        raise _failed(pointers[0].path, "the server's answer is not one of Git LFS") from error
    except SourceError as error:
        error.message = f"{pointers[0].path!r} of Git LFS: {error.message}"
        raise


def _download(web: Web, pointer: Pointer, root: Path, said: Any) -> None:
    try:
        action = said["actions"]["download"]
        href, headers = str(action["href"]), {**action.get("header", {})}
    except (KeyError, TypeError, ValueError):
        why = said.get("error", {}).get("message") if isinstance(said, dict) else None
        raise _failed(pointer.path, f"the server does not have it: {_shown(why)}") from None
    try:
        with web.ask(href, {str(k): str(v) for k, v in headers.items()}) as answer:
            _write(pointer, root, answer.chunks(_CHUNK))
    except SourceError as error:
        if error.code != "lfs-failed":
            error.message = f"{pointer.path!r} of Git LFS: {error.message}"
        raise


def _copy(pointer: Pointer, root: Path, repository: Path, limits: Limits) -> None:
    """From a repository on this machine, where git-lfs keeps what it has."""
    inside = Path("lfs", "objects", pointer.oid[:2], pointer.oid[2:4], pointer.oid)
    for file in (repository / ".git" / inside, repository / inside):
        if file.is_file() and file.resolve().is_relative_to(repository):
            with file.open("rb") as opened:
                _write(pointer, root, _read(opened, limits))
            return
    raise _failed(pointer.path, "the repository does not have it")


def _read(opened: Any, limits: Limits) -> Iterator[bytes]:
    while chunk := opened.read(_CHUNK):
        limits.check("Fetching files of Git LFS")
        yield chunk


def _write(pointer: Pointer, root: Path, chunks: Iterator[bytes]) -> None:
    """Write a file beside its place, and move it there when it is whole and the right one."""
    file, new = root / pointer.path, root / ".git" / f"lfs-{pointer.oid}"
    digest, size = hashlib.sha256(), 0
    with new.open("wb") as writing:
        for chunk in chunks:
            size += len(chunk)
            if size > pointer.size:
                break
            digest.update(chunk)
            writing.write(chunk)
    if size != pointer.size or digest.hexdigest() != pointer.oid:
        raise _failed(pointer.path, "the server sent something else than the pointer says")
    new.chmod(file.stat().st_mode & 0o777)
    new.replace(file)


def _bounded(answer: Answered, most: int) -> Iterator[bytes]:
    left = most
    for chunk in answer.chunks(_CHUNK):
        left -= len(chunk)
        if left < 0:
            raise ValueError("too long")
        yield chunk


def _login(source: Source) -> dict[str, str]:
    if not isinstance(source.credential, Login):
        return {}
    told = f"{source.credential.username}:{source.credential.password}"
    return {"Authorization": f"Basic {base64.b64encode(told.encode()).decode()}"}


def _failed(path: str, why: str) -> SourceError:
    return SourceError("lfs-failed", f"{path!r} of Git LFS could not be fetched: {why}.")


def _shown(text: object) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(text or "no reason given"))[:200]
