"""The cache of providers, with a registry and the real tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from runner.errors import Stopped, ToolError
from runner.job import Variable
from runner.providers import cache
from runner.tools.tool import Tool
from tests.support.git_http import certificate
from tests.support.provider_inits import NAME, Done, Machine, Recorded, without
from tests.support.registry import OTHER_PLATFORM, PLATFORM, Registry, registry
from tests.support.tool_run import tool_named

TOOLS = ("wheel", "tofu")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """A registry with two versions of a provider, whose certificate the worker trusts."""
    with TemporaryDirectory(prefix="t") as made:
        folder = Path(made)
        folder.chmod(0o755)
        trusted = certificate(folder / "authority.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        with registry(trusted) as server:
            server.publish(NAME, "1.0.0", b"one", OTHER_PLATFORM)
            server.publish(NAME, "1.1.0", b"two", OTHER_PLATFORM)
            yield server


@pytest.fixture(params=TOOLS)
def used(request: pytest.FixtureRequest) -> Tool:
    return tool_named(request.param)


@pytest.fixture
def machine(short_root: Path, used: Tool, served: Registry) -> Machine:
    return Machine(short_root, used, served)


@pytest.fixture
def terraforms(short_root: Path, served: Registry) -> Machine:
    """One where the tool makes no difference."""
    return Machine(short_root, tool_named("wheel"), served)


def test_the_second_run_downloads_nothing_and_writes_nothing(machine: Machine) -> None:
    machine.init()
    before = len(machine.registry.downloads())

    second = machine.init()

    assert len(machine.registry.downloads()) == before
    assert list(second.linked.values()) == [
        str(machine.cache.folder / machine.package("1.1.0").path)
    ]
    assert second.written == 0


def test_with_a_lock_file_a_provider_is_downloaded_once_and_then_no_registry_is_asked(
    machine: Machine,
) -> None:
    lock = Machine(machine.root / "elsewhere", machine.tool, machine.registry).init().lock
    machine.registry.asked.clear()

    first = machine.init(lock=lock)

    assert len(machine.registry.downloads()) == 1
    assert first.written == 0
    machine.registry.asked.clear()
    machine.init(lock=lock)
    assert machine.registry.asked == []


def test_a_version_that_the_cache_lacks_comes_from_the_registry(machine: Machine) -> None:
    machine.init(machine.needs("1.0.0"))

    newest = machine.init()

    assert newest.version == "1.1.0"
    assert machine.cache.find(machine.package("1.1.0"))


def test_the_newest_version_is_taken_although_the_cache_has_one_that_would_do(
    machine: Machine,
) -> None:
    machine.init()
    machine.registry.publish(NAME, "1.2.0")

    done = machine.init()

    assert done.version == "1.2.0"


def test_a_lock_file_of_another_platform_is_enough_and_gets_the_hash_of_ours(
    machine: Machine,
) -> None:
    lock = machine.init().lock
    kept = machine.cache.find(machine.package("1.1.0"))
    assert kept
    elsewhere = lock.replace(kept.h1, "h1:b3RoZXIgcGxhdGZvcm0gb3RoZXIgcGxhdGZvcm0gb3Q=")
    machine.registry.asked.clear()

    done = machine.init(lock=elsewhere)

    assert machine.registry.asked == []
    assert done.written == 0
    assert kept.h1 in done.lock


def test_a_package_that_the_lock_file_rejects_is_not_taken_from_the_cache(
    machine: Machine,
) -> None:
    lock = machine.init().lock
    others = without(without(lock, "h1"), "zh").replace(
        "hashes = [", 'hashes = [\n    "zh:' + "0" * 64 + '",'
    )

    with pytest.raises(ToolError) as refused:
        machine.init(lock=others)

    assert refused.value.code == "provider-checksum-missing"
    assert f"providers lock -platform={PLATFORM}" in refused.value.message


def test_without_a_network_the_cache_is_enough_and_the_run_is_told(machine: Machine) -> None:
    machine.init()
    machine.registry.is_away = True

    done = machine.init()

    assert done.written == 0
    assert any("could not be asked" in warning for warning in done.warnings)


def test_without_a_network_a_provider_that_is_not_here_is_an_error(machine: Machine) -> None:
    machine.registry.is_away = True

    with pytest.raises(ToolError) as refused:
        machine.init()

    assert refused.value.code == "provider-unavailable"


@pytest.mark.parametrize("part", ["well-known", "/versions", "/download/", "SHA256SUMS", ".zip"])
def test_a_registry_that_is_asked_too_often_is_asked_again(machine: Machine, part: str) -> None:
    machine.registry.refusals[part] = 3

    done = machine.init()

    assert done.version == "1.1.0"


def test_a_registry_that_is_always_asked_too_often_is_said(terraforms: Machine) -> None:
    terraforms.registry.refusals["/versions"] = 1000

    with pytest.raises(ToolError) as refused:
        terraforms.init()

    assert refused.value.code == "registry-throttled"


def test_a_canceled_run_does_not_wait_for_a_registry(terraforms: Machine) -> None:
    terraforms.registry.refusals["/versions"] = 1000
    events = Recorded()
    events.stops_at = b"trying again"

    with pytest.raises(Stopped):
        terraforms.init(events=events)


def test_a_locked_version_that_was_withdrawn_is_said(machine: Machine) -> None:
    lock = Machine(machine.root / "elsewhere", machine.tool, machine.registry).init().lock
    machine.registry.withdraw(NAME, "1.1.0")

    with pytest.raises(ToolError) as refused:
        machine.init(lock=lock)

    assert refused.value.code == "provider-version-unavailable"


def test_a_withdrawn_version_that_is_locked_goes_on_from_the_cache(machine: Machine) -> None:
    lock = machine.init().lock
    machine.registry.withdraw(NAME, "1.1.0")

    assert machine.init(lock=lock).written == 0


def test_a_constraint_that_nothing_meets_is_said(machine: Machine) -> None:
    with pytest.raises(ToolError) as refused:
        machine.init(machine.needs("9.0.0"))

    assert refused.value.code == "provider-version-unavailable"


def test_ten_inits_at_once_fill_the_cache_with_one_whole_package(terraforms: Machine) -> None:
    ended = terraforms.together(10)

    assert all(isinstance(one, Done) for one in ended), ended
    # each has its own, and one more is what the cache keeps
    assert len(terraforms.registry.downloads()) <= 11
    assert terraforms.init().written == 0


def test_what_a_run_writes_into_its_folder_does_not_get_into_the_cache(
    terraforms: Machine,
) -> None:
    place = f"source/terraform.d/plugins/{terraforms.registry.host}/{NAME}/1.1.0/{PLATFORM}"
    forged = {f"{place}/terraform-provider-thing_v1.1.0": "#!/bin/sh\necho forged\n"}

    done = terraforms.init(files=forged)

    assert done.linked  # it is used, as the tools do by themselves
    assert terraforms.registry.downloads() == []
    assert terraforms.cache.find(terraforms.package("1.1.0")) is None


def test_what_was_fetched_with_a_projects_token_is_for_that_project_only(
    terraforms: Machine,
) -> None:
    token = Variable("TF_TOKEN_example_com", "secret", kind="environment", sensitive=True)
    terraforms.init("", "", token)
    before = len(terraforms.registry.downloads())

    terraforms.init("", "", token)
    assert len(terraforms.registry.downloads()) == before
    terraforms.init("", "", token, owner="another")
    assert len(terraforms.registry.downloads()) > before
    assert terraforms.cache.find(terraforms.package("1.1.0")) is None


def test_a_lock_file_that_nobody_can_read_keeps_the_cache_out(terraforms: Machine) -> None:
    lock = terraforms.init().lock
    before = len(terraforms.registry.downloads())

    done = terraforms.init(lock=lock.replace("provider ", "/* by hand */ provider "))

    assert done.written > 0
    assert len(terraforms.registry.downloads()) == before + 1
    assert any("could not be read" in warning for warning in done.warnings)


def test_an_administrators_mirror_lacks_nothing_that_the_registry_has(
    machine: Machine, short_root: Path
) -> None:
    machine.init(machine.needs("1.0.0"))
    mirror = short_root / "mirror"
    package = machine.package("1.0.0")
    (mirror / package.path.parent).mkdir(parents=True)
    (mirror / package.path).symlink_to(machine.cache.folder / package.path)
    machine.settings["provider_mirror"] = mirror
    machine.registry.asked.clear()

    old = machine.init(machine.needs("1.0.0"))
    assert machine.registry.asked == []
    new = machine.init(machine.needs("1.1.0"))

    assert old.version == "1.0.0"
    assert new.version == "1.1.0"


def test_the_sweep_removes_what_was_not_used_and_leaves_what_a_run_holds(
    terraforms: Machine,
) -> None:
    terraforms.init(terraforms.needs("1.0.0"))
    terraforms.init()
    kept = terraforms.package("1.1.0")
    fd = terraforms.cache.hold(kept)
    assert fd is not None

    removed = cache.sweep(terraforms.root / "providers", 0, 1 << 30)

    assert removed == 1
    assert terraforms.cache.find(kept)
    assert terraforms.cache.find(terraforms.package("1.0.0")) is None


def test_the_sweep_keeps_the_newest_below_the_limit(terraforms: Machine) -> None:
    terraforms.init(terraforms.needs("1.0.0"))
    terraforms.init()
    found = terraforms.cache.find(terraforms.package("1.1.0"))
    assert found

    cache.sweep(terraforms.root / "providers", 3600, found.size)

    assert list(terraforms.cache.every()) == [terraforms.package("1.1.0")]


def test_without_a_limit_above_zero_nothing_is_kept(terraforms: Machine) -> None:
    terraforms.most_bytes = 0

    terraforms.init()

    assert not (terraforms.root / "providers").exists()
