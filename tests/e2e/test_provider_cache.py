"""Workers keep the providers that runs have needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.git_http import certificate
from tests.support.registry import Registry, registry
from tests.support.repositories import Repository
from tests.support.stateroom import Stateroom
from tests.support.tools import Tool

MODULE = """\
terraform {
  required_providers {
    thing = {
      source = "%s/acme/thing"
    }
  }
}
"""


@pytest.fixture
def served() -> Iterator[Registry]:
    with TemporaryDirectory(prefix="stateroom-") as made:
        Path(made).chmod(0o755)
        trusted = certificate(Path(made) / "authority.pem")
        with registry(trusted) as server:
            server.publish("acme/thing", "1.0.0")
            yield server


def test_a_provider_is_downloaded_by_the_first_run_of_any_project_only(
    new_stateroom: Callable[..., Stateroom], tool: Tool, served: Registry, tmp_path: Path
) -> None:
    stateroom = new_stateroom()
    stateroom.path = f"{tool.command.parent}:{stateroom.path}"
    stateroom.variables["SSL_CERT_FILE"] = str(served.certificate)
    stateroom.start()
    module = Repository(tmp_path / "module", {"main.tf": MODULE % served.host})
    places = [stateroom.place(repository=str(module.folder), tool=tool.name) for _ in range(2)]

    def init(number: int) -> int:
        """How many packages were downloaded. What was published is no program that plans."""
        before = len(served.downloads())
        run = places[number].queue("plan")
        run.wait("errored")
        assert run.step("init")["status"] == "done", run.log()
        return len(served.downloads()) - before

    assert init(0) == 2  # for itself, and for the cache
    assert init(1) == 0

    kept = stateroom.data_dir / "providers" / "shared" / "packages"
    assert list(kept.rglob("terraform-provider-thing*"))
