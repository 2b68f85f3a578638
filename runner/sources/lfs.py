"""Fetch the files that pointers of Git LFS stand for, from the LFS server of their repository.

git-lfs would follow whatever address the server answers with. This asks the same interface (the
batch API, basic transfers) and sends every address through the gate of the repository's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from runner.errors import SourceError
from runner.job import Login, Source
from runner.processes.process import capture, child_environment
from runner.sources import ssh
from runner.sources.repository import Limits
from runner.sources.tree import MOST_BYTES, too_large
from runner.sources.url import Address, admit, path_of
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


@dataclass(frozen=True)
class _Door:
    """The address of an LFS server, and what it wants to be asked with."""

    url: str
    headers: dict[str, str] = field(repr=False)


def read(root: Path, path: str) -> Pointer:
    """What a pointer says. Raises SourceError `lfs-failed`."""
    text = (root / path).read_text(encoding="utf-8", errors="replace")
    oid, size = _OID.search(text), _SIZE.search(text)
    if not oid or not size:
        raise _failed(path, "its pointer cannot be read")
    return Pointer(path, oid[1], int(size[1]))


def fetch_all(
    paths: Sequence[str], root: Path, sources: Mapping[str, Source], work: Path, limits: Limits
) -> None:
    """Replace pointers with their files, each from the repository that it is in.

    `sources`: of the repository by "", and of its submodules by their paths. `work` is the run's
    own folder. Raises SourceError: `lfs-failed`, `repository-too-large`, the codes of web.ask and
    ssh.agent; and Stopped.
    """
    found: dict[str, list[Pointer]] = {}
    for path in paths:
        home = max((h for h in sources if not h or path.startswith(f"{h}/")), key=len)
        found.setdefault(home, []).append(read(root, path))
    if sum(pointer.size for some in found.values() for pointer in some) > MOST_BYTES:
        raise too_large()
    for home, some in found.items():
        _fetch(some, root, sources[home], work, limits)


def _fetch(
    pointers: Sequence[Pointer], root: Path, source: Source, work: Path, limits: Limits
) -> None:
    address = admit(source.url, source.policy)
    if address.scheme == "file":
        for pointer in pointers:
            _copy(pointer, root, Path(unquote(urlsplit(address.url).path)), limits)
        return
    door = _door(pointers[0], source, address, work, limits)
    web = Web(source.policy, limits)
    for start in range(0, len(pointers), _AT_ONCE):
        some = pointers[start : start + _AT_ONCE]
        actions = _batch(web, some, door)
        for pointer in some:
            _download(web, pointer, root, actions.get(pointer.oid))


def _door(first: Pointer, source: Source, address: Address, work: Path, limits: Limits) -> _Door:
    """Where the repository's LFS server is. Over ssh the host is asked, which gives a login too."""
    if address.scheme != "ssh":
        return _Door(f"{address.url.rstrip('/').removesuffix('.git')}.git/info/lfs", _login(source))
    try:
        said = json.loads(_asked_by_ssh(first, source, address, work, limits))
        usual = f"https://{address.host}/{path_of(address)}.git/info/lfs"
        headers = {str(name): str(value) for name, value in (said.get("header") or {}).items()}
        return _Door(str(said.get("href") or usual).rstrip("/"), headers)
    except (ValueError, AttributeError) as error:
        raise _failed(first.path, "the host's answer over ssh is not one of Git LFS") from error


def _asked_by_ssh(
    first: Pointer, source: Source, address: Address, work: Path, limits: Limits
) -> bytes:
    """What `git-lfs-authenticate` says at the host."""
    host, path = _host_and_path(address)
    with ssh.agent_of(source, address, work) as agent:
        given = agent.environment if agent else {}
        if "'" in path:
            raise _failed(first.path, "the path of its repository has a quote in it")
        asked = (host, f"git-lfs-authenticate '{path}' download")
        command = f'{given["GIT_SSH_COMMAND"]} "$@"'
        argv = ("sh", "-c", command, "ssh", "-p", str(address.port), *asked)
        done = capture(
            argv,
            env=child_environment(work, work, os.environ.get("PATH", os.defpath), given),
            cwd=work,
            deadline=limits.left(),
            limit=_MOST_ANSWER,
            stop=limits.stop,
        )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise _failed(first.path, f"the host refused to name its server over ssh: {_shown(said)}")
    return done.stdout


def _host_and_path(address: Address) -> tuple[str, str]:
    """[USER@]HOST, and the path as git asks for it."""
    if "://" not in address.url:
        host, _, path = address.url.partition(":")
        return host, path
    parts = urlsplit(address.url)
    user = f"{parts.username}@" if parts.username else ""
    return f"{user}{address.host}", parts.path


def _batch(web: Web, pointers: Sequence[Pointer], door: _Door) -> dict[str, Any]:
    """Where to download each object, by its id."""
    url = f"{door.url}/objects/batch"
    headers = {"Accept": _JSON, "Content-Type": _JSON, **door.headers}
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
