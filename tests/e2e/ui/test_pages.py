"""What every page has, in a real browser."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.support.browsers import Window, faults_of
from tests.support.people import PASSWORD
from tests.support.place import Place


def test_a_person_signs_in_and_out(window_of: Callable[..., Window], place: Place) -> None:
    window_of(place)  # there is somebody
    window = window_of(place, "guest")
    window.context.clear_cookies()
    page = window.open("/account")
    page.get_by_label("Name").fill(f"guest-{place.project}-1"[:64])
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("the name or the secret is wrong")
    expect(page.get_by_label("Name")).to_have_value(f"guest-{place.project}-1"[:64])

    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("heading", name="Sessions")).to_be_visible()
    page.locator("details.menu summary").first.click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()


def test_the_keyboard_reaches_every_page(desk: Page, place: Place) -> None:
    desk.goto(f"/projects/{place.project}")
    desk.keyboard.press("?")
    expect(desk.get_by_role("dialog")).to_be_visible()
    desk.keyboard.press("Escape")
    desk.keyboard.press("/")
    assert desk.evaluate("document.activeElement.name") == "q"
    desk.evaluate("document.activeElement.blur()")

    desk.keyboard.press("g")
    desk.keyboard.press("p")

    desk.wait_for_url("**/projects")


def test_axe_finds_nothing_serious_in_light_and_dark(
    window_of: Callable[..., Window], place: Place
) -> None:
    for scheme in ("light", "dark"):
        window = window_of(place, admin=True, color_scheme=scheme)
        for path in ("/", "/projects", "/account", f"/projects/{place.project}"):
            page = window.open(path)
            assert faults_of(page) == [], (scheme, path)
