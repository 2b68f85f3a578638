"""Check a ref and a path as far as is possible without a connection.

The worker checks them again, with all rules of the installation, before it starts git.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from backend.errors import Invalid

_REF_TRICKS = re.compile(r"[\s~^:?*\[\\\x00-\x20\x7f]|\.\.|@\{|//|/$|^/|\.lock$|^@$")


def check_ref(ref: str | None) -> str | None:
    """Check a branch, tag or commit. None is the default branch. Raises Invalid."""
    if ref is None:
        return None
    if not ref or ref.startswith("-") or not ref.isprintable() or _REF_TRICKS.search(ref):
        raise Invalid(
            f"{ref!r} cannot be a branch, a tag or a commit.", code="ref-invalid", field="ref"
        )
    return ref


def check_ref_patterns(patterns: Sequence[str]) -> list[str]:
    """Check patterns of refs, each once. In one, `*` is any text. Raises Invalid."""
    for pattern in patterns:
        if pattern.startswith("*") or "***" in pattern:
            raise Invalid(
                f"{pattern!r} cannot be a pattern of refs: it begins with text, like release/* or "
                "refs/tags/v*. The word any allows every ref.",
                code="ref-invalid",
                field="allowed_refs",
            )
        check_ref(pattern.replace("*", "x"))
    return list(dict.fromkeys(patterns))


def check_path(path: str) -> str:
    """Check the path of a folder inside the repository. It may not contain `..`. Raises Invalid."""
    if not path.isprintable() or path.startswith(("/", "-")) or "\\" in path:
        raise _path(path)
    normal = posixpath.normpath(path or ".")
    if normal == ".." or normal.startswith("../"):
        raise _path(path)
    if ".git" in normal.lower().split("/"):
        raise _path(path)
    return normal


def check_files(files: Sequence[str], field: str) -> list[str]:
    """Check files of the repository, relative to a template's folder, each once. Raises Invalid.

    They may begin with `..`; a run finds out whether they are in the repository.
    """
    for file in files:
        parts = file.lower().split("/")
        wrong = not file.isprintable() or file.startswith(("/", "-")) or "\\" in file
        if wrong or not parts[-1] or ".git" in parts or parts[-1] in (".", ".."):
            raise Invalid(
                f"{file!r} cannot be a file of the repository: give its path relative to the "
                "template's folder, for example envs/prod.tfvars or ../common.tfvars.",
                code="path-invalid",
                field=field,
            )
    return list(dict.fromkeys(map(posixpath.normpath, files)))


def last_part(url: str) -> str:
    """The name of a repository: the last part of its address without .git."""
    return re.split(r"[/:]", url.rstrip("/"))[-1].removesuffix(".git")


def _path(path: str) -> Invalid:
    return Invalid(
        f"{path!r} is refused: the path must be a folder inside the repository, relative to its "
        "top, for example `environments/prod`.",
        code="path-invalid",
        field="path",
    )
