"""The page of a project's settings."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.visitor import Visitor, words

pytestmark = one_database
AT = "/projects/shop/settings"


def test_name_description_and_default_workspace_are_changed(owner: Visitor, boss: Caller) -> None:
    fields = {"name": "store", "description": "New & <b>bold</b>", "default_workspace": "app"}

    assert owner.done(AT, fields) == "/projects/store/settings"

    page = owner.read("/projects/store/settings")
    assert 'value="app"' in page
    assert "<b>bold" not in page
    owner.done("/projects/store/settings", fields | {"description": "", "default_workspace": ""})
    project = boss.get("/projects/store").json
    assert (project["description"], project["default_workspace_id"]) == ("", None)


def test_a_wrong_setting_is_refused(owner: Visitor) -> None:
    for wrong in ({"name": "A B"}, {"default_workspace": "nowhere"}):
        assert owner.send(AT, {"name": "shop", **wrong}).status_code == 422, wrong


def test_quotas_are_for_administrators_of_the_installation(
    administrator: Visitor, visitor_of: Callable[..., Visitor], boss: Caller
) -> None:
    quotas = {"max_states": "3", "max_versions": "", "max_state_bytes": "5000", "max_runs": ""}
    administrator.done(AT, quotas)
    project = boss.get("/projects/shop").json
    assert (project["max_states"], project["max_versions"]) == (3, None)

    carla = visitor_of("manager")
    boss.put("/projects/shop/members/visitor-manager-false", {"role": "owner"})
    page = carla.read(AT)
    assert "Save the quotas" not in page
    assert "Delete the project" not in page
    assert "States : 3" in words(page)
    assert carla.send(AT, quotas).status_code == 403


def test_a_project_is_deleted_after_its_name_was_typed(
    administrator: Visitor, boss: Caller
) -> None:
    boss.made("/projects", {"name": "empty"})
    at = "/projects/empty/settings"

    assert "With it go 0 keys" in words(administrator.read(at))
    assert administrator.send(f"{at}/delete", {"typed": "shop"}).status_code == 422
    assert administrator.done(f"{at}/delete", {"typed": "empty"}) == "/projects"
    assert administrator.get("/projects/empty").status_code == 404


def test_a_project_with_states_says_what_is_in_the_way(administrator: Visitor) -> None:
    assert "It is not empty: 1 template and 1 workspace" in words(administrator.read(AT))

    refused = administrator.send(f"{AT}/delete", {"typed": "shop"})

    assert refused.status_code == 409
    assert "The project still has workspaces app" in words(refused.get_data(as_text=True))


def test_settings_are_for_owners(visitor_of: Callable[..., Visitor]) -> None:
    for role, status in (("manager", 403), ("guest", 403), (None, 404)):
        visitor = visitor_of(role)
        assert visitor.get(AT).status_code == status, role
        assert visitor.send(AT, {"description": "x"}).status_code == status, role
        assert visitor.send(f"{AT}/delete", {"typed": "shop"}).status_code == status, role


def test_the_page_takes_few_statements(owner: Visitor) -> None:
    read_within(owner, AT)
