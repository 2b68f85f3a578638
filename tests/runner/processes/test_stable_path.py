"""One path for the folders of a workspace's runs, where there are no namespaces."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from runner.processes import stable_path
from runner.processes.workdir import WorkDir


@pytest.fixture
def root() -> Iterator[Path]:
    with TemporaryDirectory(prefix="t") as made:
        yield Path(made) / "paths"


def no() -> bool:
    return False


def folder(tmp_path: Path, name: str) -> WorkDir:
    (tmp_path / name).mkdir()
    return WorkDir(tmp_path / name)


def test_each_run_of_a_workspace_finds_its_folder_at_the_same_path(
    tmp_path: Path, root: Path
) -> None:
    paths = []
    for name in ("one", "two"):
        with stable_path.held(folder(tmp_path, name), "workspace", no, root) as work:
            assert work.link is not None
            paths.append(work.seen.checkout)
            assert work.link.resolve() == tmp_path / name
            assert work.seen.tmp == tmp_path / name / "tmp"  # what finds leftovers looks for it

    assert paths[0] == paths[1]
    assert list(root.iterdir()) == []


def test_a_run_beside_another_keeps_its_own_path_and_leaves_the_other_one_alone(
    tmp_path: Path, root: Path
) -> None:
    with stable_path.held(folder(tmp_path, "one"), "workspace", no, root) as first:
        with stable_path.held(folder(tmp_path, "two"), "workspace", no, root) as second:
            assert second.link is None
            assert second.seen.checkout == tmp_path / "two" / "checkout"
        assert first.link is not None
        assert first.link.resolve() == tmp_path / "one"


def test_a_run_may_wait_for_the_path(tmp_path: Path, root: Path) -> None:
    asked = threading.Event()
    given = threading.Event()
    paths: list[Path | None] = []

    def wait() -> bool:
        asked.set()
        return True

    def run() -> None:
        with stable_path.held(folder(tmp_path, "two"), "workspace", wait, root) as work:
            paths.append(work.link)
            given.set()

    waiting = threading.Thread(target=run)
    with stable_path.held(folder(tmp_path, "one"), "workspace", no, root):
        waiting.start()
        assert asked.wait(30)
        assert not given.is_set()
    waiting.join(30)

    assert paths == [root / "workspace"]


def test_whoever_holds_a_copy_of_the_lock_keeps_the_path(tmp_path: Path, root: Path) -> None:
    with stable_path.held(folder(tmp_path, "one"), "workspace", no, root) as first:
        copy = os.dup(first.locks[-1])
        (root / "workspace.lock").rename(root / "kept")  # as when its worker was killed
    (root / "kept").rename(root / "workspace.lock")

    with stable_path.held(folder(tmp_path, "two"), "workspace", no, root) as second:
        assert second.link is None
    os.close(copy)
    with stable_path.held(folder(tmp_path, "three"), "workspace", no, root) as third:
        assert third.link is not None


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_a_folder_that_others_may_write_is_not_used(tmp_path: Path, root: Path, mode: int) -> None:
    root.mkdir()
    root.chmod(mode)

    with stable_path.held(folder(tmp_path, "one"), "workspace", no, root) as work:
        assert work.link is None


def test_a_link_in_the_place_of_the_folder_is_not_used(tmp_path: Path, root: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o711)
    root.symlink_to(tmp_path / "elsewhere")

    with stable_path.held(folder(tmp_path, "one"), "workspace", no, root) as work:
        assert work.link is None

    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of another user's")
def test_a_folder_of_another_user_is_not_used(tmp_path: Path, root: Path) -> None:
    root.mkdir(mode=0o711)
    os.chown(root, 12345, 12345)

    with stable_path.held(folder(tmp_path, "one"), "workspace", no, root) as work:
        assert work.link is None
