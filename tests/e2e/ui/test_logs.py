"""The viewer of logs, in a real browser, on logs of real runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.browsers import Window, faults_of
from tests.support.place import Place
from tests.support.queued_run import QueuedRun
from tests.support.repositories import Repository
from tests.support.stateroom import Stateroom

LINES = 100_000
ESCAPE = b"\x1b[31mred"
HOSTILE = r"\033[31mred\033[0m \033[2J\033[9;9H\033]0;owned\007 \000\377 \342\200\256 <script>alert(1)</script>"
MODULE = """\
resource "terraform_data" "loud" {
  provisioner "local-exec" {
    command = <<-END
      while [ ! -e GATE ]; do sleep 0.05; done
      printf 'HOSTILE\\n'
      seq 1 LINES
      exit 3
    END
  }
}
"""


@pytest.fixture
def failing(place_with: Callable[..., Place], repository: Repository, gate: Path) -> Place:
    """A place whose runs print very much, as soon as the gate is open, and fail then."""
    module = MODULE.replace("GATE", str(gate)).replace("HOSTILE", HOSTILE)
    repository.replace({"main.tf": module.replace("LINES", str(LINES))})
    return place_with(repository=str(repository.folder))


def first_seen(page: Page) -> str:
    """The text of the line at the top of the viewer."""
    return str(
        page.evaluate(
            """() => {
              const box = document.querySelector("[data-log=lines]");
              const top = box.getBoundingClientRect().top + 8;
              return [...box.querySelectorAll(".line")].find((one) => one.getBoundingClientRect().bottom > top)?.innerText.trim() ?? "";
            }"""
        )
    )


def test_a_live_log_is_followed_to_its_end_and_searched(
    failing: Place, window_of: Callable[..., Window], gate: Path
) -> None:
    run = failing.queue()
    window = window_of(failing, "guest", permissions=["clipboard-read", "clipboard-write"])
    page = window.open(f"{run.path}/log")
    lines = page.locator("[data-log=lines]")
    expect(lines).to_contain_text("Provisioning with 'local-exec'")
    follow = page.get_by_role("button", name="Follow")
    expect(follow).to_have_attribute("aria-pressed", "true")

    gate.touch()

    expect(page.locator("#log[data-ended]")).to_be_attached(timeout=120_000)
    log = failing.api.send("GET", f"{run.path}/log?download=true").body
    assert log.count(b"\n") > LINES
    last = log.rstrip(b"\n").rfind(b"\n") + 1
    expect(page.locator(f"a[href='#b{last}']")).to_be_attached()
    expect(lines.locator(".line").last).to_have_text(log[last:].decode().strip())
    expect(follow).to_be_hidden()
    assert lines.locator(".line").count() < 3_000, "only what is near is in the page"

    hostile_is_visible(page, log)
    goes_to_the_first_error(page, log)
    is_searched(page, log)
    is_scrolled(page, log)
    is_linked(page, window, run, log)


def goes_to_the_first_error(page: Page, log: bytes) -> None:
    page.get_by_role("button", name="First error").click()

    here = page.locator(".line.here")
    expect(here).to_contain_text("Error: local-exec provisioner error")
    at = log[: log.index(b"Error: local-exec")].rfind(b"\n") + 1
    expect(here.locator("a")).to_have_attribute("href", f"#b{at}")


def is_searched(page: Page, log: bytes) -> None:
    page.get_by_label("Search the log").fill("LOCAL-EXEC): 5000")
    page.get_by_label("Search the log").press("Enter")

    expect(page.locator("[data-log=found]")).to_have_text("1 of 11")
    expect(page.locator(".line.here mark")).to_have_text("local-exec): 5000")
    at = log.index(b"terraform_data.loud (local-exec): 5000\n")
    expect(page.locator(".line.here a")).to_have_attribute("href", f"#b{at}")
    page.get_by_role("button", name="Next hit").click()
    expect(page.locator(".line.here")).to_contain_text("50000")
    page.get_by_role("button", name="Previous hit").click()
    page.get_by_role("button", name="Previous hit").click()
    expect(page.locator("[data-log=found]")).to_have_text("11 of 11")
    expect(page).to_have_url(re.compile(r"\?q=LOCAL-EXEC"))


def is_scrolled(page: Page, log: bytes) -> None:
    """From the beginning by the wheel, and to any place by the bar."""
    lines = page.locator("[data-log=lines]")
    lines.press("Home")
    expect(lines.locator(".line").first).to_have_text(log.partition(b"\n")[0].decode())
    lines.hover()
    for _ in range(40):
        page.mouse.wheel(0, 2_000)
        page.wait_for_timeout(10)
    expect(lines).to_contain_text(re.compile(r"local-exec\): [34]\d\d\d\n"))
    assert lines.locator(".line").count() < 3_000
    seen = [int(n) for n in re.findall(r"exec\): (\d+)\n", lines.inner_text() + "\n")]
    assert seen == [*range(seen[0], seen[-1] + 1)], "nothing is twice, and nothing is missing"

    bar = page.get_by_label("Place in the log")
    half = len(log) // 2
    bar.evaluate("(bar, to) => { bar.value = to; bar.dispatchEvent(new Event('input')); }", half)
    at = log.rfind(b"\n", 0, half) + 1
    expect(page.locator(f"a[href='#b{at}']")).to_be_attached()
    expected = log[at : log.index(b"\n", at)].decode()
    page.wait_for_function(
        "(text) => document.querySelector('[data-log=lines]').innerText.includes(text)",
        arg=expected,
    )
    assert first_seen(page) == expected


def is_linked(page: Page, window: Window, run: QueuedRun, log: bytes) -> None:
    seen = first_seen(page)
    page.get_by_role("button", name="Copy link").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    other = window.open(copied.removeprefix(window.url))

    at = int(copied.rpartition("#b")[2])
    assert log[at : log.index(b"\n", at)].decode() == seen
    expect(other.locator(".line.here")).to_have_text(seen)


def hostile_is_visible(page: Page, log: bytes) -> None:
    """Colours are colours, and nothing else does anything."""
    page.goto(page.url.partition("#")[0] + f"#b{log.index(ESCAPE)}")

    line = page.locator(".line.here")
    expect(line).to_contain_text(r"red \x1b[2J\x1b[9;9H\x1b]0;owned\x07 \x00")
    expect(line).to_contain_text(r"\u202e <script>alert(1)</script>")
    expect(line.locator(".sgr-red")).to_have_text("red")
    assert "owned" not in page.title()


def test_stamps_and_wrapping_are_remembered(
    place_with: Callable[..., Place], repository: Repository, window_of: Callable[..., Window]
) -> None:
    place = place_with(repository=str(repository.folder))
    run = place.queue("plan")
    run.wait()
    window = window_of(place, "guest")
    page = window.open(f"{run.path}/log")
    expect(page.locator(".line").first).to_be_visible()

    page.get_by_label("Time stamps").check()
    page.get_by_label("Wrap").uncheck()
    page.reload()

    expect(page.locator(".line .stamp").nth(2)).to_have_text(re.compile(r"^\d\d:\d\d:\d\d\.\d{3}$"))
    expect(page.locator("#log.is-wrapped")).to_have_count(0)
    expect(page.get_by_label("Time stamps")).to_be_checked()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert faults_of(page) == [], scheme


def test_a_viewer_too_many_is_told_so_and_reads_on(
    new_stateroom: Callable[..., Stateroom],
    repository: Repository,
    gate: Path,
    window_of: Callable[..., Window],
) -> None:
    module = MODULE.replace("GATE", str(gate)).replace("HOSTILE", "hello")
    repository.replace({"main.tf": module.replace("LINES", "9").replace("exit 3", "echo bye")})
    stateroom = new_stateroom(max_viewers=2, sandbox_readable=str(gate.parent)).start()
    place = stateroom.place(repository=str(repository.folder))
    run = place.queue()
    window = window_of(place, "guest")
    first = window.open(f"{run.path}/log")
    expect(first.locator("[data-log=lines]")).to_contain_text("Provisioning with 'local-exec'")

    page = window.open(f"{run.path}/log")

    said = page.locator("[data-log=said]")
    expect(said).to_contain_text("This token has 1 streams of events open")
    expect(said).to_contain_text("The log is asked for every 5 seconds.")
    gate.touch()
    expect(page.locator("#log[data-ended]")).to_be_attached()
    expect(page.locator("[data-log=lines]")).to_contain_text("Apply complete!")
    expect(said).to_be_hidden()
