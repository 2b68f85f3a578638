"""Terraform and tofu at an alias, with the snippets pasted exactly as the API gives them."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from backend.states import addresses
from tests.support.documents import lock_info
from tests.support.place import Place
from tests.support.tools import Checkout

MakeAlias = Callable[..., dict[str, Any]]
EMPTY_BACKEND = 'terraform {\n  backend "http" {}\n}\n'


@pytest.fixture
def new_alias(place: Place) -> MakeAlias:
    """Makes aliases of the place's state."""
    path = f"/projects/{place.project}/workspaces/{place.workspace}/aliases"

    def make(name: str = "laptop", access: str = "read-write", **fields: Any) -> dict[str, Any]:
        made: dict[str, Any] = place.api.post(path, name=name, access=access, **fields)
        return made

    return make


@pytest.fixture
def pasted(new_checkout: Callable[..., Checkout]) -> Callable[..., Checkout]:
    """Makes folders with an alias's snippet for their tool in them, initialised."""

    def make(alias: dict[str, Any], name: str = "module") -> Checkout:
        folder = new_checkout(name)
        folder.write("backend.tf", alias["snippets"][folder.tool.name])
        folder.init()
        return folder

    return make


def test_a_pasted_snippet_is_all_it_takes_to_apply_and_change(
    pasted: Callable[..., Checkout], new_alias: MakeAlias, place: Place
) -> None:
    folder = pasted(new_alias())

    folder.apply()
    folder.apply("-var", "greeting=changed")

    assert place.state.read().json()["outputs"]["greeting"]["value"] == "changed"
    assert {version["created_by"] for version in place.versions()} == {"alias laptop"}
    assert None not in {version["lock_id"] for version in place.versions()}
    assert not place.is_locked()


def test_the_exports_fill_an_empty_backend_block(
    new_checkout: Callable[..., Checkout], new_alias: MakeAlias, place: Place
) -> None:
    exports = new_alias()["snippets"]["environment"]
    folder = new_checkout()
    folder.write("backend.tf", EMPTY_BACKEND)
    lines = (shlex.split(line, comments=True) for line in exports.splitlines())
    folder.environment = dict(line[1].split("=", 1) for line in lines if line)
    folder.init()

    folder.apply()

    assert place.versions()[0]["created_by"] == "alias laptop"
    assert place.versions()[0]["lock_id"] is not None
    assert not place.is_locked()


def test_a_login_with_every_odd_character_survives_the_paste(
    pasted: Callable[..., Checkout], new_alias: MakeAlias, place: Place
) -> None:
    odd = {"username": 'a"n\\n ${x} %{y} $z', "password": "p'a\"ss\\ ${word} %{if} `id` !x"}
    place.api.post(f"/projects/{place.project}/keys", kind="password", name="odd", **odd)
    alias = new_alias(key="odd")
    assert alias["username"] == odd["username"]
    where = addresses.Addresses(*[alias["address"]] * 3)
    snippets = addresses.snippets_with_login(where, **odd)

    folder = pasted({"snippets": asdict(snippets)})
    folder.apply()

    exported = shlex.split(snippets.environment, comments=True)
    assert {f"TF_HTTP_{name.upper()}={value}" for name, value in odd.items()} <= set(exported)
    assert place.versions()[0]["created_by"] == "alias laptop"


def test_a_read_only_alias_plans_without_a_lock_and_changes_nothing(
    pasted: Callable[..., Checkout], new_alias: MakeAlias, place: Place
) -> None:
    pasted(new_alias("writer"), "writer").apply()
    before = place.versions()
    alias = new_alias("reader", "read-only")
    reader = pasted(alias, "reader")

    planned = reader.run("plan", "-lock=false", "-detailed-exitcode", "-input=false", "-no-color")
    locked = reader.run("plan", "-input=false", "-no-color")
    applied = reader.run(
        "apply", "-auto-approve", "-lock=false", "-input=false", "-no-color", "-var", "greeting=no"
    )

    assert f"# {reader.tool.name} plan -lock=false\n" in alias["snippets"][reader.tool.name]
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert reader.must("output", "-raw", "greeting") == "hello"
    assert locked.returncode == 1
    assert "invalid auth" in locked.stderr
    assert applied.returncode == 1
    assert place.versions() == before
    assert reader.errored_state()["outputs"]["greeting"]["value"] == "no"


def test_a_read_write_alias_frees_the_lock_of_a_dead_terraform(
    pasted: Callable[..., Checkout], new_alias: MakeAlias, place: Place
) -> None:
    folder = pasted(new_alias())
    held = lock_info()
    place.state.lock(held)
    blocked = folder.run("plan", "-input=false", "-no-color")

    folder.must("force-unlock", "-force", held["ID"])

    assert blocked.returncode == 1
    assert held["ID"] in blocked.stderr
    assert not place.is_locked()


def test_a_revoked_alias_stops_terraform_before_it_creates_everything_again(
    pasted: Callable[..., Checkout], new_alias: MakeAlias, place: Place
) -> None:
    alias = new_alias()
    folder = pasted(alias)
    folder.apply()
    path = f"/projects/{place.project}/workspaces/{place.workspace}/aliases/{alias['id']}"
    place.api.delete(path)

    done = folder.run("plan", "-lock=false", "-input=false", "-no-color")

    assert done.returncode == 1
    assert "requires auth" in done.stderr
