"""Sources arrive at one commit, and bring nothing that runs."""

from __future__ import annotations

import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import SourceError, Stopped
from runner.events import StopLevel
from runner.job import Source, SourcePolicy
from runner.sources import tree
from runner.sources.source import Checkout, clone
from tests.support.repositories import Repository


def from_disk(repository: Repository, **changes: str | None) -> Source:
    policy = SourcePolicy(local_roots=(repository.folder.parent,))
    return replace(Source(str(repository.folder), policy=policy), **changes)  # type: ignore[arg-type]


def fetched(source: Source, work: Path) -> Checkout:
    return clone(source, work / "source", work=work, deadline=30)


def refusal(source: Source, work: Path) -> SourceError:
    with pytest.raises(SourceError) as refused:
        fetched(source, work)
    assert not (work / "source").exists()
    return refused.value


def test_the_default_branch_arrives_with_its_commit(repository: Repository, work: Path) -> None:
    commit = repository.commit({"dns/main.tf": ""}, "Add a zone")

    checkout = fetched(from_disk(repository), work)

    assert checkout.commit == commit
    assert (checkout.subject, checkout.author) == ("Add a zone", "ann")
    assert (checkout.folder / "main.tf").is_file()
    assert checkout.warnings == ()


def test_only_one_commit_is_fetched(repository: Repository, work: Path) -> None:
    repository.commit({"more.tf": ""})

    checkout = fetched(from_disk(repository), work)

    assert (checkout.root / ".git" / "shallow").read_text().split() == [checkout.commit]


def test_a_branch_arrives(repository: Repository, work: Path) -> None:
    repository._git("checkout", "-q", "-b", "release/1.2")
    commit = repository.commit({"release.tf": ""})

    checkout = fetched(from_disk(repository, ref="release/1.2"), work)

    assert checkout.commit == commit


@pytest.mark.parametrize("annotated", [["-a", "-m", "Release"], []])
def test_a_tag_arrives_as_its_commit(
    annotated: list[str], repository: Repository, work: Path
) -> None:
    commit = repository.commit({"tagged.tf": ""})
    repository._git("tag", *annotated, "v1.2.3")
    repository.commit({"later.tf": ""})

    checkout = fetched(from_disk(repository, ref="v1.2.3"), work)

    assert checkout.commit == commit
    assert not (checkout.folder / "later.tf").exists()


def test_a_ref_by_its_whole_name_arrives(repository: Repository, work: Path) -> None:
    commit = repository.commit({"proposed.tf": ""})
    repository._git("update-ref", "refs/pull/7/head", commit)
    repository._git("reset", "-q", "--hard", "HEAD~1")

    checkout = fetched(from_disk(repository, ref="refs/pull/7/head"), work)

    assert checkout.commit == commit


@pytest.mark.parametrize("digits", [40, 12, 7])
@pytest.mark.parametrize("tip", ["the tip", "older"])
def test_a_commit_arrives_in_full_and_abbreviated(
    digits: int, tip: str, repository: Repository, work: Path
) -> None:
    commit = repository.commit({"wanted.tf": ""})
    if tip == "older":
        repository.commit({"later.tf": ""})

    checkout = fetched(from_disk(repository, ref=commit[:digits]), work)

    assert checkout.commit == commit
    assert not (checkout.folder / "later.tf").exists()


def test_a_branch_whose_name_looks_like_a_commit_arrives(
    repository: Repository, work: Path
) -> None:
    repository._git("checkout", "-q", "-b", "2024")
    commit = repository.commit({"year.tf": ""})

    checkout = fetched(from_disk(repository, ref="2024"), work)

    assert checkout.commit == commit


@pytest.mark.parametrize("ref", ["nowhere", "refs/heads/nowhere", "deadbeef", "f" * 40])
def test_a_missing_ref_is_named(ref: str, repository: Repository, work: Path) -> None:
    error = refusal(from_disk(repository, ref=ref), work)

    assert error.code == "ref-not-found"
    assert ref in str(error)
    assert "Traceback" not in str(error)


def test_a_repository_without_a_commit_is_said_to_be_empty(tmp_path: Path, work: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path / "empty")], check=True)
    source = Source(str(tmp_path / "empty"), policy=SourcePolicy(local_roots=(tmp_path,)))

    assert refusal(source, work).code == "repository-empty"


def test_a_missing_repository_is_said(repository: Repository, work: Path) -> None:
    source = from_disk(repository, url=f"{repository.folder}-other")

    assert refusal(source, work).code == "repository-not-found"


def test_a_path_is_the_folder_that_runs(repository: Repository, work: Path) -> None:
    repository.commit({"modules/dns/main.tf": ""})

    checkout = fetched(from_disk(repository, path="modules/dns"), work)

    assert checkout.folder == checkout.root / "modules" / "dns"


def test_a_missing_path_is_answered_with_folders_that_would_do(
    repository: Repository, work: Path
) -> None:
    repository.commit({"modules/dns/main.tf": "", "docs/readme.md": "", "web/main.tofu": ""})

    error = refusal(from_disk(repository, path="module/dns"), work)

    assert error.code == "path-not-found"
    assert "modules/dns" in str(error)
    assert "web" in str(error)
    assert "docs" not in str(error)


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "../../outside", "/", "a/../../..", ".git/config"]
)
def test_a_symlink_that_leaves_the_repository_is_refused_by_name(
    target: str, repository: Repository, work: Path
) -> None:
    (repository.folder / "secrets.tf").symlink_to(target)
    repository.commit({})

    error = refusal(from_disk(repository), work)

    assert error.code == "symlink-leaves-repository"
    assert "secrets.tf" in str(error)


def test_a_symlink_inside_of_the_repository_stays(repository: Repository, work: Path) -> None:
    repository.commit({"shared/versions.tf": "# shared"})
    (repository.folder / "versions.tf").symlink_to("shared/versions.tf")
    (repository.folder / "alias").symlink_to("shared")
    repository.commit({})

    checkout = fetched(from_disk(repository), work)

    assert (checkout.folder / "versions.tf").read_text() == "# shared"


def test_a_committed_terraform_folder_is_removed(repository: Repository, work: Path) -> None:
    repository.commit({".terraform/terraform.tfstate": "{}", ".terraform/providers/x": "x"})

    checkout = fetched(from_disk(repository), work)

    assert not (checkout.folder / ".terraform").exists()
    assert ".terraform" in checkout.warnings[0]


def test_a_committed_errored_state_is_not_taken_for_one_of_this_run(
    repository: Repository, work: Path
) -> None:
    repository.commit({"errored.tfstate": "{}", "modules/dns/errored.tfstate": "{}"})

    checkout = fetched(from_disk(repository), work)

    assert list(checkout.root.rglob("errored.tfstate")) == []
    assert len(checkout.warnings) == 2


def test_a_committed_state_is_put_aside_for_an_import(repository: Repository, work: Path) -> None:
    repository.commit(
        {
            "a/terraform.tfstate": '{"serial": 3}',
            "a/terraform.tfstate.d/dev/terraform.tfstate": "{}",
        }
    )

    checkout = fetched(from_disk(repository, path="a"), work)

    assert list(checkout.folder.iterdir()) == []
    assert checkout.committed_state is not None
    assert checkout.committed_state.read_text() == '{"serial": 3}'
    assert len(checkout.warnings) == 2


def test_a_committed_state_that_is_a_symlink_is_put_aside_with_its_content(
    repository: Repository, work: Path
) -> None:
    repository.commit({"states/main.json": '{"serial": 3}'})
    (repository.folder / "terraform.tfstate").symlink_to("states/main.json")
    repository.commit({})

    checkout = fetched(from_disk(repository), work)

    assert not (checkout.folder / "terraform.tfstate").exists()
    assert checkout.committed_state is not None
    assert checkout.committed_state.read_text() == '{"serial": 3}'


def test_hooks_filters_and_monitors_that_anybody_configured_do_not_run(
    repository: Repository, tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "ran"
    hook = tmp_path / "hooks" / "post-checkout"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    configured = (
        f"[core]\n\thooksPath = {hook.parent}\n\tfsmonitor = {hook}\n\tsshCommand = {hook}\n"
        f'[filter "x"]\n\tsmudge = {hook}\n\trequired = true\n'
    )
    (work / ".gitconfig").write_text(configured)
    (tmp_path / "global").write_text(configured)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "global"))
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(tmp_path))
    repository.commit({".gitattributes": "* filter=x\n"})

    checkout = fetched(from_disk(repository), work)

    assert (checkout.folder / "main.tf").is_file()
    assert not mark.exists()


def test_no_variable_of_the_worker_reaches_git(
    repository: Repository, tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    spy = tmp_path / "bin" / "git"
    spy.parent.mkdir()
    spy.write_text(f'#!/bin/sh\nenv >> {seen}\nPATH="${{PATH#*:}}"\nexec git "$@"\n')
    spy.chmod(0o755)
    path = f"{spy.parent}:" + str(Path("/usr/local/bin")) + ":/usr/bin:/bin"
    monkeypatch.setenv("PATH", path)
    monkeypatch.setenv("STATEROOM_DATABASE_PASSWORD", "hunter2")
    monkeypatch.setenv("GIT_SSH_COMMAND", "hunter2")

    fetched(from_disk(repository), work)

    environment = seen.read_text()
    assert "GIT_ALLOW_PROTOCOL=https:ssh:file" in environment
    assert f"HOME={work}" in environment
    assert "hunter2" not in environment


@pytest.mark.parametrize("name", ["d/" * 600 + "x", "é/" * 400 + "x"])
def test_a_path_too_deep_to_be_walked_is_refused(
    name: str, repository: Repository, work: Path
) -> None:
    blob = repository._git("hash-object", "-w", "main.tf")
    repository._git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}")
    repository._git("commit", "-q", "-m", "Deep")

    assert refusal(from_disk(repository), work).code == "repository-path-too-long"


def test_what_a_commit_says_of_itself_is_short_and_printable(
    repository: Repository, work: Path
) -> None:
    repository.commit({}, "Fix \x1b[31mred" + "!" * 1000)

    checkout = fetched(from_disk(repository), work)

    assert checkout.subject.startswith("Fix ?[31mred!")
    assert len(checkout.subject) == 200


def test_an_empty_folder_that_exists_already_is_filled(repository: Repository, work: Path) -> None:
    (work / "source").mkdir()

    checkout = fetched(from_disk(repository), work)

    assert (checkout.root / "main.tf").is_file()


def test_a_machine_without_git_is_told_what_to_install(
    repository: Repository, tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert refusal(from_disk(repository), work).code == "git-not-installed"


def test_what_is_too_large_is_refused(
    repository: Repository, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit({"large.txt": "0" * 100_000})
    monkeypatch.setattr(tree, "MOST_BYTES", 50_000)

    assert refusal(from_disk(repository), work).code == "repository-too-large"


def test_a_clone_that_is_canceled_before_it_starts_destroys_all(
    repository: Repository, work: Path
) -> None:
    with pytest.raises(Stopped) as stopped:
        clone(
            from_disk(repository),
            work / "source",
            work=work,
            deadline=30,
            stop=lambda: StopLevel.INTERRUPT,
        )

    assert stopped.value.code == "canceled"
    assert list(work.iterdir()) == []


def test_several_clones_at_once_do_not_disturb_each_other(
    repository: Repository, tmp_path: Path
) -> None:
    arrived: list[str] = []

    def fetch(number: int) -> None:
        folder = tmp_path / f"work-{number}"
        folder.mkdir()
        arrived.append(fetched(from_disk(repository), folder).commit)

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(arrived) == 4
    assert len(set(arrived)) == 1
