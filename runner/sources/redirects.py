"""Where a repository has moved to, for the person who has to write the new address.

git follows no redirect: it would take a credential to wherever the server likes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from runner.errors import SourceError
from runner.sources.repository import Calls, GitError
from runner.sources.url import Address

_REDIRECTED = re.compile(r"error: 30\d|unable to update url base from redirection")
_LOCATION = re.compile(r"^.*Recv header:? location: (\S+)\s*$", re.IGNORECASE | re.MULTILINE)
_ASKED_FOR = "/info/refs"
_LONGEST_SHOWN = 300
# the headers of the answer are all that is wanted; git leaves credentials out of its trace
_TRACE = {"GIT_TRACE_CURL": "1", "GIT_TRACE_CURL_NO_DATA": "1", "GIT_TRACE_REDACT": "1"}


@contextmanager
def explained(calls: Calls, address: Address, work: Path) -> Iterator[None]:
    """Raise SourceError `repository-redirected` with the new address, where git was redirected."""
    try:
        yield
    except GitError as refused:
        if not _REDIRECTED.search(refused.said):
            raise
        to = destination(calls, address, work)
        raise SourceError(
            "repository-redirected",
            "The repository's URL leads elsewhere, and redirects are not followed. "
            + (f"Write this address instead: {to}" if to else "Find out its new address."),
        ) from None


def destination(calls: Calls, address: Address, work: Path) -> str | None:
    """The address that the server redirects git to, or None when it does not say.

    Raises Stopped, and SourceError `git-not-installed`.
    """
    traced = replace(calls, environment={**calls.environment, **_TRACE})
    try:
        traced.git(work).ls_remote("--", address.url)
    except GitError as refused:
        found = _LOCATION.findall(refused.said)
        return _repository(urljoin(address.url, found[0])) if found else None
    return None


def _repository(location: str) -> str | None:
    """The address of the repository in that of what git asked for, without any credential."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return None
    path, asked, _ = parts.path.partition(_ASKED_FOR)
    if parts.scheme not in ("http", "https") or not asked:
        return None
    host = parts.netloc.rpartition("@")[2]
    to = f"{parts.scheme}://{host}{path}"
    return to if to.isprintable() and len(to) <= _LONGEST_SHOWN else None
