"""I6: a secret is in memory and nowhere else; not at rest, not in a log, not in argv."""

from __future__ import annotations

import base64
import os
import secrets
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from tests.support.place import Place
from tests.support.postgres import Postgres
from tests.support.processes import living_in
from tests.support.stateroom import Stateroom

MODULE = """\
variable "password" {
  sensitive = true
}

resource "terraform_data" "x" {
  input = var.password

  provisioner "local-exec" {
    command = "echo told=$TOLD; echo $TOLD | base64; sleep 1"
  }
}

output "password" {
  value     = terraform_data.x.output
  sensitive = true
}
"""


def forms(secret: str) -> set[bytes]:
    """How a secret may look: as it is, in base64, in a URL."""
    clear = secret.encode()
    return {clear, base64.b64encode(clear).rstrip(b"="), quote(secret, safe="").encode()}


class Watch:
    """Looks at a run from outside while it is at work: command lines, files, credentials."""

    def __init__(self, installation: Stateroom) -> None:
        self.argv: set[bytes] = set()
        self.files: dict[str, bytes] = {}
        self.credentials: set[str] = set()
        self._work_dir = installation.work_dir
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_until_ended)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _look_until_ended(self) -> None:
        while not self._ended.wait(0.02):
            self._look_at_processes()
            self._look_at_files()

    def _look_at_processes(self) -> None:
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    self.argv.add((folder / "cmdline").read_bytes())
                except OSError:
                    continue
        for process in living_in(self._work_dir):
            try:
                credential = process.environ().get("TF_HTTP_PASSWORD")
            except (psutil.Error, OSError):  # it has ended meanwhile
                continue
            if credential:
                self.credentials.add(credential)

    def _look_at_files(self) -> None:
        for folder, _, names in os.walk(self._work_dir):  # which forgives what is gone meanwhile
            for path in (Path(folder, name) for name in names):
                try:
                    if path.is_file() and not path.is_symlink():
                        self.files[str(path)] = path.read_bytes()
                except OSError:
                    continue


@contextmanager
def watching(installation: Stateroom) -> Iterator[Watch]:
    watch = Watch(installation)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def unpacked(content: bytes, scratch: Path) -> list[bytes]:
    """The content, and what is in it when it is a zip file, as a plan is."""
    scratch.write_bytes(content)
    if not zipfile.is_zipfile(scratch):
        return [content]
    with zipfile.ZipFile(scratch) as archive:
        return [content, *(archive.read(name) for name in archive.namelist())]


def test_nothing_of_a_secret_is_left_of_a_run(
    new_stateroom: Callable[..., Stateroom],
    run_repository: Callable[[dict[str, str]], dict[str, str]],
    request: pytest.FixtureRequest,
    database: str,
    tmp_path: Path,
) -> None:
    installation = new_stateroom(database_url=database).start()
    sensitive, told, password = (f"s3cr3t/{secrets.token_hex(12)}+é" for _ in range(3))
    place = secretive_place(installation, run_repository({"main.tf": MODULE}), password)
    place.set_variable("password", sensitive, sensitive=True)
    place.set_variable("TOLD", told, kind="environment", sensitive=True)

    with watching(installation) as watch:
        run = place.queue("apply")
        run.wait("applied")

    # while it ran: no secret in a command line, no credential in a file of the run
    assert watch.credentials, "the watch saw nothing"
    secret_forms = set[bytes]().union(*map(forms, (sensitive, told, password)))
    credential_forms = set[bytes]().union(*map(forms, watch.credentials))
    for argv in watch.argv:
        assert not any(form in argv for form in secret_forms | credential_forms)
    assert any(name.endswith("/plan") for name in watch.files), sorted(watch.files)
    for name, content in watch.files.items():
        for part in unpacked(content, tmp_path / "scratch"):
            for form in credential_forms | forms(password):
                assert form not in part, name

    # in its log
    log = run.log_bytes()
    assert b"told=" in log
    assert not any(form in log for form in secret_forms | credential_forms)

    # at rest: database, its journal, files of large states, the bell, the logs of the processes
    assert installation.work_folders() == []
    places = [installation.folder]
    if database:
        postgres: Postgres = request.getfixturevalue("postgres")
        postgres.flush()
        places.append(postgres.files())
    looked_at = 0
    for path in (path for place in places for path in place.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            looked_at += 1
            found = [form for form in secret_forms | credential_forms if form in content]
            assert not found, path
    assert looked_at > 3

    # nor in what the API shows again
    shown = installation.api.wire.send(
        "GET",
        f"/api/v1/projects/{place.project}/workspaces/first/variables",
        headers={"Authorization": f"Bearer {installation.token}"},
    )
    assert not any(form in shown.body for form in secret_forms)


def secretive_place(installation: Stateroom, template: dict[str, str], password: str) -> Place:
    """A place whose template has a key with this password, which its repository does not ask for."""
    place = installation.place(**template)
    path = f"/projects/{place.project}"
    place.api.post(f"{path}/keys", name="login", kind="password", username="ann", password=password)
    place.api.patch(f"{path}/templates/module", key="login")
    return place


KNOWN_TO_THE_STATE = """\
resource "terraform_data" "x" {
  triggers_replace = timestamp()

  provisioner "local-exec" {
    command = "echo made=made-in-the-cloud-$((100 + 23))"
  }
}

output "made" {
  value     = join("-", ["made", "in", "the", "cloud", "123"])
  sensitive = true
}
"""


def test_what_plan_and_state_mark_as_sensitive_is_masked_too(
    run_place: Callable[..., Place],
) -> None:
    place = run_place({"main.tf": KNOWN_TO_THE_STATE})

    runs = [place.queue("apply") for _ in range(2)]
    for run in runs:
        run.wait("applied")

    for run in runs:
        assert "made=***" in run.log()
        assert "made-in-the-cloud-123" not in run.log()
