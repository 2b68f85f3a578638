"""The viewer of logs with a log of 50 MB: how soon it opens, and how it scrolls and searches.

A browser opens the log of a run that has ended, and of one at work, until its first line is seen;
against the same range of the log by plain HTTP. Then it goes to the end, scrolls by the wheel (the
time between two frames, against a page with the text of one screen), and searches all of it,
against all of it by plain HTTP. At last 400 browsers follow a run: see viewers.py, which measures
the same with tokens.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from playwright.sync_api import Browser, Page

from backend.models import Run
from backend.runs import claims, logs, moves
from backend.transactions import Installation
from backend.upkeep import installation as installations
from bench import bodies, installed, viewers
from bench.installed import Addresses
from bench.rounds import interleaved, options, show, show_times, timed
from tests.support.browsers import chromium
from tests.support.people import PASSWORD
from tests.support.stateroom import Stateroom

LINE = b"terraform_data.web[%06d]: Still creating... [10s]\n"
RANGE = 256 * 1024  # what the viewer reads at once
PIECE = 1 << 20
COOKIE = "stateroom_session"
# the times between frames while the wheel is turned in an element, in milliseconds
FRAMES = """
async ([selector, turns]) => {
  const box = document.querySelector(selector), found = [];
  let last = performance.now();
  for (let turn = 0; turn < turns; turn += 1) {
    box.scrollTop += 120;
    await new Promise(requestAnimationFrame);
    found.push(performance.now() - last);
    last = performance.now();
  }
  return found;
}
"""


@dataclass(frozen=True)
class Extent:
    lines: int = 1_000_000
    turns: int = 1_000
    rounds: int = 5
    viewers: viewers.Extent = field(default_factory=viewers.Extent)


class Desk:
    """A browser of somebody who signed in, and the same requests without one."""

    def __init__(self, stateroom: Stateroom, browser: Browser) -> None:
        stateroom.api.post("/users", name="ann", password=PASSWORD, is_admin=True)
        login = json.dumps({"username": "ann", "password": PASSWORD}).encode()
        headers = {"Content-Type": "application/json"}
        said = stateroom.wire.send("POST", "/api/login", login, headers)
        self.credential = f"Cookie: {COOKIE}={said.json()['access_token']}\r\n"
        self._port = stateroom.port
        self._context = browser.new_context(base_url=stateroom.url)
        cookie: Any = {"name": COOKIE, "value": said.json()["access_token"], "url": stateroom.url}
        self._context.add_cookies([cookie])

    def open(self, path: str) -> tuple[float, Page]:
        """The milliseconds until the first line is seen, and the page."""
        page = self._context.new_page()
        started = time.perf_counter()
        page.goto(f"{path}/log", wait_until="commit")
        page.locator(".line").first.wait_for()
        return (time.perf_counter() - started) * 1e3, page

    def opened(self, path: str) -> float:
        milliseconds, page = self.open(path)
        page.close()
        return milliseconds

    def plain(self, path: str, *ranges: tuple[int, int]) -> float:
        """The milliseconds for ranges of a log on a new connection."""
        headers = dict([self.credential.strip().split(": ", 1)])

        def read() -> None:
            server = http.client.HTTPConnection("127.0.0.1", self._port)
            for offset, limit in ranges:
                where = f"/api/v1{path}/log?offset={offset}&limit={limit}"
                server.request("GET", where, headers=headers)
                answer = server.getresponse()
                if answer.status != 200 or not answer.read():
                    raise RuntimeError(f"GET was answered {answer.status}")
            server.close()

        return timed(read) * 1e3


def write(here: Installation, run_id: str, lines: int) -> int:
    """Write the log of a run, as its worker does; its size."""
    size = 0
    for begin in range(0, lines, 20_000):
        text = b"".join(LINE % number for number in range(begin, min(lines, begin + 20_000)))
        with here.itself.transaction() as tx:
            itself = replace(tx, principal=claims.itself(tx.db.get_one(Run, run_id)))
            logs.append(itself, text)
        size += len(text)
    return size


def opening(desk: Desk, ended: str, live: str, size: int, rounds: int) -> None:
    desk.opened(ended)  # style and scripts are read once
    for name, path, offset in (("ended", ended, 0), ("live", live, size - RANGE)):
        found = interleaved(
            lambda path=path: desk.opened(path),  # type: ignore[misc]
            lambda path=path, offset=offset: desk.plain(path, (offset, RANGE)),  # type: ignore[misc]
            rounds,
        )
        show(f"first line, run {name}", found, "ms", "<= 1000 ms")


def scrolling(desk: Desk, path: str, size: int, extent: Extent) -> None:
    _, page = desk.open(path)
    text = page.locator("[data-log=lines]").inner_text()[:5_000]
    show_times("between frames, the log", frames(page, "[data-log=lines]", extent.turns))
    page.locator("[data-log=lines]").press("End")
    last = LINE.strip().decode() % (extent.lines - 1)
    show_times("to the end", [timed(lambda: page.get_by_text(last).wait_for())])
    pieces = [(offset, min(PIECE, size - offset)) for offset in range(0, size, PIECE)]
    found = interleaved(
        lambda: searched(page, extent.lines), lambda: desk.plain(path, *pieces), extent.rounds
    )
    show("all of it searched", found, "ms")
    page.evaluate("(text) => { document.querySelector('#log pre, main').innerText = text; }", text)
    show_times("between frames, no log", frames(page, "main", extent.turns))
    page.close()


def frames(page: Page, selector: str, turns: int) -> list[float]:
    """Seconds."""
    return [one / 1e3 for one in page.evaluate(FRAMES, [selector, turns])]


def searched(page: Page, lines: int) -> float:
    """The milliseconds until all is looked through for a text that is in the last line."""
    wanted = f"[{lines - 1:06}]"
    page.get_by_label("Search the log").fill("")
    page.get_by_label("Search the log").press("Enter")
    page.get_by_label("Search the log").fill(wanted)
    started = time.perf_counter()
    page.get_by_label("Search the log").press("Enter")
    page.locator("[data-log=found]", has_text="1 of 1").wait_for()
    return (time.perf_counter() - started) * 1e3


def measure(folder: Path, extent: Extent) -> None:
    most = 4 * extent.viewers.viewers
    with installed.stateroom(folder, max_viewers=most) as stateroom, chromium() as browser:
        addresses = Addresses.create(stateroom, "bench", 3)
        desk = Desk(stateroom, browser)
        runs = [queued(stateroom, workspace) for workspace in range(3)]
        paths = [f"/projects/bench/runs/{run}" for run in runs]
        stateroom.api.post(f"{paths[0]}/cancel")
        here = installations.prepare(stateroom.configuration)
        with here.itself.transaction() as tx:
            moves.move(tx, tx.db.get_one(Run, runs[1]), "preparing")
        size, _ = (write(here, run, extent.lines) for run in runs[:2])
        print(f"a log of {size / 1e6:.0f} MB with {extent.lines:,} lines")
        opening(desk, paths[0], paths[1], size, extent.rounds)
        scrolling(desk, paths[0], size, extent)
        store(stateroom, addresses)
        with viewers.working(here, runs[2]):
            viewers.beside_states(addresses, runs[2], extent.viewers, desk.credential)
        here.database.close()


def queued(stateroom: Stateroom, workspace: int) -> str:
    made = stateroom.api.post("/projects/bench/runs", workspace=f"w{workspace}", operation="plan")
    return str(made["id"])


def store(stateroom: Stateroom, addresses: Addresses) -> None:
    """Store the state that is read beside the browsers that follow a run."""
    headers = viewers.authorization(addresses) | {"Content-Type": "application/json"}
    document = bodies.structured(viewers.SIZE)
    answer = stateroom.wire.send("POST", addresses.path(0), document, headers)
    assert answer.status == 200, answer


def main() -> None:
    parser = options(__doc__)
    given: argparse.Namespace = parser.parse_args()
    extent = Extent()
    if given.quick:
        few = viewers.Extent(viewers=20, seconds=1.0, rounds=1)
        extent = Extent(lines=20_000, turns=50, rounds=1, viewers=few)
    if given.rounds:
        extent = replace(extent, rounds=given.rounds)
    with installed.scratch() as folder:
        measure(folder, extent)


if __name__ == "__main__":
    main()
