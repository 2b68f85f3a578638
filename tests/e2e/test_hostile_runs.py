"""A hostile run gets no further than docs/security.md says, on every layer that there is here."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any

import psutil
import pytest

from runner.processes import proc
from runner.sources import ssh
from tests.support.hostile import program
from tests.support.hostile.attempts import ATTEMPTS
from tests.support.place import Place
from tests.support.processes import free_port, wait_until
from tests.support.project import ROOT
from tests.support.queued_run import QueuedRun
from tests.support.repositories import Repository
from tests.support.required import missing, system_python
from tests.support.ssh_keys import ssh_key
from tests.support.stateroom import Stateroom

LAYERS = {"namespaces": "required", "own user": "user", "landlock": "landlock"}
HOOKS = ("local-exec", "a provider", "a provider's child")
CANARY = "canary-of-the-workers-environment"
OPEN_FILES = 200
PLATFORM = "linux_" + {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]

PROVISIONER = """\
resource "terraform_data" "x" {
  provisioner "local-exec" {
    command = "exec ./hostile"
  }
}
"""
PROVIDER = """\
terraform {
  required_providers {
    hostile = { source = "example.com/attack/hostile" }
  }
}

resource "hostile_thing" "x" {}
"""
VICTIM = """\
resource "terraform_data" "x" {{
  provisioner "local-exec" {{
    command = "exec sleep {seconds}"
  }}
}}
"""


def table() -> dict[str, dict[str, str]]:
    """What docs/security.md says of each attempt: the cell of each layer."""
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|(.+)\|$", text, re.MULTILINE)
    cells = [[cell.strip() for cell in row.split("|")] for row in rows]
    header = next(row for row in cells if row[1:] == list(LAYERS))
    body = [row for row in cells if len(row) == len(header) and row[0] in ATTEMPTS]
    return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in body}


def may(cell: str) -> bool:
    assert re.fullmatch(r"(no|yes|root)\b.*", cell), cell
    return cell.startswith("yes") or (cell.startswith("root") and os.geteuid() == 0)


@dataclass
class Scene:
    """An installation with another run at work, and what an attacker would like to have."""

    stateroom: Stateroom
    victim: QueuedRun
    given: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(params=LAYERS)
def layer(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "own user" and os.geteuid():
        pytest.skip("only a worker that is root gives runs a user of their own")
    if name == "namespaces" and shutil.which("bwrap") is None:
        missing("bubblewrap is not installed")
    return name


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder of the system that is not Stateroom's: /etc/opt where this test may write there."""
    system = Path("/etc/opt")
    where = system if os.access(system, os.W_OK) else tmp_path
    with TemporaryDirectory(prefix="stateroom-", dir=where) as made:
        yield Path(made)


@pytest.fixture
def mirror() -> Iterator[Path]:
    """A provider mirror, open to every user, in which the provider is the hostile program."""
    with TemporaryDirectory(prefix="stateroom-mirror-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        place = folder / "example.com" / "attack" / "hostile" / "1.0.0" / PLATFORM
        place.mkdir(parents=True)
        program.write(place / "terraform-provider-hostile_v1.0.0", system_python())
        yield folder


@pytest.fixture
def scene(
    layer: str,
    elsewhere: Path,
    mirror: Path,
    tmp_path: Path,
    new_stateroom: Callable[..., Stateroom],
) -> Iterator[Scene]:
    (elsewhere / "keyring").write_text(_new_keyring())
    (elsewhere / "metrics-token").write_text(CANARY)
    stateroom = new_stateroom(
        sandbox=LAYERS[layer],
        keyring_file=elsewhere / "keyring",
        provider_mirror=mirror,
        worker_slots=2,
        run_open_files=OPEN_FILES,
        stop_grace_seconds=5,
    )
    stateroom.variables["STATEROOM_METRICS_TOKEN_FILE"] = str(elsewhere / "metrics-token")
    stateroom.folder.chmod(0o711)  # a user of its own has to get to the run's folder
    stateroom.start()
    seconds = f"3600.{secrets.randbelow(10**9):09}"  # it is known by them
    files = {"main.tf": VICTIM.format(seconds=seconds)}
    victim = stateroom.place(repository=str(Repository(tmp_path / "victim", files).folder))
    run = victim.queue("apply")
    sleeper = wait_until(lambda: _sleeping(seconds), "the other run")
    with contextlib.ExitStack() as stack:
        scene = Scene(stateroom, run)
        scene.given = stack.enter_context(_prizes(stateroom, sleeper, elsewhere, mirror))
        yield scene
    run.cancel()
    run.wait("errored", "canceled", "applied")


def _new_keyring() -> str:
    from backend.sealing import keyring_file  # noqa: PLC0415

    return str(keyring_file.new_line({}))


def _sleeping(seconds: str) -> psutil.Process | None:
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] == ["sleep", seconds]:
            return process
    return None


@contextlib.contextmanager
def _prizes(
    stateroom: Stateroom, sleeper: psutil.Process, elsewhere: Path, mirror: Path
) -> Iterator[dict[str, Any]]:
    """What may be tried, as HOSTILE has it."""
    data = stateroom.data_dir
    assert stateroom.server
    pids = {"server": stateroom.server.pid, "worker": stateroom.workers[0].pid, "run": sleeper.pid}
    other = next(path for path in data.joinpath("work").iterdir() if path.name[0] != ".")
    mirrored = data / "mirrors" / "somebody-elses"
    mirrored.mkdir(parents=True, mode=0o700)
    (mirrored / "pack").write_text("sources")
    key, _ = ssh_key()
    terraform = shutil.which("terraform") or shutil.which("tofu")
    provider = next(mirror.rglob("terraform-provider-*"))
    with (
        ssh.agent(key, work=other) as agent,
        _listening(str(other / "socket")),
        _listening("\0" + f"stateroom-{os.getpid()}"),
        _shared_memory() as shared,
        NamedTemporaryFile(prefix="stateroom-", dir="/tmp") as in_tmp,
        NamedTemporaryFile(prefix="stateroom-", dir="/dev/shm") as in_shm,
    ):
        yield {
            "processes": {name: [pid, proc.status(pid).started] for name, pid in pids.items()},
            "files": {
                "data folder": str(data),
                "keyring": str(data / "keyring"),
                "keyring elsewhere": str(elsewhere / "keyring"),
                "token elsewhere": str(elsewhere / "metrics-token"),
                "database": str(data / "stateroom.db"),
                "token": str(data / "admin-token"),
                "other run's folder": str(other),
                "other run's file": str(other / "checkout" / "source" / "main.tf"),
                "mirrors": str(data / "mirrors"),
                "mirror": str(mirrored / "pack"),
            },
            "canary": CANARY,
            "agent": agent.environment["SSH_AUTH_SOCK"],
            "socket": str(other / "socket"),
            "abstract": f"stateroom-{os.getpid()}",
            "shared memory": shared,
            "shared": [in_tmp.name, in_shm.name],
            "disk": _disk(),
            "programs": [path for path in (terraform, str(provider)) if path],
            "open files": OPEN_FILES,
        }


@contextlib.contextmanager
def _listening(address: str) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        try:
            yield
        finally:
            if address.startswith("/"):
                Path(address).unlink()


@contextlib.contextmanager
def _shared_memory() -> Iterator[int]:
    libc = ctypes.CDLL(None, use_errno=True)
    key = os.getpid()
    made = libc.shmget(key, 4096, 0o600 | 0o1000)
    assert made >= 0
    try:
        yield key
    finally:
        libc.shmctl(made, 0, None)


def _disk() -> tuple[int, int]:
    """A disk that this machine has, if any."""
    partitions = Path("/proc/partitions").read_text().splitlines()[2:]
    major, minor = partitions[0].split()[:2] if partitions else ("8", "0")
    return int(major), int(minor)


class Ear:
    """Hears what the hostile program tells, and whether its daemon lives."""

    def __init__(self) -> None:
        self.told = self._bound()
        self.daemons = self._bound()

    def _bound(self) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", free_port()))
        listener.settimeout(60)
        return listener

    def ports(self) -> dict[str, int]:
        return {"port": self.told.getsockname()[1], "daemon_port": self.daemons.getsockname()[1]}

    def results(self) -> dict[str, dict[str, Any]]:
        connection, _ = self.told.accept()
        with connection, connection.makefile() as lines:
            read = [json.loads(line) for line in lines]
        assert read.pop() == {"end": True}, read
        return {result["attempt"]: result for result in read}

    def daemon_ends(self) -> bool:
        """Wait for its end. Raises TimeoutError."""
        connection, _ = self.daemons.accept()
        with connection:
            connection.settimeout(60)
            assert connection.recv(1) == b"x"
            with contextlib.suppress(ConnectionResetError):
                return connection.recv(1) == b""
        return True

    def close(self) -> None:
        self.told.close()
        self.daemons.close()


@pytest.fixture
def ear() -> Iterator[Ear]:
    made = Ear()
    yield made
    made.close()


def hostile_place(scene: Scene, hook: str, folder: Path) -> Place:
    files = {"main.tf": PROVISIONER if hook == "local-exec" else PROVIDER}
    repository = Repository(folder, files)
    program.write(folder / "hostile", system_python())
    repository.commit({})
    return scene.stateroom.place(repository=str(folder))


def test_the_table_of_the_document_has_every_attempt() -> None:
    assert sorted(table()) == sorted(ATTEMPTS)


def test_a_hostile_run_gets_no_further_than_the_document_says(
    layer: str, scene: Scene, ear: Ear, tmp_path: Path
) -> None:
    for hook in HOOKS:  # one after the other in one installation: to start it takes longer
        place = hostile_place(scene, hook, tmp_path / f"hostile {hook}")
        given = scene.given | ear.ports() | {"hook": hook}
        place.set_variable("HOSTILE", json.dumps(given), kind="environment")

        run = place.queue("apply")
        try:
            results = ear.results()
        except TimeoutError:
            raise AssertionError(f"{hook}: {run.log()}") from None
        ended = run.wait()

        gained = {name: result["gained"] for name, result in results.items() if result["gained"]}
        expected = {name for name, cells in table().items() if may(cells[layer])}
        assert gained.keys() == expected, f"{hook}: {json.dumps(results, indent=1)}"
        assert sorted(results) == sorted(ATTEMPTS)
        assert ended["sandbox"].startswith(layer)
        assert ear.daemon_ends(), hook
        assert scene.victim.status() == "applying"


TOO_MUCH = {"memory": 1_000_000_000, "processes": 300, "disk": 300_000_000, "cpu": 300}


def test_a_run_that_takes_too_much_is_ended_and_told_what(
    tmp_path: Path, new_stateroom: Callable[..., Stateroom]
) -> None:
    stateroom = new_stateroom(
        run_memory_bytes=700_000_000,
        run_processes=80,
        run_disk_bytes=100_000_000,
        run_cpu_seconds=6,
        stop_grace_seconds=5,
    ).start()
    repository = Repository(tmp_path / "hostile", {"main.tf": PROVISIONER})
    program.write(repository.folder / "hostile", system_python())
    repository.commit({})

    codes = {}
    for takes, amount in TOO_MUCH.items():
        place = stateroom.place(repository=str(repository.folder))
        given = {"hook": "local-exec", "take": takes, "amount": amount}
        place.set_variable("HOSTILE", json.dumps(given), kind="environment")
        ended = place.queue("apply").wait("errored", seconds=150)
        codes[takes] = ended["error"]["code"]

    assert codes == {takes: f"{takes}-exceeded" for takes in TOO_MUCH}
    assert stateroom.workers[0].running
    repository.replace({"main.tf": 'output "fine" {\n  value = 1\n}\n'})
    assert place.queue("apply").wait("applied")
