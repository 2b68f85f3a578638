"""The process that looks at a repository for the server: `python -m execution.preview_process`.

It reads what is wanted as JSON, secrets included, and writes what it found. It ends by itself after
the seconds that it gets, and cleans up when it is told to end (SIGTERM).
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from runner.job import Login, Source, SourcePolicy, SshKey
from runner.recipes import preview
from runner.recipes.preview import Wanted

END = b"\0"  # as backend/apart.py wants it, which takes longer to import


def main() -> None:
    signal.signal(signal.SIGTERM, _end)
    asked: dict[str, Any] = json.load(sys.stdin)
    with TemporaryDirectory(dir=asked["folder"], ignore_cleanup_errors=True) as work:
        found = preview.preview(wanted(asked), Path(work), asked["seconds"])
    # what is no text in a name of git is no text in JSON either
    answer = json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")
    sys.stdout.buffer.write(answer + END)


def wanted(asked: dict[str, Any]) -> Wanted:
    """What is wanted, from its JSON: the fields of a template, and what they lead to."""
    policy = asked["policy"]
    return Wanted(
        Source(
            asked["repository"],
            asked["ref"],
            asked["path"],
            credential=_credential(asked["credential"]),
            known_hosts=asked["known_hosts"],
            policy=SourcePolicy(
                tuple(map(Path, policy["local_roots"])),
                policy["private_hosts"],
                policy["plain_http"],
                frozenset(policy["ssh_rsa_hosts"]),
            ),
            submodules=asked["submodules"],
            lfs=asked["lfs"],
        ),
        asked["tool"],
        asked["backend_mode"],
        asked["override_file"],
        tuple(asked["ignored_wrappers"]),
        tuple(asked["variable_files"]),
        asked["address"],
    )


def _credential(given: dict[str, Any]) -> SshKey | Login | None:
    if "private_key" in given:
        return SshKey(given["private_key"], given.get("passphrase"))
    return Login(given["username"], given["password"]) if "password" in given else None


def _end(_number: int, _frame: object) -> NoReturn:
    sys.exit(1)


if __name__ == "__main__":
    main()
