"""Sources over http: logins that are seen by nobody else, no redirects, no waiting for ever."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest

from runner.errors import SourceError, Stopped
from runner.events import StopLevel
from runner.job import Login, Source, SourcePolicy
from runner.processes.ladder import go_on
from runner.sources.repository import Git, Limits, environment
from runner.sources.source import Checkout, clone
from runner.sources.url import admit
from tests.support.git_http import GitHttp, certificate, git_http
from tests.support.processes import living_in
from tests.support.repositories import Repository

ANYWHERE = SourcePolicy(private_hosts=True, plain_http=True)
ADA = ("ada", "hunter2-über")


@pytest.fixture
def http(repository: Repository) -> Iterator[GitHttp]:
    with git_http(repository.folder.parent) as server:
        yield server


@pytest.fixture
def guarded(repository: Repository) -> Iterator[GitHttp]:
    with git_http(repository.folder.parent, ADA) as server:
        yield server


def fetched(source: Source, work: Path) -> Checkout:
    return clone(source, work / "source", work=work, deadline=30)


def refusal(source: Source, work: Path) -> SourceError:
    with pytest.raises(SourceError) as refused:
        fetched(source, work)
    assert not (work / "source").exists()
    return refused.value


def test_a_public_repository_arrives(http: GitHttp, repository: Repository, work: Path) -> None:
    checkout = fetched(Source(http.url("network"), policy=ANYWHERE), work)

    assert checkout.commit == repository._git("rev-parse", "HEAD")
    assert {authorization for _, authorization in http.seen} == {None}


def test_a_login_opens_a_private_repository(guarded: GitHttp, work: Path) -> None:
    source = Source(guarded.url("network"), credential=Login(*ADA), policy=ANYWHERE)

    checkout = fetched(source, work)

    assert (checkout.folder / "main.tf").is_file()


def test_a_login_is_not_on_disk(guarded: GitHttp, work: Path) -> None:
    source = Source(guarded.url("network"), credential=Login(*ADA), policy=ANYWHERE)

    fetched(source, work)

    files = [path for path in work.rglob("*") if path.is_file()]
    assert files
    for secret in (ADA[1].encode(), str(guarded.expected).split()[1].encode()):
        assert not [path for path in files if secret in path.read_bytes()]


@pytest.mark.parametrize("login", [Login("ada", "wrong"), None])
def test_a_wrong_or_missing_login_is_access_denied(
    login: Login | None, guarded: GitHttp, work: Path
) -> None:
    error = refusal(Source(guarded.url("network"), credential=login, policy=ANYWHERE), work)

    assert error.code == "repository-access-denied"
    assert "wrong" not in str(error)
    assert "Authorization" not in str(error)


def test_a_server_that_gives_out_branches_only_still_gives_an_older_commit(
    http: GitHttp, repository: Repository, work: Path
) -> None:
    http.speaks_version_2 = False
    commit = repository.commit({"wanted.tf": ""})
    repository.commit({"later.tf": ""})

    checkout = fetched(Source(http.url("network"), ref=commit, policy=ANYWHERE), work)

    assert checkout.commit == commit
    assert not (checkout.folder / "later.tf").exists()


def test_git_goes_to_the_address_that_the_gate_has_seen(http: GitHttp, work: Path) -> None:
    url = http.url("network").replace("127.0.0.1", "git.example.com")
    address = admit(url, ANYWHERE)
    seen = replace(address, resolved=("127.0.0.1",))
    git = Git(work, environment(work, seen, None), Limits(monotonic() + 30, go_on))

    assert "refs/heads/main" in str(git.ls_remote("--", seen.url))


def test_https_trusts_the_authorities_that_the_worker_was_given(
    repository: Repository, tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = certificate(tmp_path / "authority.pem")
    with git_http(repository.folder.parent, ADA, authority) as server:
        source = Source(server.url("network"), credential=Login(*ADA), policy=ANYWHERE)
        untrusted = refusal(source, work)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        checkout = fetched(source, work)

    assert untrusted.code == "repository-unreachable"
    assert "certificate" in str(untrusted)
    assert (checkout.folder / "main.tf").is_file()


def test_a_missing_repository_is_said(http: GitHttp, work: Path) -> None:
    error = refusal(Source(http.url("none.git"), policy=ANYWHERE), work)

    assert error.code == "repository-not-found"


def test_a_redirect_is_not_followed(http: GitHttp, work: Path) -> None:
    source = Source(http.url("moved/network"), credential=Login(*ADA), policy=ANYWHERE)

    error = refusal(source, work)

    assert error.code == "repository-redirected"
    assert http.url("network") in error.message
    assert {path.startswith("/moved/") for path, _ in http.seen} == {True}


def test_a_clone_is_stopped_while_it_waits_and_its_login_is_in_no_argument(
    http: GitHttp, work: Path
) -> None:
    source = Source(http.url("stall/network"), credential=Login(*ADA), policy=ANYWHERE)
    arguments: list[str] = []

    def stop() -> StopLevel:
        if not http.stalled.is_set():
            return StopLevel.GO_ON
        arguments.extend(word for process in living_in(work) for word in process.cmdline())
        return StopLevel.INTERRUPT

    with pytest.raises(Stopped) as stopped:
        clone(source, work / "source", work=work, deadline=30, stop=stop)

    assert stopped.value.code == "canceled"
    assert any("remote-http" in word for word in arguments)
    assert not any(ADA[1] in word or "Basic" in word for word in arguments)
    assert living_in(work) == []
    assert list(work.iterdir()) == []


def test_a_clone_ends_at_its_deadline(http: GitHttp, work: Path) -> None:
    source = Source(http.url("stall/network"), policy=ANYWHERE)

    with pytest.raises(Stopped) as stopped:
        clone(source, work / "source", work=work, deadline=0.5)

    assert stopped.value.code == "timed-out"
    assert "0.5 seconds" in str(stopped.value)
    assert living_in(work) == []
