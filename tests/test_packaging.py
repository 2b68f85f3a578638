"""What is shipped: locks, the wheel, the image and the compose file."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import yaml

from backend.config import PREFIX, Settings
from tests.support import redis_server
from tests.support.processes import Process, free_port, wait_until
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

    assert [
        name for name, _ in values if re.search("PASSWORD|KEYRING|DATABASE_URL|BROKER_URL", name)
    ]
    for name, value in values:
        if re.search("PASSWORD|KEYRING|DATABASE_URL|BROKER_URL", name):
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
    assert "--appendonly" in services["redis"]["command"][-1]
    longest = Settings(database_url="").run_timeout_seconds
    assert _seconds(services["worker"]["stop_grace_period"]) > longest
    assert _seconds(services["server"]["stop_grace_period"]) > 30


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_no_service_of_compose_may_do_more_than_it_needs(name: str) -> None:
    service = COMPOSE["services"][name]

    assert service["cap_drop"] == ["ALL"]
    assert not service.keys() & {"cap_add", "privileged", "network_mode", "pid", "ipc", "devices"}
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["read_only"] is True
    assert service["pids_limit"] > 0
    assert re.fullmatch(r"(\$\{\w+:-)?\d+[mg]\}?", service["mem_limit"])
    assert "build" in service or not service["user"].startswith("0")  # the image: see above


def test_compose_names_images_by_digest() -> None:
    foreign = {s["image"] for s in COMPOSE["services"].values() if "build" not in s}

    assert len(foreign) == 2
    assert all(re.search(r":\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}$", image) for image in foreign)
    assert re.search(r"^ARG PYTHON=\S+@sha256:[0-9a-f]{64}$", DOCKERFILE, re.MULTILINE)


def test_nobody_but_servers_and_workers_reaches_the_database_and_redis() -> None:
    services = COMPOSE["services"]

    assert COMPOSE["networks"]["backend"] == {"internal": True}
    for name in ("postgres", "redis"):
        assert services[name]["networks"] == ["backend"]
        assert "ports" not in services[name]
    for name in ("server", "worker"):
        assert services[name]["networks"] == ["outside", "backend"]


@pytest.fixture
def composed_redis(tmp_path: Path) -> Iterator[int]:
    """The port of a Redis that was started as compose starts it, with the password open-sesame."""
    (tmp_path / "redis-password").write_text("open-sesame\n")
    port = free_port()
    script = _on_this_machine(COMPOSE["services"]["redis"]["command"][-1], tmp_path)
    script = script.replace(" --maxmemory", f" --bind 127.0.0.1 --port {port} --maxmemory")
    argv = [*COMPOSE["services"]["redis"]["command"][:-1], script]
    process = Process(argv, env={"PATH": os.environ["PATH"]}, cwd=tmp_path, log=tmp_path / "log")
    wait_until(lambda: "Ready to accept" in process.said() or not process.running, "Redis")
    assert process.running, process.said()
    assert "open-sesame" not in str(psutil.Process(process.pid).cmdline())
    yield port
    process.stop()


def test_redis_of_compose_knows_nobody_without_its_password(composed_redis: int) -> None:
    stranger = redis.Redis(port=composed_redis)
    with pytest.raises(redis.exceptions.AuthenticationError):
        stranger.ping()

    assert redis.Redis.from_url(f"redis://:open-sesame@127.0.0.1:{composed_redis}/0").ping()


def test_redis_of_compose_does_not_start_without_a_password(tmp_path: Path) -> None:
    script = _on_this_machine(COMPOSE["services"]["redis"]["command"][-1], tmp_path)

    missing = subprocess.run(["sh", "-euc", script], check=False, capture_output=True)
    (tmp_path / "redis-password").write_text("\n")
    empty = subprocess.run(["sh", "-euc", script], check=False, capture_output=True)

    assert missing.returncode != 0
    assert empty.returncode != 0


def test_a_worker_in_a_container_may_make_namespaces_and_not_load_modules() -> None:
    options = COMPOSE["services"]["worker"]["security_opt"]
    file = next(o.removeprefix("seccomp=") for o in options if o.startswith("seccomp="))
    profile = json.loads((ROOT / file).read_text(encoding="utf-8"))
    refused = {
        name
        for rule in profile["syscalls"]
        for name in rule["names"]
        if rule["action"] == "SCMP_ACT_ERRNO" and "args" not in rule
    }

    assert profile["defaultAction"] == "SCMP_ACT_ALLOW"
    assert not refused & {"unshare", "clone", "clone3", "mount", "umount2", "pivot_root"}
    assert not refused & {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"}
    assert {"init_module", "bpf", "kexec_load", "add_key", "perf_event_open", "setns"} <= refused
    assert {"apparmor=unconfined", "systempaths=unconfined"} <= set(options)
    assert re.search(r"apt-get install .*\bbubblewrap\b", DOCKERFILE)


def test_docker_itself_accepts_the_compose_file(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], check=False).returncode:
        pytest.skip("docker compose is not installed")
    for name in COMPOSE["secrets"]:
        (tmp_path / name).write_text("x", encoding="utf-8")

    done = subprocess.run(
        [docker, "compose", "--file", str(ROOT / "compose.yaml"), "config", "--quiet"],
        env={"PATH": str(Path(docker).parent), "STATEROOM_SECRETS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def _on_this_machine(script: str, folder: Path) -> str:
    """A script of compose, with its files in a folder of the test."""
    script = re.sub("/run/secrets/|/tmp/", f"{folder}/", script).replace("$$", "$")
    return script.replace("exec redis-server", f"exec {redis_server.program()}")


def _seconds(period: str) -> float:
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(n) * units[unit] for n, unit in re.findall(r"(\d+)([hms])", period))
