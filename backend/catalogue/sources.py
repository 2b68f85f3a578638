"""What can be said of a repository, a ref and a path without asking anybody.

The worker looks again, with the installation's full rules, before git sees any of it.
"""

from __future__ import annotations

import posixpath
import re
from urllib.parse import urlsplit

from backend.errors import Invalid

SCHEMES = ("https", "ssh", "http", "file")

_SCP_FORM = re.compile(r"(?:[\w.+-]+@)?[\w.-]+:[^:].*", re.ASCII)
_REF_TRICKS = re.compile(r"[\s~^:?*\[\\\x00-\x20\x7f]|\.\.|@\{|//|/$|^/|\.lock$|^@$")


def check_repository(url: str) -> str:
    """An https, ssh or scp-form address, or a local path. Raises Invalid."""
    if not url or not url.isprintable() or url != url.strip():
        raise _repository("it is empty, or has blanks at an end or control characters in it")
    if url.startswith("-") or "::" in re.sub(r"\[[0-9A-Fa-f:.]+\]", "", url):
        raise _repository("it begins with '-' or names a transport helper ('::')")
    if url.startswith("/"):
        return url
    if "://" not in url:
        if not _SCP_FORM.fullmatch(url):
            raise _repository("write https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH")
        return url
    return _check_url(url)


def _check_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        password, host = parts.password, parts.hostname
        _ = parts.port
    except ValueError:
        raise _repository("its host or port cannot be read") from None
    if parts.scheme not in SCHEMES:
        raise _repository(f"the scheme is one of {', '.join(SCHEMES)}")
    if password is not None:
        raise _repository("it has a password in it: store it as a key, and choose that key")
    if parts.scheme != "file" and not host:
        raise _repository("it names no host")
    if parts.path.strip("/") == "":
        raise _repository("it names a host and no repository on it")
    return url


def check_ref(ref: str | None) -> str | None:
    """A branch, a tag or a commit; None is the repository's default branch. Raises Invalid."""
    if ref is None:
        return None
    if not ref or ref.startswith("-") or not ref.isprintable() or _REF_TRICKS.search(ref):
        raise Invalid(
            f"{ref!r} cannot be a branch, a tag or a commit.", code="ref-invalid", field="ref"
        )
    return ref


def check_path(path: str) -> str:
    """A folder inside of the repository, without detours. Raises Invalid."""
    if not path.isprintable() or path.startswith(("/", "-")) or "\\" in path:
        raise _path(path)
    normal = posixpath.normpath(path or ".")
    if normal == ".." or normal.startswith("../"):
        raise _path(path)
    if ".git" in normal.lower().split("/"):
        raise _path(path)
    return normal


def last_part(url: str) -> str:
    """What a repository is called: the last part of its address without .git."""
    return re.split(r"[/:]", url.rstrip("/"))[-1].removesuffix(".git")


def _repository(why: str) -> Invalid:
    return Invalid(
        f"The repository's address is refused: {why}.",
        code="repository-invalid",
        field="repository",
    )


def _path(path: str) -> Invalid:
    return Invalid(
        f"{path!r} is refused: the path is a folder inside of the repository, relative to its top, "
        "for example `environments/prod`.",
        code="path-invalid",
        field="path",
    )
