"""A hostile run: it tries every way out that is known here, and tells what succeeded.

It is started by a hook of the tool (a provisioner, a provider, what a provider starts), in place of
the program that should be there. It gets what a person on the machine could find out (pids, paths)
in the variable HOSTILE, and tells each attempt as a line of JSON, over TCP: a run has a network.

Nothing is broken where an attempt succeeds: limits are set to what they are, modes to what they
were. It is one file (`write`), and has nothing but Python's own modules.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import zipapp
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.hostile import files, machine, others, processes
from tests.support.hostile.attempts import ATTEMPTS, GIVEN
from tests.support.hostile.taking import TAKEN

__all__ = ["files", "machine", "others", "processes"]

_PACKAGE = "tests/support/hostile"


def write(path: Path, python: str) -> None:
    """Write the program as one file that this Python executes."""
    with TemporaryDirectory() as made:
        package = Path(made) / _PACKAGE
        package.mkdir(parents=True)
        for source in Path(__file__).parent.glob("*.py"):
            (package / source.name).write_bytes(source.read_bytes())
        main = f"{_PACKAGE.replace('/', '.')}.program:main"
        zipapp.create_archive(made, path, python, main)
    path.chmod(0o755)


def results() -> Iterator[dict[str, object]]:
    for name, tried in ATTEMPTS.items():
        try:
            gained = tried()
            why = ""
        except (OSError, subprocess.SubprocessError) as error:
            gained, why = None, str(error)
        yield {"attempt": name, "gained": gained or None, "why": why}


def main() -> None:
    if GIVEN["hook"] == "a provider's child" and "--child" not in sys.argv:
        sys.exit(subprocess.run([sys.executable, sys.argv[0], "--child"], check=False).returncode)
    if taken := GIVEN.get("take"):
        TAKEN[taken](GIVEN["amount"])
        return
    with socket.create_connection(("127.0.0.1", GIVEN["port"])) as told:
        for result in results():
            told.sendall(json.dumps(result).encode() + b"\n")
        told.sendall(b'{"end": true}\n')
