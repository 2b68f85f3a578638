"""`stateroom runs follow`: by events, and where these do not come by asking again and again."""

from __future__ import annotations

import http.server
import json
import re
import shutil
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine
from tests.support.installations import Installations
from tests.support.place import Place
from tests.support.processes import wait_until
from tests.support.repositories import Repository
from tests.support.stateroom import Stateroom

SLOW = """
resource "terraform_data" "gate" {
  provisioner "local-exec" {
    command = "echo it waits; while [ ! -e GATE ]; do sleep 0.1; done; printf 'odd: \\\\377\\\\n'"
  }
}
"""


@pytest.fixture
def place(installations: Installations, repository: Repository, gate: Path) -> Place:
    """A fresh project whose template can be run, and waits for the gate."""
    repository.replace({"main.tf": SLOW.replace("GATE", str(gate))})
    return installations.with_worker().place(repository=str(repository.folder))


def test_a_run_is_followed_to_its_end(cli: CommandLine, place: Place, gate: Path) -> None:
    gate.touch()
    run = place.queue(auto_approve=True)

    done = cli.run("runs", "follow", run.id)

    assert done.exit_code == 0, done.output
    assert done.stdout == cli.must("runs", "log", run.id)
    assert r"odd: \xff" in done.stdout
    assert f"The run {run.id} ended as applied.\n" in done.stderr


def test_a_run_that_fails_ends_its_follower_with_1(cli: CommandLine, place: Place) -> None:
    run = place.queue("import-state")

    done = cli.run("runs", "follow", run.id)

    assert done.exit_code == 1
    assert "(nothing-to-import)" in done.stderr


def test_a_terminal_shows_what_a_run_is_at_work_with_below_its_log(
    cli: CommandLine, place: Place, gate: Path
) -> None:
    run = place.queue(auto_approve=True)

    shown = cli.at_a_terminal(
        "runs", "follow", run.id, answers={"creating  terraform_data.gate": gate.touch}
    )

    assert re.search(r"== apply +0 of 1 done +\d:\d\d", shown)
    assert re.search(r"creating +terraform_data\.gate +\d:\d\d", shown)
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in shown.splitlines()]
    log = [line for line in cli.must("runs", "log", run.id).splitlines() if line]
    assert [line for line in lines if line in log] == log
    assert lines[-1] == f"The run {run.id} ended as applied."


def test_programs_get_one_event_a_line(cli: CommandLine, place: Place, gate: Path) -> None:
    gate.touch()
    run = place.queue(auto_approve=True)

    told = cli.json("runs", "follow", run.id)

    assert [event["status"] for event in told if event["event"] == "status"][-1] == "applied"
    assert {event["name"] for event in told if event["event"] == "step"} >= {"clone", "apply"}
    assert "".join(e["text"] for e in told if e["event"] == "log").encode() == run.log().encode()
    assert told[-1] == {"event": "end", "status": "applied", "log_size": len(run.log_bytes())}


def test_ctrl_c_says_that_the_run_goes_on_and_how_to_follow_it_again(
    cli: CommandLine, place: Place, gate: Path, tmp_path: Path
) -> None:
    run = place.queue(auto_approve=True)
    watching = cli.start("runs", "follow", run.id, log=tmp_path / "log")
    wait_until(lambda: "it waits" in watching.said(), "the log")

    watching.signal(signal.SIGINT)

    assert watching.wait() == 130
    assert f"stateroom runs follow {run.id}" in watching.said()
    gate.touch()
    run.wait("applied")


def test_a_server_that_is_started_again_meanwhile_is_not_noticed(
    new_stateroom: Callable[..., Stateroom], repository: Repository, gate: Path, tmp_path: Path
) -> None:
    repository.replace({"main.tf": SLOW.replace("GATE", str(gate))})
    stateroom = new_stateroom(sandbox_readable=str(gate.parent)).start()
    place = stateroom.place(repository=str(repository.folder))
    cli = CommandLine(stateroom.url, stateroom.token, place.project, place.workspace)
    run = place.queue(auto_approve=True)
    following = cli.start("runs", "follow", run.id, log=tmp_path / "log")
    wait_until(lambda: "it waits" in following.said(), "the log")

    stateroom.kill_server()
    stateroom.start_server()
    gate.touch()

    assert following.wait(60) == 0
    said = following.said().removesuffix(f"The run {run.id} ended as applied.\n")
    assert said.endswith(cli.must("runs", "log", run.id))


class Between(http.server.BaseHTTPRequestHandler):
    """What stands before a server, and does not let its streams through."""

    server: Proxy

    def do_GET(self) -> None:
        if "/events" in self.path and not self.server.passes_events:
            self.server.spoil(self)
            return
        asked = urllib.request.Request(self.server.behind + self.path, headers=dict(self.headers))
        try:
            with urllib.request.urlopen(asked) as answer:
                self.send_response(answer.status)
                for name in ("Content-Type", "Content-Length", "X-Log-Next-Offset"):
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.end_headers()
                shutil.copyfileobj(answer, self.wfile)
        except urllib.error.HTTPError as error:
            self.send_error(error.code)

    def log_message(self, *_: object) -> None:
        pass


class Proxy(http.server.ThreadingHTTPServer):
    passes_events = False
    behind = ""
    spoil: Callable[[Between], None]


@contextmanager
def proxy(behind: str, spoil: Callable[[Between], None]) -> Iterator[str]:
    server = Proxy(("127.0.0.1", 0), Between)
    server.behind, server.spoil = behind, spoil
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def unknown(request: Between) -> None:
    """As an older server answers."""
    body = json.dumps({"code": "not-found", "detail": "There is nothing at this address."}).encode()
    request.send_response(404)
    request.send_header("Content-Type", "application/problem+json")
    request.end_headers()
    request.wfile.write(body)


def a_page(request: Between) -> None:
    request.send_response(200)
    request.send_header("Content-Type", "text/html")
    request.end_headers()
    request.wfile.write(b"<p>Welcome</p>")


def nothing(request: Between) -> None:
    request.send_response(200)
    request.send_header("Content-Type", "text/event-stream")
    request.end_headers()


def full(request: Between) -> None:
    request.send_error(503)


@pytest.mark.parametrize("spoil", [unknown, a_page, nothing, full])
def test_where_no_stream_comes_through_the_run_is_asked_for_again_and_again(
    cli: CommandLine, place: Place, gate: Path, spoil: Callable[[Between], None]
) -> None:
    gate.touch()
    run = place.queue(auto_approve=True)

    with proxy(place.wire.url, spoil) as url:
        done = cli.run("runs", "follow", run.id, STATEROOM_URL=url)

    assert done.exit_code == 0, done.output
    assert done.stdout == cli.must("runs", "log", run.id)


def test_the_end_of_a_log_is_shown_with_the_moments_of_its_lines(
    cli: CommandLine, place: Place, gate: Path
) -> None:
    gate.touch()
    run = place.queue()
    run.wait("applied")
    whole = cli.must("runs", "log", run.id)

    end = cli.must("runs", "log", run.id, "--tail", "3")
    followed = cli.must("runs", "log", run.id, "--tail", "3", "--follow")
    stamped = cli.must("runs", "log", run.id, "--timestamps").splitlines()
    refused = cli.run("runs", "log", run.id, "--timestamps", "--follow")

    assert end == followed == "".join(whole.splitlines(keepends=True)[-3:])
    stamp = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")
    assert all(stamp.match(line) for line in stamped)
    assert [stamp.sub("", line) for line in stamped] == whole.splitlines()
    assert refused.exit_code == 2
