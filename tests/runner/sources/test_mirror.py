"""A mirror spares a run what was fetched before. The remote decides all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from runner.job import Source, SourcePolicy
from runner.sources.source import Checkout
from tests.support.mirrored import LARGE, files, mirrors, named, refused, told, transferred
from tests.support.repositories import Repository
from tests.support.ssh_keys import ssh_key
from tests.support.sshd import real_sshd

REFS = [None, "main", "refs/heads/main", "commit", "tag", "annotated"]


@pytest.mark.parametrize("ref", REFS)
def test_a_second_run_fetches_nothing_that_is_there(
    ref: str | None,
    source: Source,
    repository: Repository,
    root: Path,
    run: Callable[[Source], Checkout],
) -> None:
    source = replace(source, ref=named(ref, repository))

    first = run(source)
    kept = [path.stat().st_ino for path in mirrors(root)]
    second = run(source)

    assert second.commit == first.commit
    assert transferred(second, first) == 0
    assert len(kept) == 1
    assert [path.stat().st_ino for path in mirrors(root)] == kept


@pytest.mark.parametrize("ref", REFS)
def test_a_checkout_by_way_of_a_mirror_is_that_of_a_clone(
    ref: str | None, source: Source, repository: Repository, run: Callable[[Source], Checkout]
) -> None:
    source = replace(source, ref=named(ref, repository))
    run(source)
    repository.commit({"later.tf": "# later"})

    by_mirror, cloned = run(source), run(replace(source, mirrors=None))

    assert files(by_mirror) == files(cloned)
    for question in (("show-ref",), ("config", "--local", "--list"), ("log", "--format=%H%d")):
        if question != ("show-ref",) or ref not in {"commit", "refs/heads/main"}:
            assert told(by_mirror, *question) == told(cloned, *question)
    assert (by_mirror.root / ".git/HEAD").read_text() == (cloned.root / ".git/HEAD").read_text()
    assert (by_mirror.root / ".git" / "FETCH_HEAD").exists() is (
        cloned.root / ".git" / "FETCH_HEAD"
    ).exists()
    told(by_mirror, "fsck", "--no-dangling")
    assert (by_mirror.root / ".git").stat().st_mode == (cloned.root / ".git").stat().st_mode


@pytest.mark.parametrize("ref", [None, "main", "refs/heads/main"])
def test_of_a_new_commit_only_what_is_new_is_fetched(
    ref: str | None, source: Source, repository: Repository, run: Callable[[Source], Checkout]
) -> None:
    source = replace(source, ref=ref)
    first = run(source)
    commit = repository.commit({"new.tf": "# new"})

    second = run(source)
    third = run(source)

    assert second.commit == third.commit == commit
    assert (second.folder / "new.tf").is_file()
    assert 0 < transferred(second, first) < LARGE / 10
    assert transferred(third, second) == 0


@pytest.mark.parametrize("ref", [None, "main", "refs/heads/main"])
def test_a_branch_that_was_force_pushed_is_followed(
    ref: str | None, source: Source, repository: Repository, run: Callable[[Source], Checkout]
) -> None:
    source = replace(source, ref=ref)
    older = repository.commit({"gone.tf": "# gone"})
    run(source)
    repository._git("reset", "-q", "--hard", f"{older}~1")
    other = repository.commit({"instead.tf": "# instead"})

    checkout = run(source)
    repository._git("reset", "-q", "--hard", older)
    back = run(source)

    assert checkout.commit == other
    assert not (checkout.folder / "gone.tf").exists()
    assert back.commit == older
    assert (back.folder / "gone.tf").is_file()


@pytest.mark.parametrize("ref", ["feature", "refs/heads/feature"])
def test_a_branch_that_was_deleted_is_not_served(
    ref: str, source: Source, repository: Repository, run: Callable[[Source], Checkout]
) -> None:
    repository.branch("feature", {"feature.tf": ""})
    source = replace(source, ref=ref)
    run(source)

    repository._git("branch", "-q", "-D", "feature")

    assert refused(run, source) == "ref-not-found"


def test_another_default_branch_is_followed(
    source: Source, repository: Repository, run: Callable[[Source], Checkout]
) -> None:
    run(source)
    commit = repository.branch("trunk", {"trunk.tf": ""})
    repository._git("checkout", "-q", "trunk")

    checkout = run(source)
    repository._git("branch", "-q", "-D", "main")
    after = run(source)

    assert checkout.commit == after.commit == commit
    assert "refs/heads/trunk" in told(checkout, "show-ref")


@pytest.mark.parametrize("annotated", [["-a", "-m", "Release"], []])
def test_a_tag_that_was_moved_is_followed(
    annotated: list[str],
    source: Source,
    repository: Repository,
    run: Callable[[Source], Checkout],
) -> None:
    repository._git("tag", *annotated, "v1")
    run(replace(source, ref="v1"))
    commit = repository.commit({"moved.tf": ""})
    repository._git("tag", "-f", *annotated, "v1")

    moved = run(replace(source, ref="v1"))
    repository._git("tag", "-d", "v1")

    assert moved.commit == commit
    assert refused(run, replace(source, ref="v1")) == "ref-not-found"


def test_a_new_branch_with_the_name_of_a_tag_comes_first(
    source: Source, repository: Repository, run: Callable[[Source], Checkout]
) -> None:
    repository._git("tag", "v1")
    run(replace(source, ref="v1"))
    commit = repository.branch("v1", {"branch.tf": ""})

    assert run(replace(source, ref="v1")).commit == commit


@pytest.mark.parametrize("ref", REFS)
def test_a_key_that_lost_access_gets_nothing_from_the_mirror(
    ref: str | None,
    source: Source,
    repository: Repository,
    tmp_path: Path,
    run: Callable[[Source], Checkout],
) -> None:
    key, public = ssh_key()
    with real_sshd(tmp_path / "sshd") as server:
        server.authorize(public)
        source = replace(
            source,
            url=server.url(repository.folder),
            ref=named(ref, repository),
            credential=key,
            known_hosts=server.known_hosts_line,
            policy=SourcePolicy(private_hosts=True),
        )
        first, second = run(source), run(source)
        assert transferred(second, first) == 0

        (server.folder / "authorized_keys").write_text("")

        assert refused(run, source) == "repository-access-denied"


def test_a_repository_that_is_gone_is_not_served(
    source: Source, repository: Repository, root: Path, run: Callable[[Source], Checkout]
) -> None:
    commit = run(source).commit
    run(replace(source, ref=commit))
    repository.folder.rename(f"{repository.folder}-gone")

    assert refused(run, source) == "repository-not-found"
    assert refused(run, replace(source, ref=commit)) == "repository-not-found"
    assert len(mirrors(root)) == 2


def test_a_commit_that_the_remote_has_no_more_is_not_served(
    source: Source, repository: Repository, run: Callable[[Source], Checkout]
) -> None:
    commit = repository.commit({"secret.tf": ""})
    run(replace(source, ref=commit))
    repository._git("reset", "-q", "--hard", "HEAD~1")
    repository._git("reflog", "expire", "--expire=now", "--all")
    repository._git("gc", "-q", "--prune=now")

    assert refused(run, replace(source, ref=commit)) == "ref-not-found"


def test_an_abbreviated_commit_arrives_without_a_mirror(
    source: Source, repository: Repository, root: Path, run: Callable[[Source], Checkout]
) -> None:
    commit = repository._git("rev-parse", "HEAD")

    assert run(replace(source, ref=commit[:10])).commit == commit
    assert mirrors(root) == []
