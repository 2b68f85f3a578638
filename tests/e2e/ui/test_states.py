"""Pages of states in a real browser, beside the real tool."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.support.browsers import Window, faults_of
from tests.support.place import Place
from tests.support.resources import document, large_document, resource
from tests.support.tools import Checkout

HOSTILE = '</script><img src=x onerror="alert(1)">\u202e'
DRAWN = "#graph[data-took]"


def at(place: Place) -> str:
    return place.filled("/projects/{project}/workspaces/{workspace}")


def written(place: Place, body: bytes) -> None:
    assert place.state.write(body).status == 200


def test_a_restore_in_the_page_is_what_the_tool_sees(
    checkout: Checkout, window_of: Callable[..., Window], place: Place
) -> None:
    checkout.apply("-var", "greeting=first")
    first = place.versions()[0]["number"]
    checkout.apply("-var", "greeting=second")
    page = window_of(place).open(f"{at(place)}/versions")

    page.get_by_role("link", name=f"Restore version {first}", exact=True).click()
    page.locator("summary", has_text="Restore this version").click()
    page.get_by_role("button", name="Restore this version").click()

    expect(page.get_by_role("status")).to_contain_text("is the newest state: a copy of")
    assert "first" in checkout.must("output", "-raw", "greeting")


def test_an_upload_of_another_state_is_explained_and_then_forced(
    window_of: Callable[..., Window], place: Place, tmp_path: Path
) -> None:
    written(place, document(resource("old"), serial=5))
    other = document(resource("new"), serial=2, lineage="another")
    (tmp_path / "other.tfstate").write_bytes(other)
    page = window_of(place, "manager").open(f"{at(place)}/versions/new")

    page.get_by_label("State document").set_input_files(tmp_path / "other.tfstate")
    page.get_by_role("button", name="Upload").click()

    expect(page.get_by_role("alert")).to_contain_text("it belongs to another state")
    expect(page.get_by_role("alert")).to_contain_text("Nothing was stored.")
    page.get_by_label("Store it although").check()
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name="Version 2")).to_be_visible()
    assert place.state.read().body == other


def test_a_graph_of_2000_resources_is_drawn_searched_and_moved(
    window_of: Callable[..., Window], place: Place
) -> None:
    written(place, large_document(2000))
    page = window_of(place).open(f"{at(place)}/graph")
    page.wait_for_selector(DRAWN)
    sheet = page.locator("#graph")
    assert int(sheet.get_attribute("data-took") or 0) < 3000, "milliseconds to place the nodes"
    canvas = page.locator("canvas")

    page.get_by_label("Find resources").fill("aws_instance.r1999")
    expect(page.get_by_text("1 of 2,000")).to_be_visible()
    page.get_by_label("Find resources").press("Enter")
    facts = page.locator(".graph-facts")
    expect(facts.get_by_role("heading", name="aws_instance.r1999")).to_be_visible()

    before = place_of(page)
    box = canvas.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 260, steps=4)
    page.mouse.up()
    page.wait_for_function(
        "([left]) => document.getElementById('graph').dataset.left != left", arg=before
    )
    page.mouse.wheel(0, -300)
    page.wait_for_function(
        "([, scale]) => document.getElementById('graph').dataset.scale != scale", arg=before
    )
    canvas.focus()
    page.keyboard.press("0")
    page.wait_for_function("() => Number(document.getElementById('graph').dataset.scale) < 0.3")
    page.keyboard.press("n")
    facts.get_by_role("link", name="Open the resource").click()
    expect(page.get_by_role("heading", name="aws_instance.r1999")).to_be_visible()


def place_of(page: Page) -> list[str]:
    found: list[str] = page.evaluate(
        "[document.getElementById('graph').dataset.left, document.getElementById('graph').dataset.scale]"
    )
    return found


def test_pages_of_states_are_for_everybody(window_of: Callable[..., Window], place: Place) -> None:
    made = resource(HOSTILE, module=f'module.app["{HOSTILE}"]', type=HOSTILE, note=HOSTILE)
    secret = {"value": "s3cret", "type": "string", "sensitive": True}
    written(place, document(resource("net"), made, url=HOSTILE, password=secret))
    written(place, document(resource("net", note=HOSTILE), made, serial=2, url="x"))
    late = place.state.write(document(resource("net"), serial=1))
    rescued = json.loads(late.body)["rescued"]
    paths = (
        "versions", "versions/1", "versions/new", "diff", "resources", "graph", "outputs",
        "resources?address=aws_instance.net", "rescued", f"rescued/{rescued}",
        f"rescued/{rescued}/diff",
    )  # fmt: skip
    phone = {"width": 360, "height": 740}

    for options in ({"color_scheme": "light"}, {"color_scheme": "dark", "viewport": phone}):
        window = window_of(place, **options)
        for path in paths:
            page = window.open(f"{at(place)}/{path}")
            if path == "graph":
                page.wait_for_selector(DRAWN)
            assert faults_of(page) == [], (path, options)
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, (path, options)
            page.close()
