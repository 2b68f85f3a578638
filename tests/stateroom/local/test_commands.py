"""The `stateroom` command, as people and service managers start it."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
import requests

from tests.support.api import Api
from tests.support.processes import Process, dying_with_us, kill_all, wait_until
from tests.support.repositories import S3_BACKEND, Repository, sleeping_module
from tests.support.wire import Http

STATEROOM = [sys.executable, "-P", "-m", "stateroom"]


class Up:
    """`stateroom up` on a free port, with everything it started."""

    def __init__(self, folder: Path, name: str = "up.log", **settings: str) -> None:
        self.data_dir = folder / "data"
        self.process = up_process(folder, name, settings)
        self.url = wait_until(self._url, "up to say where it is")
        wait_until(lambda: len(self.workers()) == 1, "the worker to start")
        self.family = self.process.descendants()

    def _url(self) -> str | None:
        found = re.search(r"^Stateroom is at (\S+)$", self.said(), re.MULTILINE)
        return found and found.group(1)

    def said(self) -> str:
        return self.process.said()

    def api(self) -> Api:
        return Api(Http(self.url), (self.data_dir / "admin-token").read_text().strip())

    def queue(self, repository: Repository) -> str:
        """An apply of this repository in a project `demo`; the run's id."""
        api = self.api()
        api.post("/projects", name="demo")
        api.post("/projects/demo/templates", repository=str(repository.folder))
        asked = {"template": repository.folder.name, "auto_approve": True}
        found: str = api.post("/projects/demo/runs", **asked)["id"]
        return found

    def log(self, run: str) -> str:
        answer = self.api().send("GET", f"/projects/demo/runs/{run}/log")
        return answer.body.decode(errors="replace")

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=60).ok
        except (requests.ConnectionError, requests.Timeout):
            return False

    def servers(self) -> list[psutil.Process]:
        return [p for p in psutil.Process(self.process.pid).children() if "server" in p.cmdline()]

    def workers(self) -> list[psutil.Process]:
        return [p for p in psutil.Process(self.process.pid).children() if "worker" in p.cmdline()]

    def remember(self) -> None:
        self.family = self.process.descendants()


def up_process(folder: Path, name: str, settings: dict[str, str], port: int = 0) -> Process:
    return Process(
        [*STATEROOM, "up", "--data-dir", str(folder / "data"), "--port", str(port)],
        env=environment(folder) | {"SOMEBODYS_SECRET": "hunter2"} | settings,
        cwd=folder,
        log=folder / name,
    )


Start = Callable[..., Up]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name: terraform's providers have their sockets in the data folder."""
    with TemporaryDirectory(prefix="up") as name:
        yield Path(name)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start `stateroom up`, as often as the test likes; all of it has to end with the test."""
    started: list[Up] = []

    def start_one(name: str = "up.log", **settings: str) -> Up:
        started.append(Up(folder, name, **settings))
        return started[-1]

    yield start_one
    for up in started:
        if up.process.running:
            up.remember()
            up.process.signal(signal.SIGINT)
            up.process.wait(60)
        _, alive = psutil.wait_procs(up.family, timeout=30)
        kill_all(alive)
        assert not alive, up.said()


@pytest.fixture
def at_a_terminal(folder: Path) -> Callable[[], str]:
    """Start `stateroom up` at a terminal, end it with Ctrl-C, and return what stood there."""
    argv = dying_with_us([*STATEROOM, "up", "--data-dir", folder / "data", "--port", "0"])

    def start_and_stop() -> str:
        mine, its = pty.openpty()
        up = subprocess.Popen(
            argv,
            env=environment(folder),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=its,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(its)
        said = b""
        while b"is kept in" not in said:  # the last of its greeting
            part = _read(mine)
            assert part, said
            said += part
        up.send_signal(signal.SIGINT)
        while part := _read(mine):
            said += part
        os.close(mine)
        assert up.wait(60) == 0, said
        return said.decode()

    return start_and_stop


def _read(terminal: int) -> bytes:
    """What stands at the terminal next; nothing when all of its processes have ended."""
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO: nobody has the other end any more
        return b""


def test_help_and_version_load_nothing_that_they_do_not_need() -> None:
    slow = {"sqlalchemy", "flask", "celery", "pydantic", "gevent", "hcl2"}
    code = "import sys; had = {*sys.modules}; import stateroom.main; print(*({*sys.modules} - had))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not slow & set(done.stdout.split())


def test_the_version_is_the_distributions(folder: Path) -> None:
    assert stateroom(folder, "--version").stdout == "stateroom 0.1.0\n"


@pytest.mark.parametrize(
    ("command", "name", "value"),
    [
        ("up", "STATEROOM_PORT", "eighty"),
        ("server", "STATEROOM_DATABASE_URL", "mysql://somewhere"),
        ("worker", "STATEROOM_DATABASE_URL", "mysql://somewhere"),
        ("migrate", "STATEROOM_DATABASE_URL", "mysql://somewhere"),
        ("up", "STATEROOM_KEYRING_FILE", "/there/is/no/such/file"),
        ("worker", "STATEROOM_KEYRING_FILE", "/there/is/no/such/file"),
        ("server", "STATEROOM_WORKER_SLOTZ", "4"),
        ("migrate", "STATEROOM_WORKER_SLOTZ", "4"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line_that_names_it(
    folder: Path, command: str, name: str, value: str
) -> None:
    done = stateroom(folder, command, **{name: value})

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"Error: {name}: ")


@pytest.mark.parametrize("command", ["up", "server", "worker"])
def test_a_server_that_is_told_its_address_by_the_clients_variable_does_not_start(
    folder: Path, command: str
) -> None:
    done = stateroom(folder, command, STATEROOM_URL="https://stateroom.example.com")

    assert done.returncode == 2
    assert done.stderr == (
        "Error: STATEROOM_URL: a server takes its address from STATEROOM_PUBLIC_URL. Set that to "
        "the address at which this server is reached, or unset STATEROOM_URL.\n"
    )


def test_a_worker_that_is_asked_for_namespaces_and_has_none_does_not_start(folder: Path) -> None:
    (folder / "bin").mkdir()
    found = os.environ["PATH"].split(os.pathsep)
    for name in ("git", "ssh"):
        (folder / "bin" / name).symlink_to(
            next(Path(p, name) for p in found if Path(p, name).exists())
        )

    done = stateroom(folder, "worker", STATEROOM_SANDBOX="required", PATH=str(folder / "bin"))

    assert done.returncode == 2
    assert done.stderr.startswith("Error: STATEROOM_SANDBOX=required asks for namespaces")
    assert "bubblewrap (bwrap) is not installed" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["up", "worker"])
def test_a_data_folder_whose_name_is_too_long_for_sockets_is_refused_at_the_start(
    folder: Path, command: str
) -> None:
    done = stateroom(folder, command, "--data-dir", str(folder / ("d" * 60)))

    assert done.returncode == 2
    assert done.stderr.startswith("Error: STATEROOM_DATA_DIR: ")
    assert "bytes shorter" in done.stderr


@pytest.mark.parametrize("command", ["up", "server"])
def test_a_port_that_is_taken_is_named(folder: Path, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = stateroom(folder, command, "--port", str(port))

    assert done.returncode == 2
    assert done.stderr == (
        f"Error: STATEROOM_PORT: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    )


@pytest.mark.parametrize("command", ["up", "server", "worker"])
def test_nothing_starts_with_another_keyring_than_the_databases(
    folder: Path, start: Start, command: str
) -> None:
    first = start()
    first.process.signal(signal.SIGINT)
    first.process.wait(60)
    (folder / "data" / "keyring").unlink()

    done = stateroom(folder, command)

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "keyring" in done.stderr


def test_the_users_commands_find_the_server_and_its_token_from_any_folder(
    folder: Path, start: Start
) -> None:
    up = start()
    wait_until(up.is_ready, "the server")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()

    done = subprocess.run(
        [*STATEROOM, "tokens", "whoami"],
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=False,
    )

    remembered = (folder / ".config" / "stateroom" / "credentials.json").read_text()
    assert done.returncode == 0, done.stderr
    assert "administrator" in done.stdout
    assert (folder / "data" / "admin-token").read_text().strip() not in remembered


def test_the_first_start_shows_the_administrators_token_once_at_a_terminal(
    folder: Path, at_a_terminal: Callable[[], str]
) -> None:
    first = at_a_terminal()
    token_file = folder / "data" / "admin-token"
    token = token_file.read_text().strip()

    second = at_a_terminal()

    assert first.count(token) == 1
    assert token not in second
    assert token_file.stat().st_mode & 0o777 == 0o600
    assert (folder / "data").stat().st_mode & 0o777 == 0o700


def test_a_journal_gets_the_place_of_the_administrators_token_and_not_the_token(
    folder: Path, start: Start
) -> None:
    up = start()
    wait_until(up.is_ready, "the server")

    token_file = folder / "data" / "admin-token"
    assert token_file.read_text().strip() not in up.said()
    assert f"The administrator's token is kept in {token_file}\n" in up.said()


def test_it_starts_after_the_administrators_token_was_taken_to_a_safe_place(
    folder: Path, start: Start
) -> None:
    first = start("first.log")
    wait_until(first.is_ready, "the server")
    first.process.signal(signal.SIGINT)
    first.process.wait(60)
    (folder / "data" / "admin-token").unlink()

    second = start("second.log")

    wait_until(second.is_ready, "the server")
    assert "token" not in second.said()


def test_a_killed_server_and_a_killed_worker_are_back_at_the_same_address(start: Start) -> None:
    up = start()
    wait_until(up.is_ready, "the server")
    killed = [*up.servers(), *up.workers()]

    kill_all(killed)
    wait_until(lambda: up.said().count("process_died") == 2, "up to notice")

    assert up.is_ready()  # asked while it is away: the answer waits until it is back
    wait_until(lambda: len(up.workers()) == 1, "a new worker")
    assert not {p.pid for p in killed} & {p.pid for p in [*up.servers(), *up.workers()]}
    up.remember()


def test_no_process_inherits_what_a_shell_exported(start: Start) -> None:
    up = start(STATEROOM_TOKEN="somebody's", STATEROOM_PROJECT="the client's")

    for child in [*up.servers(), *up.workers()]:
        assert not {"hunter2", "somebody's", "the client's"} & set(child.environ().values())
        assert not any("stateroom_" in part for part in child.cmdline())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_cleanly_when_asked_to(start: Start, number: signal.Signals) -> None:
    up = start()
    wait_until(up.is_ready, "the server")
    up.remember()

    up.process.signal(number)

    assert up.process.wait(60) == 0
    assert psutil.wait_procs(up.family, timeout=1)[1] == []
    assert "process_died" not in up.said()


def test_kill_9_of_up_destroys_all_running(start: Start) -> None:
    up = start()
    wait_until(up.is_ready, "the server")
    up.remember()

    up.process.kill()

    assert psutil.wait_procs(up.family, timeout=30)[1] == []


def test_kill_9_of_up_in_the_middle_of_an_apply_saves_the_state_and_frees_the_lock(
    folder: Path, start: Start
) -> None:
    repository = Repository(folder / "slow", {"main.tf": sleeping_module(60)})
    first = start("first.log", STATEROOM_LOCAL_REPOSITORIES=str(folder))
    run = first.queue(repository)
    wait_until(lambda: "local-exec" in first.log(run), "the apply to be under way", seconds=60)
    first.remember()

    first.process.kill()

    assert psutil.wait_procs(first.family, timeout=60)[1] == []
    second = start("second.log")
    workspace = second.api().get("/projects/demo/workspaces/slow")
    ended = second.api().get(f"/projects/demo/runs/{run}")
    second.process.signal(signal.SIGINT)
    assert second.process.wait(60) == 0
    assert workspace["state"]["current"]["serial"] >= 1
    assert not workspace["lock"]["held"]
    assert (ended["status"], ended["error"]["code"]) == ("canceled", "worker-stopped")


def test_up_waits_for_what_a_killed_one_has_left_at_its_port(folder: Path, start: Start) -> None:
    first = start("first.log")
    wait_until(first.is_ready, "the server")
    first.remember()
    [server] = first.servers()
    port = int(first.url.rpartition(":")[2])

    server.suspend()  # it keeps the port, as one that takes the state of a run does
    first.process.kill()
    second = up_process(folder, "second.log", {}, port)
    wait_until(lambda: "was killed" in second.said(), "the second one to wait")
    server.resume()

    wait_until(lambda: f"Stateroom is at {first.url}" in second.said(), "the second one to start")
    assert psutil.wait_procs(first.family, timeout=30)[1] == []
    second.stop(60)


def test_up_does_not_wait_for_one_that_lives(folder: Path, start: Start) -> None:
    first = start("first.log")
    port = int(first.url.rpartition(":")[2])

    done = stateroom(folder, "up", "--port", str(port))

    assert done.returncode == 2
    assert "Address already in use" in done.stderr


def test_migrate_makes_the_schema_and_may_be_repeated(folder: Path) -> None:
    first, second = stateroom(folder, "migrate"), stateroom(folder, "migrate")

    assert (first.returncode, second.returncode) == (0, 0)
    assert (folder / "data" / "stateroom.db").exists()


def test_inspect_says_the_verdict_where_and_what_would_be_injected(folder: Path) -> None:
    plain = _module(folder / "plain", "")
    explicit = _module(folder / "explicit", S3_BACKEND)

    done = stateroom(folder, "inspect", "--json", str(plain), str(explicit))

    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 0
    assert (first["verdict"], first["inject"]) == ("none", True)
    assert first["override_file"] == "zz_backend_override.tf"
    assert (second["verdict"], second["inject"]) == ("backend:s3", False)
    assert (second["file"], second["line"]) == ("main.tf", 2)
    wanted = {"path", "tool", "verdict", "file", "line", "inject", "override_file", "warnings"}
    assert wanted <= first.keys()


def test_inspect_clones_a_url_and_calls_it_by_its_name(folder: Path) -> None:
    repository = Repository(folder / "network", {"live/main.tf": S3_BACKEND})
    url = f"file://{repository.folder}"

    as_text = stateroom(folder, "inspect", "--recursive", url)
    as_json = stateroom(folder, "inspect", "--json", "--recursive", url)

    assert as_text.stdout.startswith(f"{url}//live: backend:s3 (terraform)\n")
    assert json.loads(as_json.stdout)["path"] == f"{url}//live"


def test_inspect_goes_on_after_a_path_that_cannot_be_looked_at(folder: Path) -> None:
    plain = _module(folder / "plain", "")
    missing = f"file://{folder}/missing"

    done = stateroom(folder, "inspect", str(folder / "nowhere"), missing, str(plain))

    assert done.returncode == 2
    assert f"{plain}: none (terraform)" in done.stdout
    assert f"{missing}: cannot be read" in done.stdout


def stateroom(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*STATEROOM, *arguments],
        env=environment(folder) | settings,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def environment(folder: Path) -> dict[str, str]:
    """What a service manager gives a process, and the coverage of this test run."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    data = str(folder / "data")
    return {
        **kept,
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "STATEROOM_DATA_DIR": data,
        "STATEROOM_PORT": "0",  # somebody may have a server at the default
    }


def _module(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "main.tf").write_text(text, encoding="utf-8")
    return folder
