"""Large sealed bodies on the disk: complete or not there, and removed when nothing refers to them."""

from __future__ import annotations

import hashlib
import os
import resource
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.errors import Unavailable, Unreadable
from backend.sealing.blobs import Blobs
from tests.support.project import ROOT

HOUR = 3600.0
NAME = "ab" + "0" * 62


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def put(blobs: Blobs, sealed: bytes, age: float = 0.0) -> str:
    with blobs.writer() as writer:
        writer.write(sealed)
        name = writer.commit()
    written = time.time() - age
    os.utime(blobs.path(name), (written, written))
    return name


def files(blobs: Blobs) -> list[str]:
    return sorted(path.name for path in blobs.folder.rglob("*") if path.is_file())


def test_a_committed_body_is_found_under_its_hash(blobs: Blobs) -> None:
    with blobs.writer() as writer:
        writer.write(b"sealed ")
        writer.write(b"")
        writer.write(b"bytes")
        name = writer.commit()

    with blobs.open(name) as file:
        assert file.read() == b"sealed bytes"
    assert name == hashlib.sha256(b"sealed bytes").hexdigest()
    assert files(blobs) == [name[2:]]


def test_a_body_is_readable_by_its_owner_alone(blobs: Blobs) -> None:
    previous = os.umask(0)

    try:
        name = put(blobs, b"sealed")
    finally:
        os.umask(previous)

    modes = [stat.S_IMODE(path.stat().st_mode) for path in blobs.folder.rglob("*")]
    assert sorted(modes) == [0o600, 0o700, 0o700]
    assert stat.S_IMODE(blobs.path(name).stat().st_mode) == 0o600
    assert stat.S_IMODE(blobs.folder.stat().st_mode) == 0o700


def test_the_same_bytes_can_be_stored_twice(blobs: Blobs) -> None:
    assert put(blobs, b"sealed") == put(blobs, b"sealed")
    assert len(files(blobs)) == 1


def test_a_body_that_was_not_committed_destroys_all(blobs: Blobs) -> None:
    with blobs.writer() as writer:
        writer.write(b"sealed")

    assert files(blobs) == []


def test_a_body_that_failed_destroys_all(blobs: Blobs) -> None:
    with pytest.raises(ZeroDivisionError), blobs.writer() as writer:
        writer.write(b"x" * (1 // 0))

    assert files(blobs) == []


def test_a_missing_body_is_unreadable_and_never_empty(blobs: Blobs) -> None:
    with pytest.raises(Unreadable, match="missing") as caught:
        blobs.open(NAME)

    assert caught.value.code == "blob-missing"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "ab", NAME.upper(), NAME + "\n"])
def test_a_name_never_leaves_the_folder(blobs: Blobs, name: str) -> None:
    with pytest.raises(Unreadable):
        blobs.open(name)


def test_deleting_a_body_twice_is_harmless(blobs: Blobs) -> None:
    name = put(blobs, b"sealed")

    blobs.delete(name)
    blobs.delete(name)

    assert files(blobs) == []


def test_only_old_bodies_without_a_row_are_swept(blobs: Blobs) -> None:
    kept = put(blobs, b"old, with a row", age=2 * HOUR)
    young = put(blobs, b"young, its row is about to commit")
    orphan = put(blobs, b"old, without a row", age=2 * HOUR)
    asked: list[str] = []

    def referenced(names: list[str]) -> set[str]:
        asked.extend(names)
        return {kept}

    assert sweep_twice(blobs, referenced) == 1
    assert set(asked) == {kept, orphan}
    assert files(blobs) == sorted([kept[2:], young[2:]])


def sweep_twice(blobs: Blobs, referenced: Callable[[list[str]], set[str]]) -> int:
    """Once, and again when as much time has gone by."""
    assert blobs.sweep(referenced, HOUR) == 0
    for path in blobs.folder.rglob("*"):
        if path.is_file() and path.stat().st_mode & 0o777 == 0o400:
            os.utime(path, (0, 0))
    return blobs.sweep(referenced, HOUR)


def test_a_body_whose_row_has_just_gone_stays_for_a_backup_that_names_it(blobs: Blobs) -> None:
    put(blobs, b"old", age=2 * HOUR)

    blobs.sweep(lambda _: set(), HOUR)
    blobs.sweep(lambda _: set(), HOUR)

    assert len(files(blobs)) == 1


def test_what_a_dead_server_left_half_written_is_swept(blobs: Blobs) -> None:
    put(blobs, b"sealed")
    left = blobs.folder / "incoming" / "left"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))

    assert blobs.sweep(set, HOUR) == 1
    assert not left.exists()


def test_many_bodies_are_asked_for_in_batches(blobs: Blobs) -> None:
    shelf = blobs.folder / "ab"
    shelf.mkdir(parents=True)
    for number in range(1201):
        path = shelf / f"{number:062x}"
        path.touch()
        os.utime(path, (0, 0))
    sizes: list[int] = []

    def referenced(names: list[str]) -> set[str]:
        sizes.append(len(names))
        return set()

    assert sweep_twice(blobs, referenced) == 1201
    assert sizes == [500, 500, 201] * 2
    assert files(blobs) == []


def test_sweeping_before_anything_was_stored_is_harmless(blobs: Blobs) -> None:
    assert blobs.sweep(set, HOUR) == 0


def test_an_upload_that_was_swept_away_is_told_so(blobs: Blobs) -> None:
    with blobs.writer() as writer:
        writer.write(b"sealed")
        for path in (blobs.folder / "incoming").iterdir():
            path.unlink()

        with pytest.raises(Unavailable, match="Send it again"):
            writer.commit()


def test_a_full_disk_is_told_and_destroys_all(tmp_path: Path) -> None:
    # A limit on the size of files is a full disk that needs no privilege.
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "blobs")],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        cwd=ROOT,
    )

    assert done.stdout.strip() == "disk-full", done.stderr
    assert files(Blobs(tmp_path / "blobs")) == []


FULL_DISK = """
import sys
from pathlib import Path
from backend.sealing.blobs import Blobs
from backend.errors import Unavailable
try:
    with Blobs(Path(sys.argv[1])).writer() as writer:
        for _ in range(10):
            writer.write(b"x" * 30_000)
        writer.commit()
except Unavailable as error:
    print(error.code)
"""
