"""Sources over ssh: the right key, and a host that is known."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import SourceError
from runner.job import Source, SourcePolicy, SshKey
from runner.processes.process import capture, child_environment
from runner.sources import ssh
from runner.sources.repository import GitError, explain, module_environment
from runner.sources.source import Checkout, clone
from runner.sources.url import check_address
from runner.tools import tool
from tests.support.processes import living_in
from tests.support.repositories import Repository
from tests.support.ssh_keys import Form, Kind, ssh_key
from tests.support.sshd import Sshd, host_key, python_sshd, real_sshd

ANYWHERE = SourcePolicy(private_hosts=True)


def fetched(source: Source, work: Path) -> Checkout:
    return clone(source, work / "source", work=work, deadline=30)


def refusal(source: Source, work: Path) -> SourceError:
    with pytest.raises(SourceError) as refused:
        fetched(source, work)
    assert list(work.iterdir()) == []
    assert living_in(work) == []
    return refused.value


@pytest.mark.parametrize("serve", [real_sshd, python_sshd])
def test_a_repository_arrives_over_ssh(
    serve: Callable[[Path], AbstractContextManager[Sshd]],
    repository: Repository,
    tmp_path: Path,
    work: Path,
) -> None:
    key, public = ssh_key()

    with serve(tmp_path / "server") as server:
        server.authorize(public)
        url = server.url(repository.folder)
        source = Source(url, credential=key, known_hosts=server.known_hosts_line, policy=ANYWHERE)
        checkout = fetched(source, work)

    assert checkout.commit == repository._git("rev-parse", "HEAD")
    assert checkout.host_keys == ""
    assert [path.name for path in work.iterdir()] == ["source"]
    assert living_in(work) == []


@pytest.mark.parametrize(
    ("kind", "form"), [("ed25519", "openssh"), ("ecdsa", "openssh"), ("rsa", "pem")]
)
def test_a_key_with_a_passphrase_opens_the_repository(
    kind: Kind, form: Form, sshd: Sshd, repository: Repository, work: Path
) -> None:
    key, public = ssh_key(kind, form, "correct horse")
    sshd.authorize(public)
    url = sshd.url(repository.folder)

    checkout = fetched(
        Source(url, credential=key, known_hosts=sshd.known_hosts_line, policy=ANYWHERE), work
    )

    assert (checkout.folder / "main.tf").is_file()


def test_a_wrong_passphrase_is_said_before_anybody_is_asked(
    sshd: Sshd, repository: Repository, work: Path
) -> None:
    key, _ = ssh_key(passphrase="correct horse")
    source = Source(
        sshd.url(repository.folder),
        credential=SshKey(key.private_key, "wrong"),
        known_hosts=sshd.known_hosts_line,
        policy=ANYWHERE,
    )

    assert refusal(source, work).code == "ssh-key-passphrase"


def test_an_unknown_host_is_refused_by_name(sshd: Sshd, repository: Repository, work: Path) -> None:
    key, public = ssh_key()
    sshd.authorize(public)

    error = refusal(Source(sshd.url(repository.folder), credential=key, policy=ANYWHERE), work)

    assert error.code == "host-key-unknown"
    assert f"stateroom projects host-keys scan {sshd.host}:{sshd.port}`" in str(error)


def test_a_host_whose_key_has_changed_is_refused_by_name(
    sshd: Sshd, repository: Repository, work: Path
) -> None:
    key, public = ssh_key()
    sshd.authorize(public)
    source = Source(
        sshd.url(repository.folder),
        credential=key,
        known_hosts=sshd.known_as(host_key()),
        policy=ANYWHERE,
        accept_new_host_keys=True,
    )

    error = refusal(source, work)

    assert error.code == "host-key-changed"
    assert f"stateroom projects host-keys remove {sshd.host}:{sshd.port}`" in str(error)


def test_a_new_host_is_accepted_where_that_was_chosen_and_its_key_is_handed_back(
    sshd: Sshd, repository: Repository, work: Path
) -> None:
    key, public = ssh_key()
    sshd.authorize(public)
    source = Source(
        sshd.url(repository.folder), credential=key, policy=ANYWHERE, accept_new_host_keys=True
    )

    checkout = fetched(source, work)

    assert checkout.host_keys.strip() == sshd.known_hosts_line.strip()


@pytest.mark.parametrize("has_key", ["another key", "no key"])
def test_a_key_that_does_not_fit_is_access_denied(
    has_key: str, sshd: Sshd, repository: Repository, work: Path
) -> None:
    key, _ = ssh_key()
    source = Source(
        sshd.url(repository.folder),
        credential=key if has_key == "another key" else None,
        known_hosts=sshd.known_hosts_line,
        policy=ANYWHERE,
    )

    assert refusal(source, work).code == "repository-access-denied"


def test_a_missing_repository_and_a_missing_branch_are_told_apart(
    sshd: Sshd, repository: Repository, work: Path
) -> None:
    key, public = ssh_key()
    sshd.authorize(public)
    known = {"credential": key, "known_hosts": sshd.known_hosts_line, "policy": ANYWHERE}

    missing = refusal(Source(sshd.url(Path("/srv/none.git")), **known), work)  # type: ignore[arg-type]
    branch = refusal(Source(sshd.url(repository.folder), ref="nowhere", **known), work)  # type: ignore[arg-type]

    assert missing.code == "repository-not-found"
    assert branch.code == "ref-not-found"


def test_a_server_that_nobody_runs_is_unreachable(
    repository: Repository, tmp_path: Path, work: Path
) -> None:
    with python_sshd(tmp_path / "gone") as gone:
        url = gone.url(repository.folder)

    error = refusal(Source(url, policy=ANYWHERE), work)

    assert error.code == "repository-unreachable"
    assert "refused" in str(error)


@pytest.fixture
def old_server(tmp_path: Path) -> Iterator[Sshd]:
    """One that knows no other signature than ssh-rsa with SHA-1."""
    with real_sshd(tmp_path / "old", only_ssh_rsa=True) as server:
        yield server


def test_an_old_server_is_explained_with_the_setting_that_allows_it(
    old_server: Sshd, repository: Repository, work: Path
) -> None:
    url, known = old_server.url(repository.folder), old_server.known_hosts_line

    error = refusal(Source(url, known_hosts=known, policy=ANYWHERE), work)

    assert error.code == "ssh-rsa-refused"
    assert "STATEROOM_SSH_RSA_HOSTS" in error.message


def test_an_old_server_that_an_administrator_listed_is_used(
    old_server: Sshd, repository: Repository, work: Path
) -> None:
    key, public = ssh_key("rsa")
    old_server.authorize(public)
    listed = frozenset({f"{old_server.host}:{old_server.port}"})
    source = Source(
        old_server.url(repository.folder),
        credential=key,
        known_hosts=old_server.known_hosts_line,
        policy=replace(ANYWHERE, ssh_rsa_hosts=listed),
    )

    assert fetched(source, work).commit == repository._git("rev-parse", "HEAD")


def test_another_host_that_is_listed_does_not_open_an_old_server(
    old_server: Sshd, repository: Repository, work: Path
) -> None:
    policy = replace(ANYWHERE, ssh_rsa_hosts=frozenset({"git.example.com", old_server.host}))
    url, known = old_server.url(repository.folder), old_server.known_hosts_line

    error = refusal(Source(url, known_hosts=known, policy=policy), work)

    assert error.code == "ssh-rsa-refused"


@pytest.mark.parametrize(
    ("url", "said", "hint"),
    [
        (
            "git@git.example.com:2222/team/x.git",
            "fatal: no such",
            "ssh://git@git.example.com:2222/team/x",
        ),
        (
            "git@github.com:team/x.git",
            "Connection timed out",
            "ssh://git@ssh.github.com:443/team/x.git",
        ),
        (
            "ssh://git@gitlab.com/team/x",
            "Connection refused",
            "ssh://git@altssh.gitlab.com:443/team/x",
        ),
        ("git@git.example.com:team/x.git", "Network is unreachable", "ssh://USER@HOST:PORT/PATH"),
    ],
)
def test_another_port_of_ssh_is_explained(url: str, said: str, hint: str) -> None:
    error = explain(GitError(["git"], 128, said), check_address(url, ANYWHERE), None, None)

    assert hint in error.message


def test_a_folder_of_digits_is_not_taken_for_a_port_in_an_address_with_a_port() -> None:
    address = check_address("ssh://git@git.example.com:22/2222/x.git", ANYWHERE)

    assert "is no port" not in explain(GitError(["git"], 128, "no"), address, None, None).message


def test_terraform_fetches_a_private_module_with_the_modules_key(
    sshd: Sshd, repository: Repository, work: Path, tmp_path: Path
) -> None:
    terraform = tool.find("terraform", None, None)
    key, public = ssh_key(passphrase="correct horse")
    sshd.authorize(public)
    root = tmp_path / "root"
    root.mkdir()
    module = f'module "network" {{\n  source = "git::{sshd.url(repository.folder)}?ref=main"\n}}\n'
    (root / "main.tf").write_text(module)

    with ssh.agent(key, work=work, known_hosts=sshd.known_hosts_line) as agent:
        extra = {**module_environment(ANYWHERE), **agent.environment}
        environment = child_environment(work, work, os.environ["PATH"], extra)
        done = capture(
            [*terraform.argv, "init", "-input=false", "-no-color", "-backend=false"],
            env=environment,
            cwd=root,
            deadline=60,
        )

    assert done.returncode == 0, done.stderr
    assert (root / ".terraform" / "modules" / "network" / "main.tf").is_file()


def test_a_module_over_a_protocol_that_is_not_allowed_is_refused(
    repository: Repository, work: Path, tmp_path: Path
) -> None:
    git = ["git", "clone", "--", repository.folder.as_uri(), str(tmp_path / "module")]
    environment = child_environment(
        work, work, os.environ["PATH"], module_environment(SourcePolicy())
    )

    done = capture(git, env=environment, cwd=tmp_path, deadline=30)

    assert done.returncode != 0
    assert b"transport 'file' not allowed" in done.stderr
