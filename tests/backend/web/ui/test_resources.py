"""Pages of the resources of a state, and of its graph."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest

from backend.web.ui import graph, resources
from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.resources import document, large_document, resource
from tests.support.visitor import Visitor, words

AT = "/projects/shop/workspaces/app"
STATE = "/api/terraform/state/shop/app"
SECRET = "s3cret-ab12"
HOSTILE = '</a><script>alert(1)</script>"\u202e\x1b[31m'

pytestmark = one_database


def write(boss: Caller, body: bytes) -> None:
    assert boss.call("POST", STATE, data=body).status_code == 200


@pytest.fixture
def written(boss: Caller, shop: str) -> None:
    blue = 'module.app["blue"]'
    write(
        boss,
        document(
            resource("net", cidr="10.0.0.0/8", note=SECRET, sensitive=("note",)),
            resource("web", "aws_instance.net", module=blue, password=SECRET, keys=("a", "b")),
            resource("zone", type="aws_zone", data=True, tags={"token": SECRET, "team": "ops"}),
        ),
    )


def one(address: str) -> str:
    return f"{AT}/resources?address={quote(address)}"


def test_resources_are_listed_by_module(owner: Visitor, written: None) -> None:
    page = read_within(owner, f"{AT}/resources")

    said = words(page)
    assert "4 resources in version 1" in said
    assert "Root module aws_instance.net aws_instance hashicorp/aws data.aws_zone.zone" in said
    assert 'module.app["blue"] aws_instance.web["a"]' in said
    assert SECRET not in page


def test_resources_are_searched_and_chosen_by_type(owner: Visitor, written: None) -> None:
    found = words(owner.read(f"{AT}/resources?q=BLUE"))
    zones = words(owner.read(f"{AT}/resources?type=data.aws_zone"))

    assert "2 of 4 resources" in found
    assert "aws_instance.net" not in found.split("4 resources")[1]
    assert "1 of 4 resources" in zones
    assert "No resource fits" in words(owner.read(f"{AT}/resources?q=nothing"))


def test_a_long_list_has_pages_of_one_version(
    owner: Visitor, boss: Caller, written: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "PAGE", 3)
    page = owner.read(f"{AT}/resources")
    following = re.search(r'rel="next" href="([^"]+)"', page)
    write(boss, document(resource("new"), serial=2))

    rest = words(owner.read(following[1] if following else ""))

    assert "from number 4 on" in rest
    assert 'aws_instance.web["b"]' in rest
    assert "not of the newest state" in rest


def test_one_resource_shows_its_attributes_and_what_is_next_to_it(
    owner: Visitor, written: None
) -> None:
    net = read_within(owner, one("aws_instance.net"))
    web = owner.read(one('module.app["blue"].aws_instance.web["a"]'))

    assert "cidr 10.0.0.0/8" in words(net)
    assert "note sensitive" in words(net)
    assert 'Needed by module.app["blue"].aws_instance.web 2\N{MULTIPLICATION SIGN}' in words(net)
    assert "Depends on aws_instance.net" in words(web)
    assert one("aws_instance.net").replace("&", "&amp;") in web
    zone = owner.read(one("data.aws_zone.zone"))
    assert '"team": "ops"' in words(zone)
    assert SECRET not in net + web + zone


def test_a_resource_that_is_not_there_any_more_is_said_to_be_gone(
    owner: Visitor, written: None
) -> None:
    assert "has no resource with this address" in words(owner.read(one("aws_instance.old")))


def test_the_graph_is_a_list_too(owner: Visitor, written: None) -> None:
    page = read_within(owner, f"{AT}/graph")

    assert f'data-graph="/api/v1{AT}/graph?version=1"' in page
    said = words(page).split("As a list")[1]
    assert "3 resources, each with what it depends on directly." in said
    assert 'module.app["blue"].aws_instance.web 2\N{MULTIPLICATION SIGN} aws_instance.net' in said
    assert SECRET not in page


def test_a_large_graph_is_a_list_in_pages(
    owner: Visitor, boss: Caller, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(boss, large_document(20))
    monkeypatch.setattr(graph, "PAGE", 15)

    first, rest = owner.read(f"{AT}/graph"), owner.read(f"{AT}/graph?cursor=15")

    assert 'rel="next"' in first
    assert 'rel="next"' not in rest
    assert "20 resources" in words(rest)


def test_a_state_without_resources_teaches_what_comes(
    owner: Visitor, boss: Caller, shop: str
) -> None:
    for path in ("resources", "graph"):
        assert "The state was never written" in words(owner.read(f"{AT}/{path}"))
    write(boss, document())
    assert "Version 1 is empty" in words(owner.read(f"{AT}/resources"))
    assert "Version 1 has no resources" in words(owner.read(f"{AT}/graph"))


def test_hostile_names_keys_and_values_are_harmless(
    owner: Visitor, boss: Caller, shop: str
) -> None:
    module = f'module.app["{HOSTILE}"]'
    made = (
        resource(HOSTILE, module=module, type=HOSTILE, keys=(HOSTILE,), note=HOSTILE),
        resource("good", f"module.app.{HOSTILE}.{HOSTILE}", text=HOSTILE),
    )
    write(boss, document(*made, out=HOSTILE))
    write(boss, document(made[1], serial=2, out="other"))
    address = re.search(r"address=([^&\"]+)", owner.read(f"{AT}/resources?version=1&q=alert"))
    assert address is not None

    pages = [
        owner.read(f"{AT}/{path}")
        for path in (
            "resources?version=1", "graph?version=1", "versions/1", "diff", "outputs",
            f"resources?version=1&address={address[1]}",
        )
    ]  # fmt: skip

    for page in pages:
        assert "<script>alert" not in page
        shown = re.sub(r'(data-copy|value)="[^"]*"', "", page)
        assert "\u202e" not in shown
        assert "\x1b" not in shown
    assert 'note </a><script>alert(1)</script>"\\u202e' in words(pages[-1])


def test_a_question_that_makes_no_sense_is_refused(owner: Visitor, written: None) -> None:
    for asked in ("version=0", "cursor=x", "version=99999999999"):
        assert owner.get(f"{AT}/resources?{asked}").status_code == 422, asked
    assert owner.get(f"{AT}/resources?version=77").status_code == 404
