"""What the names of refs leave open is asked from the repository, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import SourceError
from runner.job import Mirrors, RefRules, Source, SourcePolicy
from runner.sources.source import Checkout, clone
from tests.support.git_http import GitHttp, git_http
from tests.support.repositories import Repository


@pytest.fixture
def served(repository: Repository) -> Iterator[GitHttp]:
    """Serves every commit by its number, as forges do: those of pull requests too."""
    repository._git("config", "uploadpack.allowAnySHA1InWant", "true")
    with git_http(repository.folder.parent) as server:
        yield server


@pytest.fixture
def source(repository: Repository, served: GitHttp) -> Source:
    policy = SourcePolicy(private_hosts=True, plain_http=True)
    return Source(served.url(repository.folder.name), rules=RefRules("main"), policy=policy)


def arrived(source: Source, work: Path) -> Checkout:
    return clone(source, work / "source", work=work, deadline=60)


def refused(source: Source, work: Path) -> str:
    with pytest.raises(SourceError) as error:
        arrived(source, work)
    assert list(work.iterdir()) == []
    return error.value.code


def pull_request(repository: Repository) -> str:
    """A commit that somebody proposes, and that no branch has."""
    commit = repository.branch("fork", {"evil.tf": ""})
    repository._git("update-ref", "refs/pull/7/head", commit)
    repository._git("branch", "-q", "-D", "fork")
    return commit


@pytest.mark.parametrize("digits", [40, 10])
def test_a_commit_of_the_templates_own_branch_runs(
    repository: Repository, source: Source, work: Path, digits: int
) -> None:
    older = repository.commit({"older.tf": ""})
    for number in range(60):
        repository.commit({}, f"Change {number}")

    checkout = arrived(replace(source, ref=older[:digits]), work)

    assert (checkout.commit, checkout.ref_rule) == (older, "own")


def test_the_newest_commit_of_the_default_branch_runs(
    repository: Repository, source: Source, work: Path
) -> None:
    newest = repository.commit({"new.tf": ""})

    checkout = arrived(replace(source, ref=newest, rules=RefRules(None)), work)

    assert (checkout.commit, checkout.ref_rule) == (newest, "own")


@pytest.mark.parametrize("own", ["main", None, "refs/heads/main"])
def test_a_commit_of_a_pull_request_is_refused(
    repository: Repository, source: Source, work: Path, own: str | None
) -> None:
    commit = pull_request(repository)

    assert refused(replace(source, ref=commit, rules=RefRules(own)), work) == "ref-not-allowed"


def test_a_commit_of_a_pull_request_is_refused_under_any_too(
    repository: Repository, source: Source, work: Path
) -> None:
    commit = pull_request(repository)
    rules = RefRules("main", ("any", "refs/pull/*/head"))

    assert refused(replace(source, ref=commit, rules=rules), work) == "ref-not-allowed"
    assert arrived(replace(source, ref="refs/pull/7/head", rules=rules), work).commit == commit


def test_a_commit_is_refused_again_when_a_mirror_has_it(
    repository: Repository, source: Source, work: Path, tmp_path: Path
) -> None:
    commit = pull_request(repository)
    kept = replace(source, ref=commit, mirrors=Mirrors(tmp_path / "mirrors", "p", 10_000_000))

    assert arrived(replace(kept, rules=None), work).commit == commit
    (work / "source").rename(tmp_path / "gone")
    assert refused(kept, work) == "ref-not-allowed"


@pytest.mark.parametrize("digits", [40, 10])
def test_a_commit_of_another_branch_runs_only_if_that_branch_is_allowed(
    repository: Repository, source: Source, work: Path, digits: int
) -> None:
    commit = repository.branch("release/1", {"release.tf": ""})
    repository._git("checkout", "-q", "release/1")
    repository.commit({"later.tf": ""})
    asked = replace(source, ref=commit[:digits])

    assert refused(asked, work) == "ref-not-allowed"
    checkout = arrived(replace(asked, rules=RefRules("main", ("release/*",))), work)
    assert (checkout.commit, checkout.ref_rule) == (commit, "refs/heads/release/*")


def test_a_commit_runs_by_an_annotated_tag_that_is_allowed(
    repository: Repository, source: Source, work: Path
) -> None:
    commit = repository.branch("tagged", {"tagged.tf": ""})
    repository._git("tag", "-a", "-m", "Release", "v1", commit)
    repository._git("branch", "-q", "-D", "tagged")

    checkout = arrived(replace(source, ref=commit, rules=RefRules("main", ("refs/tags/v*",))), work)

    assert checkout.ref_rule == "refs/tags/v*"


def test_a_branch_named_like_a_commit_does_not_run_in_its_place(
    repository: Repository, source: Source, work: Path
) -> None:
    wanted = repository.commit({"wanted.tf": ""})
    repository.branch(wanted[:10], {"evil.tf": ""})
    repository.branch(wanted, {"evil.tf": "", "too.tf": ""})

    assert refused(replace(source, ref=wanted[:10]), work) == "ref-not-allowed"
    assert arrived(replace(source, ref=wanted), work).commit == wanted


@pytest.mark.parametrize("ref", [None, "v1", "refs/heads/v1", "refs/tags/v1"])
def test_a_branch_beside_the_templates_tag_is_not_taken_for_it(
    repository: Repository, source: Source, work: Path, ref: str | None
) -> None:
    repository._git("tag", "v1")
    repository.branch("v1", {"evil.tf": ""})
    asked = replace(source, ref=ref or "v1", rules=RefRules("v1"))

    assert refused(asked, work) == "ref-ambiguous"


def test_a_ref_by_its_full_name_is_never_ambiguous(
    repository: Repository, source: Source, work: Path
) -> None:
    tagged = repository._git("rev-parse", "HEAD")
    repository._git("tag", "v1")
    repository.branch("v1", {"evil.tf": ""})
    rules = RefRules("main", ("refs/tags/v*",))

    checkout = arrived(replace(source, ref="v1", rules=rules), work)

    assert (checkout.commit, checkout.ref_rule) == (tagged, "refs/tags/v*")


@pytest.mark.parametrize("ref", ["main", "refs/heads/main"])
def test_the_templates_own_branch_runs_by_either_name(
    repository: Repository, source: Source, work: Path, ref: str
) -> None:
    checkout = arrived(replace(source, ref=ref), work)

    assert (checkout.commit, checkout.ref_rule) == (repository._git("rev-parse", "HEAD"), "own")
    assert checkout.ref == "refs/heads/main"


def test_a_tag_does_not_run_in_the_place_of_the_templates_branch(
    repository: Repository, source: Source, work: Path
) -> None:
    assert refused(replace(source, ref="refs/tags/main"), work) == "ref-not-found"
    evil = pull_request(repository)
    repository._git("update-ref", "refs/tags/main", evil)
    assert refused(replace(source, ref="refs/tags/main"), work) == "ref-ambiguous"


def test_the_commits_of_a_templates_own_pull_request_are_not_allowed_by_it(
    repository: Repository, source: Source, work: Path
) -> None:
    commit = pull_request(repository)
    rules = RefRules("refs/pull/7/head")

    assert refused(replace(source, ref=commit, rules=rules), work) == "ref-not-allowed"
