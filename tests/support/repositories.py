"""Git repositories with configurations in them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

MODULE = """\
variable "greeting" {
  type    = string
  default = "hello"
}

resource "terraform_data" "thing" {
  input = var.greeting
}

output "greeting" {
  value = terraform_data.thing.output
}
"""

S3_BACKEND = """\
terraform {
  backend "s3" {
    bucket = "somebody-elses"
    key    = "state"
    region = "eu-central-1"
  }
}
"""


def sleeping_module(seconds: float = 3.0) -> str:
    """One resource that is made at once, then one whose making takes a while."""
    return _slow_module(f"sleep {seconds}")


def waiting_module(gate: Path) -> str:
    """One resource that is made at once, then one that is made as soon as `gate` exists."""
    return _slow_module(f"while ! test -e {gate}; do sleep 1; done")


def _slow_module(command: str) -> str:
    return f"""\
resource "terraform_data" "quick" {{
  input = "quick"
}}

resource "terraform_data" "slow" {{
  depends_on = [terraform_data.quick]

  provisioner "local-exec" {{
    command = "{command}"
  }}
}}
"""


class Repository:
    """A repository on disk with a branch `main`."""

    def __init__(self, folder: Path, files: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._git("init", "--quiet", "--initial-branch=main")
        self.commit({"main.tf": MODULE} if files is None else files)

    def commit(self, files: Mapping[str, str], message: str = "Change") -> str:
        """Add these files (an empty mapping too) and commit; the commit's hash."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "-m", message)
        return self._git("rev-parse", "HEAD")

    def replace(self, files: Mapping[str, str]) -> str:
        """Commit these files and no others."""
        self._git("rm", "--quiet", "-r", "--ignore-unmatch", ".")
        return self.commit(files)

    def branch(self, name: str, files: Mapping[str, str]) -> str:
        self._git("checkout", "--quiet", "-b", name)
        commit = self.commit(files)
        self._git("checkout", "--quiet", "main")
        return commit

    def link(self, name: str, target: str) -> None:
        (self.folder / name).symlink_to(target)
        self.commit({})

    def spread(self, name: str, times: int) -> None:
        """Commit the same file under many names: small to fetch, and large to check out."""
        blob = self._git("rev-parse", f"HEAD:{name}")
        for number in range(times):
            self._git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}-{number}")
        self._git("commit", "--quiet", "-m", "Spread")

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=ann", "-c", "user.email=ann@example.com", *arguments],
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": "/nonexistent",
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": os.devnull,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
