"""Bring a copy of a mirror up to date. The remote decides what a ref is, and who may read it."""

from __future__ import annotations

from runner.sources.repository import Git
from runner.sources.url import Address

_BRANCH = "refs/heads/"


def refresh(git: Git, address: Address, ref: str | None, *, by_full_name: bool) -> str | None:
    """Fetch what the copy lacks, and return a name of the commit, as source.py's first fetch does.

    None when it takes a new clone to tell. Raises GitError.
    """
    if by_full_name:
        git.fetch("--", address.url, str(ref), no_tags=True, depth=1)
        return "FETCH_HEAD"
    head = (git.folder / ".git" / "HEAD").read_text(encoding="utf-8").strip()
    branch = head.removeprefix(f"ref: {_BRANCH}")
    if branch == head:  # a clone of a tag leaves a commit there
        return _same_tag(git, address, str(ref))
    if ref is None:
        return _default_branch(git, address, branch)
    _fetch(git, address, *_to_both(branch))
    return "HEAD"


def _default_branch(git: Git, address: Address, branch: str) -> str | None:
    """The branch that was the default one, if the remote's HEAD is still the same commit."""
    fetched = _fetch(git, address, "HEAD", *_to_both(branch))
    return "HEAD" if len(fetched) == 1 else None


def _same_tag(git: Git, address: Address, tag: str) -> str | None:
    """The tag is neither moved nor deleted, and no branch of that name would come first."""
    full = f"refs/tags/{tag}"
    listed = str(git.ls_remote("--", address.url, f"{_BRANCH}{tag}", full))
    found = {name: number for number, _, name in (i.partition("\t") for i in listed.splitlines())}
    if f"{_BRANCH}{tag}" in found or found.get(full) != git.rev_parse("--verify", full):
        return None
    return "HEAD"


def _fetch(git: Git, address: Address, *refs: str) -> set[str]:
    """The commits that the refs are now."""
    git.fetch("--", address.url, *refs, no_tags=True, depth=1, update_head_ok=True)
    noted = git.folder / ".git" / "FETCH_HEAD"
    lines = noted.read_text(encoding="utf-8").splitlines()
    noted.unlink()  # a clone leaves none
    return {line.split("\t")[0] for line in lines}


def _to_both(branch: str) -> tuple[str, str]:
    """Where a clone of one branch has it."""
    full = f"{_BRANCH}{branch}"
    return f"+{full}:{full}", f"+{full}:refs/remotes/origin/{branch}"
