"""Private modules are opened by the credential of their own prefix, which nobody else sees."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import SourceError
from runner.job import GitCredential, Job, Login, Source, SourcePolicy
from runner.processes.process import Captured, capture, child_environment
from runner.processes.room import Room
from runner.sources import modules
from runner.tools import tool
from tests.support import rooms
from tests.support.git_http import GitHttp, git_http
from tests.support.repositories import Repository
from tests.support.ssh_keys import ssh_key
from tests.support.sshd import Sshd
from tests.support.tool_run import BACKEND

ANYWHERE = SourcePolicy(private_hosts=True, plain_http=True)
ADA = Login("ada", 'it\'s a "secret"; $(touch x) `x` %s')


@pytest.fixture
def guarded(repository: Repository) -> Iterator[GitHttp]:
    """Serves `network` to ada only."""
    with git_http(repository.folder.parent, (ADA.username, ADA.password)) as server:
        yield server


def job(*credentials: GitCredential, known_hosts: str = "") -> Job:
    source = Source("https://git.example.com/x.git", policy=ANYWHERE, known_hosts=known_hosts)
    return Job("run", "plan", source, BACKEND, git_credentials=credentials)


def cloned(url: str, given: Job, work: Path, made: Room) -> Captured:
    """What git does that terraform init calls."""
    with modules.access(given, work, made) as access:
        environment = child_environment(work, work, os.environ["PATH"], access.environment)
        argv = ["git", "clone", "--quiet", "--", url, str(work / "module")]
        return capture(argv, env=environment, cwd=work, deadline=60, room=made)


def host(server: GitHttp) -> str:
    return f"127.0.0.1:{server.server.server_address[1]}"


@pytest.mark.parametrize("below", ["", "/network"])
def test_a_login_opens_what_is_below_its_prefix(
    guarded: GitHttp, work: Path, bare_room: Room, below: str
) -> None:
    given = job(GitCredential(host(guarded) + below, ADA))

    done = cloned(guarded.url("network/.git"), given, work, bare_room)

    assert done.returncode == 0, done.stderr
    assert (work / "module" / "main.tf").is_file()
    assert not (work / "x").exists()


@pytest.mark.parametrize("prefix", ["/net", "/other", "/network/deeper"])
def test_a_login_is_given_to_no_other_repository(
    guarded: GitHttp, work: Path, bare_room: Room, prefix: str
) -> None:
    done = cloned(
        guarded.url("network/.git"),
        job(GitCredential(host(guarded) + prefix, ADA)),
        work,
        bare_room,
    )

    assert done.returncode != 0
    assert {authorization for _, authorization in guarded.seen} == {None}


def test_a_login_is_given_to_no_other_host(guarded: GitHttp, work: Path, bare_room: Room) -> None:
    done = cloned(
        guarded.url("network/.git"), job(GitCredential("git.example.com", ADA)), work, bare_room
    )

    assert done.returncode != 0
    assert {authorization for _, authorization in guarded.seen} == {None}


def test_the_longest_prefix_wins(guarded: GitHttp, work: Path, bare_room: Room) -> None:
    given = job(
        GitCredential(host(guarded), Login("bob", "wrong")),
        GitCredential(f"{host(guarded)}/network", ADA),
    )

    assert cloned(guarded.url("network/.git"), given, work, bare_room).returncode == 0


def test_a_login_is_in_no_file(guarded: GitHttp, work: Path, bare_room: Room) -> None:
    cloned(guarded.url("network/.git"), job(GitCredential(host(guarded), ADA)), work, bare_room)

    encoded = base64.b64encode(f"{ADA.username}:{ADA.password}".encode())
    for path in (path for path in work.rglob("*") if path.is_file()):
        assert ADA.password.encode() not in path.read_bytes()
        assert encoded not in path.read_bytes()


def test_a_login_for_https_is_not_sent_over_http_where_that_is_not_allowed(
    guarded: GitHttp, work: Path, bare_room: Room
) -> None:
    given = job(GitCredential(host(guarded), ADA))
    given = replace(given, source=replace(given.source, policy=SourcePolicy()))

    with modules.access(given, work, bare_room) as access:
        helper = "".join(access.environment.values())

    assert "http://" not in helper


@pytest.mark.parametrize(
    "prefix",
    ["", "x y", "$(x)", "host/*", "host/../x", "HOST", "host;x", "host/'x", "https://host"],
)
def test_a_prefix_that_a_shell_could_read_as_something_else_is_refused(
    prefix: str, work: Path, bare_room: Room
) -> None:
    with (
        pytest.raises(SourceError) as refused,
        modules.access(job(GitCredential(prefix, ADA)), work, bare_room),
    ):
        pass

    assert refused.value.code == "git-credential-invalid"


def test_two_deploy_keys_of_one_host_each_open_their_own_repository(
    sshd: Sshd, repository: Repository, work: Path, bare_room: Room
) -> None:
    """As at GitHub: a key is the key of one repository, and any other answer is that one's."""
    other = Repository(repository.folder.parent / "other", {"other.tf": ""})
    credentials = []
    for one in (repository, other):
        key, public = ssh_key()
        only = f"git-upload-pack '{one.folder}/.git'"
        with (sshd.folder / "authorized_keys").open("a") as authorized:
            authorized.write(f'restrict,command="{only}" {public}\n')
        where = f"{sshd.host}:{sshd.port}{one.folder}"
        credentials.append(GitCredential(where, key))
    given = job(*credentials, known_hosts=sshd.known_hosts_line)

    for one, file in ((repository, "main.tf"), (other, "other.tf")):
        done = cloned(sshd.url(one.folder), given, work, bare_room)
        assert done.returncode == 0, done.stderr
        assert (work / "module" / file).is_file()
        (work / "module").rename(work / one.folder.name)


def test_a_key_is_offered_to_no_other_repository(
    sshd: Sshd, repository: Repository, work: Path, bare_room: Room
) -> None:
    key, public = ssh_key()
    sshd.authorize(public)
    elsewhere = GitCredential(f"{sshd.host}:{sshd.port}/somewhere/else", key)

    done = cloned(
        sshd.url(repository.folder),
        job(elsewhere, known_hosts=sshd.known_hosts_line),
        work,
        bare_room,
    )

    assert done.returncode != 0
    assert b"Permission denied" in done.stderr


def test_the_module_key_opens_what_no_prefix_fits(
    sshd: Sshd, repository: Repository, work: Path, bare_room: Room
) -> None:
    key, public = ssh_key()
    sshd.authorize(public)
    stranger, _ = ssh_key()
    given = job(GitCredential("git.example.com", stranger), known_hosts=sshd.known_hosts_line)

    done = cloned(sshd.url(repository.folder), replace(given, module_key=key), work, bare_room)

    assert done.returncode == 0, done.stderr


def test_terraform_fetches_modules_of_two_hosts_with_a_login_and_a_key(
    guarded: GitHttp,
    sshd: Sshd,
    repository: Repository,
    work: Path,
    bare_room: Room,
    tmp_path: Path,
) -> None:
    key, public = ssh_key()
    sshd.authorize(public)
    given = job(
        GitCredential(f"{host(guarded)}/network", ADA),
        GitCredential(f"{sshd.host}:{sshd.port}", key),
        known_hosts=sshd.known_hosts_line,
    )
    root = tmp_path / "root"
    root.mkdir()
    urls = {"web": guarded.url("network/.git"), "ssh": sshd.url(repository.folder)}
    calls = [f'module "{name}" {{\n  source = "git::{url}"\n}}\n' for name, url in urls.items()]
    (root / "main.tf").write_text("".join(calls))
    terraform = tool.find("terraform", None, None)

    with modules.access(given, work, bare_room) as access:
        done = capture(
            [*terraform.argv, "init", "-input=false", "-no-color", "-backend=false"],
            env=child_environment(work, work, os.environ["PATH"], access.environment),
            cwd=root,
            deadline=60,
            room=bare_room,
        )

    assert done.returncode == 0, done.stderr
    assert ADA.password.encode() not in done.stdout + done.stderr
    for name in urls:
        assert (root / ".terraform" / "modules" / name / "main.tf").is_file()


def test_the_user_of_a_run_may_read_a_repository_on_the_machine(
    repository: Repository, short_root: Path
) -> None:
    served = repository.folder
    source = Source("https://git.example.com/x.git", policy=SourcePolicy(local_roots=(served,)))

    with (
        rooms.opened(short_root, "required", served) as made,
        modules.access(
            Job("run", "plan", source, BACKEND), short_root / "work" / "run-1.1", made
        ) as access,
    ):
        environment = made.seen_in(
            child_environment(made.seen.home, made.seen.tmp, os.defpath, access.environment)
        )
        done = capture(
            ["git", "clone", "--quiet", "--", f"file://{served}", "module"],
            env=environment,
            cwd=made.seen.checkout,
            deadline=60,
            room=made,
        )

    assert done.returncode == 0, done.stderr
