"""Terraform and tofu as people run them: in a folder, with an environment that is given."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Process
from tests.support.state_address import StateAddress

NO_TOFU = "tofu is not installed: it has no wheel, so CI may be without it"
# `make matrix` runs the client tests with another release
GIVEN = {"terraform": "TERRAFORM_UNDER_TEST", "tofu": "TOFU_UNDER_TEST"}


@dataclass(frozen=True)
class Tool:
    name: str  # terraform, tofu
    command: Path

    def version(self) -> tuple[int, ...]:
        said = json.loads(self.run(Path.cwd(), "version", "-json").stdout)
        return tuple(int(part) for part in said["terraform_version"].split("-")[0].split("."))

    def run(
        self,
        folder: Path,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        seconds: float = 120.0,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.command), *arguments],
            cwd=folder,
            env=environment(folder) | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


def environment(folder: Path) -> dict[str, str]:
    """An allow-list: nothing that this machine sets for terraform reaches it."""
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
    }


class Checkout:
    """A folder on somebody's laptop with a configuration and, once connected, our backend."""

    def __init__(self, tool: Tool, folder: Path, configuration: str) -> None:
        folder.mkdir(parents=True)
        self.tool = tool
        self.folder = folder
        self.environment: dict[str, str] = {}
        self.write("main.tf", configuration)

    def write(self, name: str, content: str) -> None:
        (self.folder / name).write_text(content, encoding="utf-8")

    def connect(self, address: StateAddress, url: str = "", *, locks: bool = True) -> None:
        """Write the backend as our snippets show it; `url` when it is reached by another way."""
        where = url + address.path if url else address.url
        lines = [f'    address        = "{where}"']
        if locks:
            lines += [f'    lock_address   = "{where}"', f'    unlock_address = "{where}"']
        lines += ["    retry_wait_min = 1", "    retry_wait_max = 2"]
        body = "\n".join(lines)
        self.write("backend.tf", f'terraform {{\n  backend "http" {{\n{body}\n  }}\n}}\n')
        self.environment = {"TF_HTTP_USERNAME": "ann", "TF_HTTP_PASSWORD": address.token}

    def run(self, *arguments: str, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        return self.tool.run(self.folder, *arguments, env=self.environment, seconds=seconds)

    def must(self, *arguments: str) -> str:
        """Run it and expect success; what it said."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *arguments: str) -> Process:
        """Run it in the background, in a process group of its own, as a shell would."""
        return Process(
            [str(self.tool.command), *arguments],
            env=environment(self.folder) | self.environment,
            cwd=self.folder,
            log=self.folder.parent / f"{self.folder.name}.log",
        )

    def init(self) -> None:
        self.must("init", "-input=false", "-no-color")

    def apply(self, *arguments: str) -> str:
        return self.must("apply", "-auto-approve", "-input=false", "-no-color", *arguments)

    def errored_state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "errored.tfstate").read_text())
        return found


def choices(*names: str) -> list[Any]:
    """The parameters of a fixture, so that what is missing is skipped before anything starts."""
    skipped = [pytest.mark.skip(reason=NO_TOFU)]
    return [pytest.param(name, marks=skipped if _is_missing(name) else []) for name in names]


def find_tool(name: str, *, otherwise: Path) -> Tool:
    """One of them from PATH; Terraform is always there, as `otherwise`, and tofu may be missing."""
    if _is_missing(name):
        pytest.skip(NO_TOFU)
    return Tool(name, Path(_found(name) or otherwise))


def _is_missing(name: str) -> bool:
    return name == "tofu" and _found(name) is None


def _found(name: str) -> str | None:
    given = GIVEN.get(name)  # there is none for the wheel
    return (os.environ.get(given) if given else None) or shutil.which(name)
