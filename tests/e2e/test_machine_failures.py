"""What a worker lacks is told by `stateroom runs show` alone: the cause and what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.place import Place
from tests.support.queued_run import QueuedRun
from tests.support.repositories import MODULE, Repository
from tests.support.required import system_python
from tests.support.shown import shown
from tests.support.small_disk import small_disk
from tests.support.stateroom import Stateroom

PLATFORM = "linux_" + {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
MEMORY = 700_000_000
MEGABYTES = 16  # of the disk
GREEDY = """\
#!{python}
import os, signal, time

children = []
for _ in range(3):
    children.append(os.fork())
    if children[-1] == 0:
        held = b"x" * 300_000_000
        time.sleep(60)
        os._exit(0)
ended, _ = os.wait()
for child in {{*children}} - {{ended}}:  # they would hold up whoever reads what the provider says
    os.kill(child, signal.SIGKILL)
"""
KILLED = "#!/bin/sh\nkill -9 $$\n"
NEEDS = """\
terraform {{
  required_providers {{
    it = {{ source = "example.com/acme/{name}" }}
  }}
}}

resource "it_thing" "x" {{}}
"""
FILLS = """\
resource "terraform_data" "x" {
  provisioner "local-exec" {
    command = "cat /dev/zero >large"
  }
}
"""


@pytest.fixture
def mirror() -> Iterator[Path]:
    """A provider mirror, open to every user, whose providers end before they are ready."""
    with TemporaryDirectory(prefix="stateroom-mirror-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        programs = {"greedy": GREEDY.format(python=system_python()), "killed": KILLED}
        for name, content in programs.items():
            place = folder / f"example.com/acme/{name}/1.0.0/{PLATFORM}"
            place.mkdir(parents=True)
            provider = place / f"terraform-provider-{name}_v1.0.0"
            provider.write_text(content, encoding="utf-8")
            provider.chmod(0o755)
        yield folder


@pytest.fixture
def queued(tmp_path: Path) -> Callable[..., tuple[Place, QueuedRun]]:
    """Queues a run of such a module."""

    def queue(installation: Stateroom, name: str, module: str) -> tuple[Place, QueuedRun]:
        repository = Repository(tmp_path / name, {"main.tf": module})
        place = installation.place(repository=str(repository.folder))
        return place, place.queue("apply")

    return queue


def told(place: Place, run: QueuedRun) -> dict[str, str]:
    """What is shown of a run when it has failed."""
    run.wait("errored", seconds=90)
    return shown(place, run)


def test_a_provider_that_takes_too_much_memory_and_one_that_was_killed_are_told_apart(
    new_stateroom: Callable[..., Stateroom],
    mirror: Path,
    queued: Callable[..., tuple[Place, QueuedRun]],
) -> None:
    installation = new_stateroom(provider_mirror=mirror, run_memory_bytes=MEMORY, worker_slots=2)
    installation.start()

    greedy, killed = (
        queued(installation, name, NEEDS.format(name=name)) for name in ("greedy", "killed")
    )

    too_much, ended = told(*greedy), told(*killed)
    assert too_much["error"] == "memory-exceeded"
    assert "took more memory than a run may" in too_much["what is wrong"]
    assert "raise STATEROOM_RUN_MEMORY_BYTES" in too_much["do next"]
    assert ended["error"] == "provider-ended"
    assert "The provider ended before it was ready" in ended["what is wrong"]
    assert "lack of memory: ask whoever operates this installation" in ended["do next"]
    assert f"stateroom runs retry -p {killed[0].project} {killed[1].id}" in ended["do next"]


def test_a_full_disk_is_told_whoever_meets_it_first(
    new_stateroom: Callable[..., Stateroom], queued: Callable[..., tuple[Place, QueuedRun]]
) -> None:
    installation = new_stateroom()
    with small_disk(installation.work_dir, MEGABYTES) as disk:
        installation.start()

        in_git = told(*queued(installation, "large", f"# {os.urandom(MEGABYTES << 19).hex()}"))
        in_the_tool = told(*queued(installation, "fills", FILLS))
        disk.fill()
        place, run = queued(installation, "waits", MODULE)
        in_the_worker = told(place, run)
        disk.free()
        place.queue("apply").wait("applied")

    for one in (in_git, in_the_tool, in_the_worker):
        assert one["error"] == "disk-full"
        assert "The disk of the worker is full" in one["what is wrong"]
        assert "Ask whoever operates this installation: the disk is full" in one["do next"]
        assert "stateroom runs retry" in one["do next"]
