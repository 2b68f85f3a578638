"""What is shipped: locks, the wheel, the image and the compose file."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml

from backend.config import PREFIX, Settings
from tests.support.project import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PACKAGES = ("backend", "client", "execution", "runner", "stateroom")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_no_dependency_brings_a_module_with_one_of_our_names() -> None:
    ours = {*PROJECT["tool"]["setuptools"]["py-modules"], *PACKAGES}

    brought = {name: packages_distributions().get(name, []) for name in ours}

    assert {name: by for name, by in brought.items() if set(by) - {"stateroom"}} == {}


def test_every_top_module_is_shipped() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} == {
        *PROJECT["tool"]["setuptools"]["py-modules"]
    }


def test_the_wheel_holds_every_file_of_the_sources(tmp_path: Path) -> None:
    """Built from a copy: setuptools leaves things in its folder."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    for path in ROOT.glob("*.py"):
        shutil.copy(path, tmp_path)
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    sources = {str(p.relative_to(tmp_path)) for p in tmp_path.glob("*/**/*") if p.is_file()}
    sources |= {path.name for path in ROOT.glob("*.py")}

    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    build += ["--no-build-isolation", "--wheel-dir", str(tmp_path / "dist"), str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True, timeout=120)

    with zipfile.ZipFile(next((tmp_path / "dist").glob("*.whl"))) as wheel:
        assert sources <= set(wheel.namelist())


def test_the_image_is_built_from_pinned_tags_and_hashed_packages_and_is_not_root() -> None:
    tags = re.findall(r"^ARG (\w+)=(\S+)$", DOCKERFILE, re.MULTILINE)
    sources = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    installs = re.findall(r"pip install (.*)$", DOCKERFILE, re.MULTILINE)

    assert {name for name, _ in tags} == {"PYTHON", "TERRAFORM", "OPENTOFU"}
    assert all(re.match(r"\d+\.\d+", value) for _, value in tags)
    assert all(re.search(r":\$\{(PYTHON|TERRAFORM|OPENTOFU)\}", source) for source in sources)
    assert all("--require-hashes" in text or "--no-deps" in text for text in installs)
    last_stage = DOCKERFILE.rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER stateroom$", last_stage, re.MULTILINE)
    assert re.search(r"^ENTRYPOINT \[\"stateroom\"\]$", last_stage, re.MULTILINE)


def test_the_image_gets_everything_that_it_copies_and_nothing_else() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = {line[1:] for line in ignore if line.startswith("!")}

    assert "*" in ignore
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements/run.lock", *PACKAGES):
        assert name in let_in
        assert (ROOT / name).exists()
    assert not any(name.startswith((".", "tests", "bench")) for name in let_in)


def test_the_settings_of_the_image_and_of_compose_exist() -> None:
    given = re.findall(rf"\b({PREFIX}\w+)=", DOCKERFILE)
    for service in COMPOSE["services"].values():
        given += [name for name in service.get("environment", {}) if name.startswith(PREFIX)]

    assert given
    for name in given:
        assert name.removeprefix(PREFIX).removesuffix("_FILE").lower() in Settings.model_fields


def test_compose_has_no_default_secret() -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    values = [
        (name, value)
        for service in COMPOSE["services"].values()
        for name, value in service.get("environment", {}).items()
    ]

    assert [name for name, _ in values if re.search("PASSWORD|KEYRING|DATABASE_URL", name)]
    for name, value in values:
        if re.search("PASSWORD|KEYRING|DATABASE_URL", name):
            assert name.endswith("_FILE")
            assert str(value).startswith("/run/secrets/")
    assert not re.search(r"://[^\s/]+:[^\s%]+@", text)
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())


def test_compose_waits_for_what_is_healthy_and_lets_runs_end() -> None:
    services = COMPOSE["services"]

    assert set(services) == {"server", "worker", "postgres", "redis"}
    for name in ("server", "postgres", "redis"):
        assert services[name]["healthcheck"]["test"]
    for service in services.values():
        for needed in service.get("depends_on", {}).values():
            assert needed["condition"] == "service_healthy"
        assert service["volumes"]
    assert "--appendonly" in services["redis"]["command"]
    longest = Settings(database_url="").run_timeout_seconds
    assert _seconds(services["worker"]["stop_grace_period"]) > longest
    assert _seconds(services["server"]["stop_grace_period"]) > 30


def test_docker_itself_accepts_the_compose_file(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], check=False).returncode:
        pytest.skip("docker compose is not installed")
    for name in ("database-url", "postgres-password"):
        (tmp_path / name).write_text("x", encoding="utf-8")

    done = subprocess.run(
        [docker, "compose", "--file", str(ROOT / "compose.yaml"), "config", "--quiet"],
        env={"PATH": str(Path(docker).parent), "STATEROOM_SECRETS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def _seconds(period: str) -> float:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(n) * units[unit] for n, unit in re.findall(r"(\d+)([hms])", period))
