"""Init with a provider in the worker's cache, and what it writes, against a mirror made by hand.

The provider is a large one that lies on this machine (--package: an unpacked folder of a filesystem
mirror, HOST/NAMESPACE/TYPE/VERSION/PLATFORM at its end), or one of 100 MB that is made here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.rounds import WIDTH, interleaved, options, show, timed
from runner.providers.cache import Cache
from runner.providers.methods import Methods, Mirror
from runner.providers.package import Package, Unpacked, own_platform
from runner.tools import registries, tool
from tests.support.git_http import certificate
from tests.support.provider_inits import Machine
from tests.support.registry import Registry, registry
from tests.support.tools import environment

GOAL = "<= 1.1"
MADE = Package("example.com/bench/large", "1.0.0", own_platform())
MADE_BYTES = 100_000_000


class ByHand:
    """`init` in a folder of its own, with a mirror of which nothing is copied."""

    def __init__(
        self, folder: Path, used: tool.Tool, mirror: Methods, sources: str, lock: str
    ) -> None:
        self._folder, self._argv, self._lock = folder, used.argv, lock
        folder.mkdir()
        (folder / "main.tf").write_text(sources)
        self._settings = folder / "settings.tfrc"
        self._settings.write_text(mirror.text())

    def init(self) -> None:
        (self._folder / ".terraform.lock.hcl").write_text(self._lock)
        subprocess.run(["rm", "-rf", ".terraform"], cwd=self._folder, check=True)
        done = subprocess.run(
            [*self._argv, "init", "-input=false", "-no-color"],
            cwd=self._folder,
            env=environment(self._folder) | {"TF_CLI_CONFIG_FILE": str(self._settings)},
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)


def measure(folder: Path, name: str, given: Path | None, rounds: int) -> None:
    used = tool.find("tofu" if name == "tofu" else "terraform", None, None)
    with _registry(folder) as server:
        machine = Machine(folder / name, used, server)
        cache = registries.caches(machine.job())[0]
        package, kept = _fill(cache, folder, given)
        sources, lock = _sources(package), _lock(package, kept)
        mirror = Methods((Mirror(cache.folder),), frozenset((package.address,)))
        by_hand = ByHand(folder / f"{name}-by-hand", used, mirror, sources, lock)
        done = machine.init(sources, lock)
        by_hand.init()
        found = interleaved(
            lambda: machine.init(sources, lock).seconds * 1e3,
            lambda: timed(by_hand.init) * 1e3,
            rounds,
        )
    show(f"warm init, {name}, {kept.size / 1e6:.0f} MB", found, "ms", GOAL)
    print(f"{'written into the folder of a run':{WIDTH}} {done.written / 1e6:10.1f} MB  goal 0")


@contextmanager
def _registry(folder: Path) -> Iterator[Registry]:
    trusted = certificate(folder / "authority.pem")
    os.environ["SSL_CERT_FILE"] = str(trusted)
    with registry(trusted) as server:
        yield server


def _fill(cache: Cache, folder: Path, given: Path | None) -> tuple[Package, Unpacked]:
    package = MADE if given is None else Package("/".join(given.parts[-5:-2]), *given.parts[-2:])
    archive = folder / "package.zip"
    with zipfile.ZipFile(archive, "w") as made:
        if given is None:
            made.writestr("terraform-provider-large_v1.0.0", os.urandom(MADE_BYTES))
        else:
            for file in sorted(path for path in given.rglob("*") if path.is_file()):
                made.write(file, str(file.relative_to(given)))
    with archive.open("rb") as opened:
        kept = cache.put(package, opened, 1 << 40)
    archive.unlink()
    return package, kept


def _sources(package: Package) -> str:
    wanted = f'large = {{\n source = "{package.address}"\n }}'
    return f"terraform {{\n required_providers {{\n {wanted}\n }}\n}}\n"


def _lock(package: Package, kept: Unpacked) -> str:
    hashes = f'  hashes = [\n    "{kept.h1}",\n    "{kept.zh}",\n  ]'
    return f'provider "{package.address}" {{\n  version = "{package.version}"\n{hashes}\n}}\n'


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--tool", action="append", choices=("terraform", "tofu"))
    parser.add_argument("--package", type=Path, help="an unpacked provider on this machine")
    given = parser.parse_args()
    rounds = 1 if given.quick else given.rounds or 15
    for name in given.tool or (("terraform",) if given.quick else ("terraform", "tofu")):
        if name == "tofu" and shutil.which(name) is None:
            print("tofu is not on PATH: not measured")
            continue
        with TemporaryDirectory(prefix="b") as made:
            Path(made).chmod(0o755)  # a user of the run's own reads the certificate
            measure(Path(made), name, given.package and given.package.absolute(), rounds)


if __name__ == "__main__":
    main()
