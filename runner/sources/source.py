"""Check out the sources of a run: check the address, fetch one commit, check what arrived."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from time import monotonic

from runner.errors import SourceError, Stopped
from runner.events import StopLevel
from runner.job import Login, Source
from runner.processes.ladder import go_on
from runner.sources import (
    ancestry,
    checkout,
    lfs,
    mirror,
    permission,
    redirects,
    ssh,
    submodules,
    tree,
)
from runner.sources.mirror import Mirror
from runner.sources.refresh import refresh
from runner.sources.refs import ABBREVIATED, COMMIT, OWN
from runner.sources.repository import Calls, Git, GitError, Limits, environment, explain
from runner.sources.review import reached_pointers, review
from runner.sources.tree import MOST_BYTES, Entry, too_large
from runner.sources.url import Address, admit

log = logging.getLogger(__name__)

_NOT_IN_A_REF = re.compile(r"[ ~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|[/.]$|^[-./@]")
_LONGEST_REF = 255
_LONGEST_SHOWN = 200


@dataclass(frozen=True)
class Checkout:
    """Sources at one commit. `folder` is the template's `path` in `root`.

    `warnings` are sentences about removed files, see checkout.put_away, and about what is wrong
    elsewhere in the repository, see review.py. `host_keys` are known_hosts lines of hosts that were
    seen for the first time, if the source accepts them. `has_ancestor`: the commit that was asked
    for is this one, or in its history. What cannot be known is a no. `ref_rule`: by which rule of
    the source the ref may run.
    """

    root: Path
    folder: Path
    commit: str
    ref: str | None
    subject: str
    author: str
    warnings: tuple[str, ...] = ()
    host_keys: str = ""
    has_ancestor: bool = False
    ref_rule: str = OWN

    @property
    def committed_state(self) -> Path | None:
        """The state in the template's folder of the repository, if there was one."""
        path = self.root / ".git" / checkout.COMMITTED / "terraform.tfstate"
        return path if path.is_file() else None


def check(source: Source) -> None:
    """Check whether these sources may be fetched. This resolves the name of the host.

    The name may have another address a moment later (DNS rebinding): see url.py. Raises SourceError
    with `repository-url-refused`, `repository-host-refused`, `repository-unreachable`,
    `ref-invalid`, `path-invalid`.
    """
    _checked(source)


def clone(
    source: Source,
    into: Path,
    *,
    work: Path,
    deadline: float,
    stop: Callable[[], StopLevel] = go_on,
) -> Checkout:
    """Check out the sources into a new or empty folder, within `deadline` seconds.

    `work` is the run's own folder, for git's home and ssh's files. Raises Stopped (`canceled`,
    `timed-out`) and SourceError with the codes of check, ssh.agent, permission, checkout, review,
    tree, repository.explain, and `repository-empty`. Then `into` is removed.
    """
    address = _checked(source)
    login = source.credential if isinstance(source.credential, Login) else None
    limits = Limits(monotonic() + deadline, _bounded(into, stop))
    with (
        _failures_explained(source, address, login, deadline),
        _nothing_left_after_failure(into),
        ssh.agent_of(source, address, work) as agent,
    ):
        known = agent.environment if agent else {}
        calls = Calls({**environment(work, address, login), **known}, limits)
        remote = permission.Remote(address, calls, work)
        with redirects.explained(calls, address, work):
            source, allowed = permission.settle(source, remote)
            commit = _arrive(source, address, into, calls)
        rule = permission.rule_of(allowed, source.rules, commit.hash, remote)
        checked_out = _check_out(source, into, commit, calls, work)
        return replace(
            checked_out,
            ref_rule=rule,
            host_keys=agent.learned_host_keys() if agent else "",
            has_ancestor=source.ancestor is not None
            and ancestry.contains(calls, address, commit.hash, source.ancestor, work),
        )


@contextlib.contextmanager
def _failures_explained(
    source: Source, address: Address, login: Login | None, deadline: float
) -> Iterator[None]:
    try:
        yield
    except GitError as refused:
        raise explain(refused, address, source.ref, login) from None
    except Stopped as stopped:
        if stopped.code != "timed-out":
            raise
        raise Stopped("timed-out", f"Cloning took longer than {deadline:g} seconds.") from None


@contextlib.contextmanager
def _nothing_left_after_failure(into: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:  # never leave half a checkout
        _forget(into)
        raise


def _checked(source: Source) -> Address:
    _check_ref(source.ref)
    _check_path(source.path)
    return admit(source.url, source.policy)


def _check_ref(ref: str | None) -> None:
    if ref is None:
        return
    if not ref or len(ref) > _LONGEST_REF or not ref.isprintable() or _NOT_IN_A_REF.search(ref):
        raise SourceError(
            "ref-invalid", "The ref is not a valid name of a branch, a tag or a commit."
        )


def _check_path(path: str) -> None:
    parts = PurePosixPath(path).parts
    if (
        not path
        or not path.isprintable()
        or path.startswith(("/", "-", "~"))
        or any(part == ".." or part.lower() == ".git" for part in parts)
    ):
        raise SourceError(
            "path-invalid",
            "The path must be a folder inside the repository, like modules/dns.",
        )


def _arrive(source: Source, address: Address, into: Path, calls: Calls) -> _Commit:
    """Fetch the commit and unpack its files; what a mirror has already is not fetched again."""
    kept = mirror.of(source.mirrors, address.url, source.ref)
    if kept and (commit := _by_mirror(source, address, into, calls, kept)):
        return commit
    name = _fetch(source, address, into, calls)
    commit = _commit(into, name, calls)
    if kept and name != source.ref:  # else everything was fetched, to find one commit
        kept.make(into, commit.hash)
    return _unpack(into, commit, calls)


def _by_mirror(
    source: Source, address: Address, into: Path, calls: Calls, kept: Mirror
) -> _Commit | None:
    """The commit by way of the mirror, or None with nothing left in the folder.

    Whatever fails here is done again without the mirror, which then says what is wrong.
    """
    try:
        if not kept.copy_into(into):
            return None
        before = mirror.packs(into)
        by_full_name = _is_full_name(source.ref)
        name = refresh(calls.git(into), address, source.ref, by_full_name=by_full_name)
        if name:
            commit = _commit(into, name, calls)
            mirror.tidy(into)
            if mirror.packs(into) != before:
                kept.update(into, commit.hash)
            return _unpack(into, commit, calls)
    except (GitError, SourceError, OSError) as error:
        reason = getattr(error, "code", type(error).__name__)
        log.info("mirror not used", extra={"mirror": kept.name, "reason": reason})
    _forget(into)
    return None


def _is_full_name(ref: str | None) -> bool:
    return ref is not None and (ref.startswith("refs/") or COMMIT.fullmatch(ref) is not None)


def _fetch(source: Source, address: Address, into: Path, calls: Calls) -> str:
    """Fetch as little as the server allows for this ref, and return a name of the commit."""
    ref = source.ref
    if ref and _is_full_name(ref):
        return _fetch_one(address, ref, source.also, into, calls)
    try:
        _clone_tip(address, ref, into, calls)
    except GitError as refused:
        if not ref or not ABBREVIATED.fullmatch(ref) or not _is_missing(refused, address):
            raise
        _forget(into)
        return _fetch_all(address, ref, None, into, calls)
    return "HEAD"


def _clone_tip(address: Address, ref: str | None, into: Path, calls: Calls) -> None:
    git = calls.git(into.parent)
    git.check_unsafe_protocols(address.url)
    options = {"branch": ref} if ref else {}
    git.clone(
        *("--", address.url, str(into)),
        no_checkout=True,
        no_tags=True,
        single_branch=True,
        depth=1,
        template="",
        **options,
    )


def _fetch_one(address: Address, ref: str, also: str | None, into: Path, calls: Calls) -> str:
    """Fetch a commit or a ref by its full name. Not every server allows to fetch any commit."""
    git = _initialized(into, calls)
    try:
        git.fetch("--", address.url, ref, no_tags=True, depth=1)
    except GitError as refused:
        if ref.startswith("refs/") or not _is_missing(refused, address):
            raise
        _forget(into)
        return _fetch_all(address, ref, also, into, calls)
    return "FETCH_HEAD"


def _fetch_all(address: Address, commit: str, also: str | None, into: Path, calls: Calls) -> str:
    """Fetch all branches and tags, which an abbreviated commit needs. Size and time are limited.

    `also` may be a pull request that has had the commit.
    """
    git = _initialized(into, calls)
    more = [f"+{also}:refs/all/also"] if also and _is_full_name(also) else []
    names = ("+refs/heads/*:refs/all/heads/*", "+refs/tags/*:refs/all/tags/*")
    git.fetch("--", address.url, *names, *more)
    return commit


def _initialized(into: Path, calls: Calls) -> Git:
    calls.git(into.parent).init("--", str(into), quiet=True, template="")
    return calls.git(into)


def _is_missing(refused: GitError, address: Address) -> bool:
    return explain(refused, address, None, None).code == "ref-not-found"


@dataclass(frozen=True)
class _Commit:
    hash: str
    subject: str
    author: str
    entries: tuple[Entry, ...] = ()  # once it is unpacked


def _commit(into: Path, name: str, calls: Calls) -> _Commit:
    try:
        said = calls.git(into).log(f"{name}^{{commit}}", "--", max_count=1, format="%H%n%s%n%an")
    except GitError:
        if name == "HEAD":
            raise SourceError("repository-empty", "The repository has no commit yet.") from None
        raise SourceError(
            "ref-not-found",
            f"The repository has no branch or tag {name}, and no single commit that begins with "
            "it: check the template's ref.",
        ) from None
    number, _, rest = said.partition("\n")
    subject, _, author = rest.partition("\n")
    return _Commit(number, subject, author)


def _unpack(into: Path, commit: _Commit, calls: Calls) -> _Commit:
    git = calls.git(into)
    entries = tree.listed(git, commit.hash)  # first: it refuses what is too large
    git.checkout(commit.hash, "--", detach=True, force=True, quiet=True)
    return replace(commit, entries=entries)


def _check_out(source: Source, into: Path, commit: _Commit, calls: Calls, work: Path) -> Checkout:
    entries, folder = commit.entries, into / source.path
    others: dict[str, Source] = {}
    if source.submodules:
        fetched = submodules.fetch(
            source, calls.git(into), folder, entries, _fetching(calls.limits, work)
        )
        entries, others = fetched.entries, fetched.sources
    folder = checkout.folder_at(into, source.path)
    if source.lfs:
        paths = reached_pointers(into, folder, entries)
        lfs.fetch_all(paths, into, {"": source, **others}, work, calls.limits)
    warnings = (*review(into, folder, entries), *checkout.put_away(into, folder))
    subject, author = _shown(commit.subject), _shown(commit.author)
    return Checkout(into, folder, commit.hash, source.ref, subject, author, warnings)


def _fetching(limits: Limits, work: Path) -> submodules.Fetch:
    """How a submodule is fetched: within the limits of the clone, with its own credential."""

    def fetch(source: Source, into: Path) -> tuple[Entry, ...]:
        address = _checked(source)
        login = source.credential if isinstance(source.credential, Login) else None
        own = Limits(limits.ends, _bounded(into, limits.stop))
        with ssh.agent_of(source, address, work) as agent:
            known = agent.environment if agent else {}
            calls = Calls({**environment(work, address, login), **known}, own)
            try:
                with redirects.explained(calls, address, work):
                    return _arrive(source, address, into, calls).entries
            except GitError as refused:
                raise explain(refused, address, source.ref, login) from None

    return fetch


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:_LONGEST_SHOWN]


def _bounded(into: Path, stop: Callable[[], StopLevel]) -> Callable[[], StopLevel]:
    """Stop when asked, and when too much was fetched."""
    packs = into / ".git" / "objects" / "pack"

    def asked() -> StopLevel:
        fetched = 0
        with contextlib.suppress(FileNotFoundError):
            fetched = sum(entry.stat().st_size for entry in os.scandir(packs))
        if fetched > MOST_BYTES:
            raise too_large()
        return stop()

    return asked


def _forget(into: Path) -> None:
    if into.exists():
        shutil.rmtree(into)
