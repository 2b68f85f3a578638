"""Submodules and files of Git LFS are fetched where a template says so, by the same rules."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.errors import SourceError
from runner.job import GitCredential, Login, Source, SourcePolicy
from runner.sources import submodules
from runner.sources.source import Checkout, clone
from tests.support.git_http import GitHttp, git_http
from tests.support.repositories import Repository
from tests.support.ssh_keys import ssh_key
from tests.support.sshd import Sshd

ADA = ("ada", "hunter2-über")
CONTENT = os.urandom(200_000)
OID = hashlib.sha256(CONTENT).hexdigest()


def pointer(content: bytes = CONTENT) -> str:
    oid = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"


@pytest.fixture
def guarded(repository: Repository) -> Iterator[GitHttp]:
    with git_http(repository.folder.parent, ADA) as server:
        yield server


def from_disk(repository: Repository, **changes: Any) -> Source:
    policy = SourcePolicy(local_roots=(repository.folder.parent,))
    source = Source(str(repository.folder), policy=policy, submodules=True, lfs=True)
    return replace(source, **changes)


def from_web(server: GitHttp, **changes: Any) -> Source:
    policy = SourcePolicy(private_hosts=True, plain_http=True)
    source = Source(server.url("network/.git"), policy=policy, submodules=True, lfs=True)
    return replace(source, credential=Login(*ADA), **changes)


def fetched(source: Source, work: Path) -> Checkout:
    return clone(source, work / "source", work=work, deadline=60)


def refusal(source: Source, work: Path) -> SourceError:
    with pytest.raises(SourceError) as refused:
        fetched(source, work)
    assert list(work.iterdir()) == []
    return refused.value


def add_submodule(repository: Repository, other: Repository, where: str, url: str = "") -> None:
    allowed = ("-c", "protocol.file.allow=always")
    repository._git(*allowed, "submodule", "--quiet", "add", str(other.folder), where)
    if url:
        repository._git("config", "-f", ".gitmodules", f"submodule.{where}.url", url)
    repository.commit({})


def another(repository: Repository, name: str = "other") -> Repository:
    return Repository(repository.folder.parent / name, {"main.tf": f"# {name}\n"})


def test_a_submodule_arrives_at_the_recorded_commit(repository: Repository, work: Path) -> None:
    other = another(repository)
    add_submodule(repository, other, "modules/other")
    other.commit({"later.tf": ""})

    checkout = fetched(from_disk(repository), work)

    assert [path.name for path in (checkout.root / "modules" / "other").iterdir()] == ["main.tf"]
    assert checkout.warnings == ()


@pytest.mark.parametrize("url", ["../other", "../other/", "./../other"])
def test_an_address_may_be_relative_to_that_of_the_repository(
    repository: Repository, work: Path, url: str
) -> None:
    add_submodule(repository, another(repository), "sub", url)

    assert (fetched(from_disk(repository), work).root / "sub" / "main.tf").is_file()


def test_submodules_of_submodules_arrive(repository: Repository, work: Path) -> None:
    middle, inner = another(repository, "middle"), another(repository, "inner")
    add_submodule(middle, inner, "deep/inner", "../inner")
    add_submodule(repository, middle, "sub")

    checkout = fetched(from_disk(repository), work)

    assert (checkout.root / "sub" / "deep" / "inner" / "main.tf").read_text() == "# inner\n"


def test_a_template_may_be_in_a_submodule(repository: Repository, work: Path) -> None:
    other = another(repository)
    other.commit({"live/main.tf": "# live"})
    add_submodule(repository, other, "sub")

    checkout = fetched(from_disk(repository, path="sub/live"), work)

    assert (checkout.folder / "main.tf").read_text() == "# live"


def test_only_what_the_template_reaches_is_fetched(repository: Repository, work: Path) -> None:
    repository.commit({"live/main.tf": 'module "x" {\n  source = "../used/sub"\n}\n'})
    add_submodule(repository, another(repository), "used")
    add_submodule(repository, another(repository, "unused"), "docs/theme", "ext::sh -c x")

    checkout = fetched(from_disk(repository, path="live"), work)

    assert (checkout.root / "used" / "main.tf").is_file()
    assert "docs/theme" in checkout.warnings[0]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ext::sh -c touch% x", "repository-url-refused"),
        ("file:///etc", "repository-url-refused"),
        ("https://127.0.0.1/x.git", "repository-host-refused"),
        ("--upload-pack=touch x", "repository-url-refused"),
    ],
)
def test_a_submodule_goes_through_the_same_gate(
    repository: Repository, work: Path, url: str, code: str
) -> None:
    add_submodule(repository, another(repository), "sub", url)

    error = refusal(from_disk(repository), work)

    assert error.code == code
    assert "'sub'" in error.message


def test_the_key_of_the_template_opens_no_submodule_and_a_git_credential_does(
    repository: Repository, guarded: GitHttp, work: Path
) -> None:
    add_submodule(repository, another(repository), "sub", guarded.url("other/.git"))
    host = f"127.0.0.1:{guarded.server.server_address[1]}"
    opens = (GitCredential(f"{host}/other", Login(*ADA)),)

    error = refusal(from_web(guarded), work)
    sent = {who for path, who in guarded.seen if path.startswith("/other")}
    checkout = fetched(from_web(guarded, git_credentials=opens), work)

    assert error.code == "repository-access-denied"
    assert sent == {None}
    assert (checkout.root / "sub" / "main.tf").is_file()


def test_there_are_not_endlessly_many_submodules(
    repository: Repository, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_submodule(repository, another(repository), "one")
    add_submodule(repository, another(repository, "second"), "two")
    monkeypatch.setattr(submodules, "MOST", 1)

    assert refusal(from_disk(repository), work).code == "submodules-too-many"


def test_a_submodule_without_an_address_is_named(repository: Repository, work: Path) -> None:
    add_submodule(repository, another(repository), "sub")
    repository._git("rm", "--quiet", "--cached", ".gitmodules")
    (repository.folder / ".gitmodules").unlink()
    repository._git("commit", "--quiet", "-m", "Forget")

    assert refusal(from_disk(repository), work).code == "submodule-unknown"


def test_a_file_of_git_lfs_arrives_from_a_repository_on_disk(
    repository: Repository, work: Path
) -> None:
    stored = repository.folder / ".git" / "lfs" / "objects" / OID[:2] / OID[2:4] / OID
    stored.parent.mkdir(parents=True)
    stored.write_bytes(CONTENT)
    repository.commit({"live/main.tf": "", "live/x.bin": pointer(), "docs/y.bin": pointer(b"y")})

    checkout = fetched(from_disk(repository, path="live"), work)

    assert (checkout.folder / "x.bin").read_bytes() == CONTENT
    assert "docs/y.bin" in checkout.warnings[0]


def test_files_of_git_lfs_arrive_from_the_server_of_the_repository(
    repository: Repository, guarded: GitHttp, work: Path
) -> None:
    guarded.lfs = {OID: CONTENT}
    repository.commit({"x.bin": pointer()})
    (repository.folder / "x.bin").chmod(0o755)
    repository.commit({"same.bin": pointer()})

    checkout = fetched(from_web(guarded), work)

    assert (checkout.folder / "x.bin").read_bytes() == CONTENT
    assert (checkout.folder / "same.bin").read_bytes() == CONTENT
    assert os.access(checkout.folder / "x.bin", os.X_OK)
    downloads = [who for path, who in guarded.seen if path.startswith("/lfs-object/")]
    assert set(downloads) == {"RemoteAuth of-the-server"}


def test_over_ssh_the_host_names_the_server_and_gives_a_login_for_it(
    repository: Repository, sshd: Sshd, guarded: GitHttp, work: Path
) -> None:
    key, public = ssh_key()
    login = {"Authorization": str(guarded.expected)}
    said = {"href": guarded.url("network/.git/info/lfs"), "header": login}
    (sshd.folder / "said").write_text(json.dumps(said))
    door = sshd.folder / "door"
    door.write_text(
        '#!/bin/sh\ncase "$SSH_ORIGINAL_COMMAND" in\n'
        f"\"git-lfs-authenticate '{repository.folder}' download\") cat {sshd.folder}/said;;\n"
        '*) exec git-shell -c "$SSH_ORIGINAL_COMMAND";;\nesac\n'
    )
    door.chmod(0o755)
    with (sshd.folder / "authorized_keys").open("a") as authorized:
        authorized.write(f'restrict,command="{door}" {public}\n')
    guarded.lfs = {OID: CONTENT}
    repository.commit({"x.bin": pointer()})
    policy = SourcePolicy(private_hosts=True, plain_http=True)
    source = Source(sshd.url(repository.folder), policy=policy, lfs=True, credential=key)

    checkout = fetched(replace(source, known_hosts=sshd.known_hosts_line), work)

    assert (checkout.folder / "x.bin").read_bytes() == CONTENT


def test_a_host_without_git_lfs_over_ssh_is_explained(
    repository: Repository, sshd: Sshd, work: Path
) -> None:
    key, public = ssh_key()
    sshd.authorize(public)
    repository.commit({"x.bin": pointer()})
    policy = SourcePolicy(private_hosts=True)
    source = Source(sshd.url(repository.folder), policy=policy, lfs=True, credential=key)

    error = refusal(replace(source, known_hosts=sshd.known_hosts_line), work)

    assert error.code == "lfs-failed"
    assert "over ssh" in error.message


@pytest.mark.parametrize("wrong", [b"something else", CONTENT + b"more", b""])
def test_what_is_not_what_the_pointer_says_is_refused(
    repository: Repository, guarded: GitHttp, work: Path, wrong: bytes
) -> None:
    guarded.lfs = {OID: wrong}
    repository.commit({"x.bin": pointer()})

    error = refusal(from_web(guarded), work)

    assert error.code == "lfs-failed"
    assert "x.bin" in error.message


def test_a_file_that_the_server_lacks_is_named(
    repository: Repository, guarded: GitHttp, work: Path
) -> None:
    repository.commit({"x.bin": pointer()})

    error = refusal(from_web(guarded), work)

    assert error.code == "lfs-failed"
    assert "x.bin" in error.message


def test_a_server_may_not_send_a_download_to_a_place_that_is_not_allowed(
    repository: Repository, guarded: GitHttp, work: Path
) -> None:
    guarded.lfs, guarded.lfs_href = {OID: CONTENT}, "file:///etc/passwd"
    repository.commit({"x.bin": pointer()})

    error = refusal(from_web(guarded), work)

    assert error.code == "repository-url-refused"
    assert "x.bin" in error.message


def test_more_than_a_run_may_fetch_is_not_asked_for(
    repository: Repository, guarded: GitHttp, work: Path
) -> None:
    huge = pointer().replace(f"size {len(CONTENT)}", f"size {1 << 40}")
    repository.commit({"x.bin": huge})

    assert refusal(from_web(guarded), work).code == "repository-too-large"
    assert not [path for path, _ in guarded.seen if "lfs" in path]


def test_a_file_of_git_lfs_in_a_submodule_comes_from_the_submodules_repository(
    repository: Repository, guarded: GitHttp, work: Path
) -> None:
    other = another(repository)
    other.commit({"x.bin": pointer()})
    guarded.lfs = {OID: CONTENT}
    add_submodule(repository, other, "sub", guarded.url("other/.git"))
    host = f"127.0.0.1:{guarded.server.server_address[1]}"
    opens = (GitCredential(host, Login(*ADA)),)

    checkout = fetched(from_web(guarded, git_credentials=opens), work)

    assert (checkout.root / "sub" / "x.bin").read_bytes() == CONTENT
    asked = [path for path, _ in guarded.seen if path.endswith("/objects/batch")]
    assert asked == ["/other/.git/info/lfs/objects/batch"]
