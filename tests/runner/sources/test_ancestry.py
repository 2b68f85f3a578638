"""Whether a commit contains another one is found out at the remote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import Stopped
from runner.events import StopLevel
from runner.job import Source, SourcePolicy
from runner.sources import ancestry
from runner.sources.source import clone
from tests.support.git_http import GitHttp, git_http
from tests.support.repositories import Repository


@pytest.fixture
def served(repository: Repository) -> Iterator[GitHttp]:
    with git_http(repository.folder.parent) as server:
        yield server


def contains(
    repository: Repository, work: Path, ref: str, commit: str, url: str | None = None
) -> bool:
    """What the checkout of a ref says about an earlier commit."""
    policy = SourcePolicy((repository.folder.parent,), private_hosts=True, plain_http=True)
    source = Source(url or str(repository.folder), ref=ref, policy=policy)
    checkout = clone(replace(source, ancestor=commit), work / "source", work=work, deadline=60)
    assert [path.name for path in work.iterdir()] == ["source"]
    return checkout.has_ancestor


@pytest.mark.parametrize("commits", [0, 1, 60])
def test_a_branch_contains_its_earlier_commits(
    repository: Repository, work: Path, commits: int
) -> None:
    first = repository._git("rev-parse", "HEAD")
    for number in range(commits):
        repository.commit({}, f"Change {number}")

    assert contains(repository, work, "main", first)


@pytest.mark.parametrize("filters", ["true", "false"])
def test_a_branch_does_not_contain_what_came_later_elsewhere(
    repository: Repository, work: Path, filters: str
) -> None:
    repository._git("config", "uploadpack.allowFilter", filters)
    repository.branch("feature", {"feature.tf": ""})
    later = repository.commit({"later.tf": ""})

    assert not contains(repository, work, "feature", later)


def test_a_merge_contains_both_sides(repository: Repository, work: Path) -> None:
    side = repository.branch("side", {"side.tf": ""})
    repository.commit({"main2.tf": ""})
    repository._git("merge", "--quiet", "--no-ff", "-m", "Merge", "side")

    assert contains(repository, work, "main", side)


def test_a_commit_that_nobody_knows_is_not_contained(repository: Repository, work: Path) -> None:
    assert not contains(repository, work, "main", "f" * 40)


def test_a_history_that_was_written_anew_does_not_contain_the_old_one(
    repository: Repository, work: Path
) -> None:
    old = repository.commit({"a.tf": "1"})
    repository._git("reset", "--quiet", "--hard", "HEAD~1")
    repository.commit({"a.tf": "2"})

    assert not contains(repository, work, "main", old)


@pytest.mark.parametrize("protocol", [2, 0])
def test_a_server_that_gives_out_tips_only_is_asked_for_everything(
    repository: Repository, served: GitHttp, work: Path, protocol: int
) -> None:
    served.speaks_version_2 = protocol == 2
    first = repository._git("rev-parse", "HEAD")
    older = repository.commit({"a.tf": ""})
    repository.commit({"b.tf": ""})

    url = served.url("network/.git")

    assert contains(repository, work, older, first, url)


def test_a_history_that_is_too_large_is_not_known(
    repository: Repository, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = repository._git("rev-parse", "HEAD")
    for number in range(3):
        repository.commit({}, f"Change {number}")
    monkeypatch.setattr(ancestry, "MOST_BYTES", -1)

    assert not contains(repository, work, "main", first)


def test_a_run_that_is_canceled_meanwhile_stops(repository: Repository, work: Path) -> None:
    first = repository._git("rev-parse", "HEAD")
    repository.commit({})
    policy = SourcePolicy((repository.folder.parent,))
    source = Source(str(repository.folder), policy=policy, ancestor=first)

    def stop() -> StopLevel:
        history = any(path.name.startswith("history-") for path in work.iterdir())
        return StopLevel.INTERRUPT if history else StopLevel.GO_ON

    with pytest.raises(Stopped) as stopped:
        clone(source, work / "source", work=work, deadline=60, stop=stop)

    assert stopped.value.code == "canceled"
    assert list(work.iterdir()) == []
