"""The pages of variable sets."""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.visitor import Visitor, words

pytestmark = one_database
SETS = "/projects/shop/variable-sets"
SECRET = "hunter2-hunter2"


def test_a_set_is_made_filled_changed_and_deleted(owner: Visitor) -> None:
    assert owner.done(SETS, {"name": "cloud", "description": "For all"}) == f"{SETS}/cloud"
    fields = {"name": "region", "kind": "terraform", "type": "string", "value": "eu"}
    owner.done(f"{SETS}/cloud/variables", {**fields, "sensitive": "false"})

    page = owner.read(f"{SETS}/cloud")
    assert "region" in page
    [where] = {*re.findall(rf'href="({SETS}/cloud/variables/var_[^"]+)"', page)}
    changed = {"value": "us", "type": "string", "sensitive": "false"}
    assert owner.done(where, changed) == f"{SETS}/cloud"
    assert '<code class="value">us</code>' in owner.read(f"{SETS}/cloud")
    assert owner.done(f"{SETS}/cloud", {"name": "sky", "description": ""}) == f"{SETS}/sky"
    assert "For all" not in owner.read(f"{SETS}/sky")
    owner.done(where.replace("cloud", "sky") + "/delete")
    owner.done(f"{SETS}/sky/delete")
    assert "No variable sets yet" in owner.read(SETS)


def test_a_sensitive_value_is_never_shown_and_may_be_kept(owner: Visitor, boss: Caller) -> None:
    boss.made(SETS, {"name": "cloud"})
    fields = {"name": "password", "type": "string", "value": SECRET, "sensitive": "true"}
    owner.done(f"{SETS}/cloud/variables", {"kind": "terraform", **fields})
    page = owner.read(f"{SETS}/cloud")
    [where] = {*re.findall(rf'href="({SETS}/cloud/variables/var_[^"]+)"', page)}

    owner.done(
        where, {"keep": ["false", "true"], "value": "", "type": "string", "sensitive": "true"}
    )

    for shown in (page, owner.read(where), owner.read(f"{SETS}/cloud")):
        assert SECRET not in shown
        assert "sensitive" in shown


def test_a_set_says_which_workspaces_chose_it_and_in_which_order(
    owner: Visitor, boss: Caller
) -> None:
    for name in ("first", "second"):
        boss.made(SETS, {"name": name})
    boss.patch("/projects/shop/workspaces/app", {"variable_sets": ["first", "second"]})

    assert "app as set 2 of 2" in words(owner.read(f"{SETS}/second"))
    refused = owner.send(f"{SETS}/second/delete")
    assert refused.status_code == 409
    assert "used by the workspaces app" in words(refused.get_data(as_text=True))


def test_what_cannot_be_a_variable_is_refused(owner: Visitor, boss: Caller) -> None:
    boss.made(SETS, {"name": "cloud"})
    for wrong in ({"name": ""}, {"name": "PATH", "kind": "environment"}, {"kind": "x"}):
        fields = {"name": "x", "kind": "terraform", "type": "string", "value": "1", **wrong}
        assert owner.send(f"{SETS}/cloud/variables", fields).status_code == 422, wrong


def test_hostile_text_is_harmless(owner: Visitor, boss: Caller) -> None:
    boss.made(
        SETS, {"name": "cloud", "description": "<script>x</script>\N{RIGHT-TO-LEFT OVERRIDE}"}
    )
    value = "<img src=x>\x1b[31m\N{RIGHT-TO-LEFT OVERRIDE}"
    boss.made(f"{SETS}/cloud/variables", {"name": "odd", "value": value})

    for page in (owner.read(SETS), owner.read(f"{SETS}/cloud")):
        assert "<script>x" not in page
        assert "<img src=x" not in page
    assert "\\x1b[31m" in owner.read(f"{SETS}/cloud")


def test_every_role_sees_the_buttons_it_may_use(
    visitor_of: Callable[..., Visitor], boss: Caller
) -> None:
    boss.made(SETS, {"name": "cloud"})
    for role in ("owner", "manager", "task_runner", "guest"):
        visitor = visitor_of(role)
        may = role in {"owner", "manager"}
        assert ("Create the set" in visitor.read(SETS)) is may
        assert ("Set the variable" in visitor.read(f"{SETS}/cloud")) is may
        assert ("Delete the set" in visitor.read(f"{SETS}/cloud")) is may
        if not may:
            for path in ("", "/cloud", "/cloud/delete", "/cloud/variables"):
                fields = {"name": "x", "description": "", "value": "1"}
                assert visitor.send(f"{SETS}{path}", fields).status_code == 403, (role, path)
    stranger = visitor_of(None)
    for path in (SETS, f"{SETS}/cloud"):
        assert stranger.get(path).status_code == 404


def test_the_pages_take_few_statements(owner: Visitor, boss: Caller) -> None:
    for name in ("a", "b", "c"):
        boss.made(SETS, {"name": name})
        boss.made(f"{SETS}/{name}/variables", {"name": "x", "value": "1"})
        boss.made(f"{SETS}/{name}/variables", {"name": "y", "value": "1"})
    boss.patch("/projects/shop/workspaces/app", {"variable_sets": ["a", "b"]})

    page = read_within(owner, f"{SETS}/a")
    read_within(owner, SETS)
    read_within(owner, re.findall(rf'href="({SETS}/a/variables/var_[^"]+)"', page)[0])
