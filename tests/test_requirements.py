"""The lock files: every package pinned, with hashes and without addresses, extras included."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.project import ROOT

LOCKS = sorted((ROOT / "requirements").rglob("*.lock"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

every_lock = pytest.mark.parametrize(
    "lock", LOCKS, ids=lambda path: str(path.relative_to(ROOT / "requirements"))
)


@every_lock
def test_a_lock_pins_every_package_with_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")

    entries = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n?", "", text).strip())

    assert "://" not in text
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+(\[.+\])?==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry


@every_lock
def test_a_lock_pins_each_extra_that_one_of_its_packages_asks_for(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")

    assert set(extras_without_a_pin(text)) == set()
    assert set(packages_not_known_here(text)) == set()


def test_a_pin_without_the_extra_that_another_package_asks_for_is_found() -> None:
    versions = {name: distribution(name).version for name in ("pytest-cov", "coverage")}
    text = "".join(f"{name}=={version} \\\n" for name, version in versions.items())

    assert set(extras_without_a_pin(text)) == {"coverage[toml] (asked for by pytest-cov)"}
    assert set(extras_without_a_pin(text.replace("coverage==", "coverage[toml]=="))) == set()


def test_an_extra_of_an_extra_is_found_too() -> None:
    text = f"celery[redis]=={distribution('celery').version} \\\n"

    assert set(extras_without_a_pin(text)) == {"kombu[redis] (asked for by celery)"}


def test_each_lock_has_all_of_the_one_before_and_what_the_project_asks_for() -> None:
    run, terraform, dev = (_pinned(f"{name}.lock") for name in ("run", "terraform", "dev"))
    extras = PROJECT["project"]["optional-dependencies"]

    assert run.keys() <= terraform.keys() <= dev.keys()
    for smaller, larger in ((run, terraform), (terraform, dev)):
        for name, pin in smaller.items():
            assert pin.specifier == larger[name].specifier
            assert pin.extras <= larger[name].extras
    _assert_satisfied(PROJECT["project"]["dependencies"], run)
    _assert_satisfied(PROJECT["build-system"]["requires"], run)
    _assert_satisfied(extras["terraform"], terraform)
    _assert_satisfied(extras["dev"], dev)


def extras_without_a_pin(lock: str) -> Iterator[str]:
    """What the packages of a lock ask for with an extra, and the lock pins without it.

    pip before 24 takes such a requirement past the pin, to the newest release there is: the lock
    works until the day of that release.
    """
    pins = _pins(lock)
    for pin in pins.values():
        installed = _installed(pin)
        for requirement in [] if installed is None else _requirements(installed, pin):
            pinned = pins.get(canonicalize_name(requirement.name))
            missing = requirement.extras - (pinned.extras if pinned else set())
            for extra in sorted(missing):
                yield f"{requirement.name}[{extra}] (asked for by {pin.name})"


def packages_not_known_here(lock: str) -> Iterator[str]:
    """Packages that ask for others, and whose metadata is not installed here to look into."""
    askers = set(re.findall(r"#(?: +via)? +([a-z0-9][a-z0-9-]*)(?:\[.*\])?$", lock, re.MULTILINE))
    for name, pin in _pins(lock).items():
        is_for_here = pin.marker is None or pin.marker.evaluate()
        if name in askers and is_for_here and _installed(pin) is None:
            yield str(pin)


def _installed(pin: Requirement) -> Distribution | None:
    """The pinned release, when it is installed here."""
    try:
        found = distribution(pin.name)
    except PackageNotFoundError:
        return None
    return found if pin.specifier.contains(found.version, prereleases=True) else None


def _requirements(package: Distribution, pin: Requirement) -> Iterator[Requirement]:
    """What a package asks for on this machine, with the extras that it is pinned with."""
    for text in package.requires or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": e}) for e in ("", *pin.extras)):
            yield requirement


def _pins(lock: str) -> Mapping[str, Requirement]:
    found = re.findall(r"^([A-Za-z0-9._-]+(?:\[.+\])?==[^\\\n]+)", lock, re.MULTILINE)
    pins = [Requirement(text.strip()) for text in found]
    return {canonicalize_name(pin.name): pin for pin in pins}


def _pinned(lock: str) -> Mapping[str, Requirement]:
    return _pins((ROOT / "requirements" / lock).read_text(encoding="utf-8"))


def _assert_satisfied(requirements: list[str], pinned: Mapping[str, Requirement]) -> None:
    for text in requirements:
        wanted = Requirement(text)
        pin = pinned[canonicalize_name(wanted.name)]
        version = next(iter(pin.specifier)).version
        assert wanted.specifier.contains(version), text
        assert wanted.extras <= pin.extras, text
