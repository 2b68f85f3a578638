"""Private modules over https, from a login in the key store to a state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.git_http import GitHttp, git_http
from tests.support.installations import Installations
from tests.support.place import Place
from tests.support.repositories import Repository
from tests.support.shown import shown
from tests.support.stateroom import Stateroom

PASSWORD = "correct-horse-battery-staple"
CALLER = """
module "private" {{
  source = "git::{source}"
}}
output "said" {{
  value = module.private.greeting
}}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitHttp]:
    """Gives out `modules/network` to ci only, and redirects what is below `moved/`."""
    Repository(tmp_path / "modules" / "network")
    with git_http(tmp_path, ("ci", PASSWORD)) as served:
        yield served


@pytest.fixture(scope="session")
def private_web(installations: Installations) -> Stateroom:
    """An installation that may clone from this machine over http."""
    installation = installations.server(allow_private_hosts=True, allow_plain_http=True)
    if not installation.workers:
        installation.start_worker()
    return installation


def place_with_module(installation: Stateroom, tmp_path: Path, source: str) -> Place:
    root = Repository(tmp_path / "root", {"main.tf": CALLER.format(source=source)})
    place = installation.place(repository=str(root.folder))
    login = {"kind": "password", "name": "modules", "username": "ci", "password": PASSWORD}
    place.api.post(f"/projects/{place.project}/keys", **login)
    return place


def test_a_git_credential_opens_a_private_module_and_is_in_no_log(
    private_web: Stateroom, server: GitHttp, tmp_path: Path
) -> None:
    place = place_with_module(private_web, tmp_path, server.url("modules/network/.git"))
    host = f"127.0.0.1:{server.server.server_address[1]}"

    without = place.queue("apply").wait("errored")
    place.api.post(
        f"/projects/{place.project}/git-credentials",
        prefix=f"{host}/modules",
        key="modules",
        workspace=place.workspace,
    )
    run = place.queue("apply")
    run.wait("applied")

    assert without["error"]["code"] == "module-unavailable"
    assert "git-credentials" in without["error"]["next"]
    assert place.state.read().json()["outputs"]["said"]["value"] == "hello"
    assert PASSWORD not in run.log()


def test_a_login_that_the_host_refuses_is_told_with_the_commands_that_change_it(
    private_web: Stateroom, server: GitHttp
) -> None:
    place = private_web.place(repository=server.url("modules/network/.git"))
    project = f"/projects/{place.project}"
    login = {"kind": "password", "username": "ci", "password": "mistyped-by-somebody"}
    place.api.post(f"{project}/keys", name="login", **login)
    place.api.patch(f"{project}/templates/module", key="login")

    run = place.queue("plan")
    run.wait("errored")
    told = shown(place, run)

    assert told["error"] == "repository-access-denied"
    assert "127.0.0.1 does not let this key read the repository" in told["what is wrong"]
    assert f"stateroom stored-keys add -p {place.project} NAME" in told["do next"]
    assert f"stateroom templates set -p {place.project} module --key NAME" in told["do next"]
    assert login["password"] not in run.log() + str(told)


def test_a_module_that_has_moved_is_explained_with_its_new_address(
    private_web: Stateroom, server: GitHttp, tmp_path: Path
) -> None:
    place = place_with_module(private_web, tmp_path, server.url("moved/modules/network"))

    ended = place.queue("plan").wait("errored")

    assert ended["error"]["code"] == "module-redirected"
    assert f"is now {server.url('modules/network')}:" in ended["error"]["message"]


def test_submodules_and_files_of_git_lfs_are_refused_until_the_template_fetches_them(
    private_web: Stateroom, server: GitHttp, tmp_path: Path
) -> None:
    content = b"the certificate"
    oid = hashlib.sha256(content).hexdigest()
    server.lfs = {oid: content}
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"
    shared = Repository(tmp_path / "shared", {"x.pem": pointer})
    root = Repository(
        tmp_path / "root",
        {"main.tf": 'output "said" {\n  value = file("${path.module}/shared/x.pem")\n}\n'},
    )
    allowed = ("-c", "protocol.file.allow=always")
    root._git(*allowed, "submodule", "--quiet", "add", str(shared.folder), "shared")
    root._git("config", "-f", ".gitmodules", "submodule.shared.url", server.url("shared/.git"))
    root.commit({})
    place = private_web.place(repository=str(root.folder))
    project = f"/projects/{place.project}"
    template = f"{project}/templates/module"
    login = {"kind": "password", "name": "modules", "username": "ci", "password": PASSWORD}
    place.api.post(f"{project}/keys", **login)
    prefix = server.url("shared").removeprefix("http://")
    place.api.post(f"{project}/git-credentials", prefix=prefix, key="modules")

    neither = place.queue("apply").wait("errored")
    place.api.patch(template, submodules=True)
    without_lfs = place.queue("apply").wait("errored")
    place.api.patch(template, lfs=True)
    place.queue("apply").wait("applied")

    assert neither["error"]["code"] == "submodules"
    assert without_lfs["error"]["code"] == "lfs-pointers"
    assert place.state.read().json()["outputs"]["said"]["value"] == content.decode()
