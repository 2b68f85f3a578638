"""What every command shares: who is asked, with whose token, and what goes wrong."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from client.api import Api
from tests.support.command_line import CommandLine
from tests.support.place import Place
from tests.support.processes import free_port


def test_the_token_may_be_in_a_file(cli: CommandLine, place: Place, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{place.api.token}\n")

    by_option = cli.run("projects", "list", "--token-file", str(file), STATEROOM_TOKEN=None)
    by_name = cli.run("projects", "list", STATEROOM_TOKEN="wrong", STATEROOM_TOKEN_FILE=str(file))

    assert place.project in by_option.stdout
    assert place.project in by_name.stdout


def test_on_the_servers_machine_the_administrators_token_is_found(
    cli: CommandLine, place: Place
) -> None:
    folder = str(place.data_dir)

    by_option = cli.run("projects", "list", "--data-dir", folder, STATEROOM_TOKEN=None)
    by_name = cli.run("projects", "list", STATEROOM_TOKEN=None, STATEROOM_DATA_DIR=folder)

    assert place.project in by_option.stdout
    assert place.project in by_name.stdout


def test_without_a_token_it_says_where_one_belongs(cli: CommandLine, tmp_path: Path) -> None:
    done = cli.run("projects", "list", STATEROOM_TOKEN=None, STATEROOM_DATA_DIR=str(tmp_path))

    assert done.exit_code == 2
    assert "set STATEROOM_TOKEN, or name a file: STATEROOM_TOKEN_FILE." in done.stderr


def test_a_token_of_this_machine_is_not_sent_to_another_one(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stateroom-data").mkdir()
    (tmp_path / "stateroom-data" / "admin-token").write_text("secret\n")
    monkeypatch.chdir(tmp_path)

    done = cli.run(
        "projects", "list", STATEROOM_TOKEN=None, STATEROOM_URL="http://stateroom.invalid"
    )

    assert done.exit_code == 2
    assert "There is no token for http://stateroom.invalid." in done.stderr


def test_an_empty_token_file_is_no_token(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n")

    done = cli.run("projects", "list", "--token-file", str(tmp_path / "token"))

    assert done.exit_code == 2
    assert "is empty" in done.stderr


@pytest.mark.parametrize("url", ["stateroom.example.com", "ftp://x", "https://me:secret@x"])
def test_a_wrong_url_is_a_usage_error(cli: CommandLine, url: str) -> None:
    done = cli.run("projects", "list", STATEROOM_URL=url)

    assert done.exit_code == 2
    assert "URL" in done.stderr
    assert "secret" not in done.stderr


def test_a_refusal_is_one_line_and_exit_status_1(cli: CommandLine) -> None:
    wrong = cli.run("projects", "list", STATEROOM_TOKEN="wrong")
    missing = cli.run("projects", "show", "nothing")

    assert (wrong.exit_code, missing.exit_code) == (1, 1)
    assert wrong.stderr.count("\n") == missing.stderr.count("\n") == 1
    assert wrong.stderr.endswith("(401 unauthorised)\n")
    assert missing.stderr == (
        "Error: There is no project 'nothing', or it is not open to you. (404 not-found)\n"
    )
    assert wrong.stdout == missing.stdout == ""


@pytest.mark.parametrize("name", ["..", ".", "", "../../users"])
def test_a_name_leads_nowhere_else(cli: CommandLine, name: str) -> None:
    done = cli.run("projects", "delete", name)

    assert done.exit_code in {1, 2}
    assert "is not a name" in done.stderr or "(404 not-found)" in done.stderr


def test_a_server_that_does_not_answer_is_named(cli: CommandLine) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"

    done = cli.run("projects", "list", STATEROOM_URL=nowhere)

    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {nowhere} does not answer: ")
    assert done.stderr.count("\n") == 1


def test_a_redirect_is_not_followed_with_the_token(cli: CommandLine) -> None:
    with _answering(301, {"Location": "https://elsewhere.example.com/\x1b[2J"}) as url:
        done = cli.run("projects", "list", STATEROOM_URL=url)

    assert done.exit_code == 1
    assert "redirects to https://elsewhere.example.com/" in done.stderr
    assert "set STATEROOM_URL" in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize("body", [b"<html>nothing here</html>", b"[]", b"{}", b""])
def test_an_answer_of_somebody_else_is_told_as_such(cli: CommandLine, body: bytes) -> None:
    with _answering(502, {}, body) as url:
        done = cli.run("projects", "list", STATEROOM_URL=url)

    assert done.exit_code == 1
    assert done.stderr == (
        f"Error: {url} answers 502 Bad Gateway, but not as Stateroom does: is it its address?\n"
    )


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b"[]", b'{"hello": 1}'])
def test_a_success_of_somebody_else_is_none(cli: CommandLine, body: bytes) -> None:
    with _answering(200, {}, body) as url:
        done = cli.run("projects", "list", STATEROOM_URL=url)

    assert done.exit_code == 1
    assert "not as Stateroom does" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_the_server_says_cannot_move_the_cursor(cli: CommandLine) -> None:
    problem = json.dumps({"detail": "bad\x1b[2J\nworse", "code": "x"}).encode()
    with _answering(409, {}, problem) as url:
        done = cli.run("projects", "list", STATEROOM_URL=url)

    assert done.stderr == "Error: bad\\x1b[2J\\nworse (409 x)\n"


def test_a_list_of_many_pages_is_whole(cli: CommandLine, place: Place) -> None:
    for number in range(4):
        cli.must("workspaces", "create", f"w-{number}", "--template", "module")
    path = f"/projects/{place.project}/workspaces"

    with Api(place.wire.url, place.api.token, page=2) as api:
        found = [item["name"] for item in api.items(path)]

    assert found == ["first", "w-0", "w-1", "w-2", "w-3"]


def test_netrc_does_not_replace_the_token(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("default login somebody password else\n")

    done = cli.run("projects", "list", HOME=str(tmp_path))

    assert done.exit_code == 0, done.output


def test_help_loads_no_client() -> None:
    code = (
        "import sys; from stateroom.main import main; "
        "from click.testing import CliRunner; "
        "print(CliRunner().invoke(main, ['--help']).output); "
        "print(sorted(m for m in sys.modules if m.startswith(('client', 'requests', 'backend', 'stateroom.remote'))))"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.endswith("\n[]\n")
    assert "aliases" in said.stdout


@contextmanager
def _answering(status: int, headers: dict[str, str], body: bytes = b"") -> Iterator[str]:
    """A server that answers everything in one way."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(body))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
