import hashlib
import os
from pathlib import Path, PurePosixPath

import pytest

from runner.errors import ToolError
from runner.processes import found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "checkout" / "source").mkdir(parents=True)
    (folder / "plan").mkdir()
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Another run's folder, with a state in it."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "errored.tfstate").write_text("of another run")
    return folder


def contents(root: Path) -> list[bytes]:
    return [file.read() for file in found.named(root, "checkout", "errored.tfstate")]


def test_files_of_a_name_are_found_wherever_they_are(root: Path) -> None:
    (root / "checkout" / "source" / "errored.tfstate").write_text("one")
    (root / "checkout" / "errored.tfstate").write_text("two")

    assert sorted(contents(root)) == [b"one", b"two"]


def test_nothing_is_found_through_a_link_to_another_runs_folder(
    root: Path, elsewhere: Path
) -> None:
    (root / "checkout" / "linked").symlink_to(elsewhere)
    (root / "checkout" / "errored.tfstate").symlink_to(elsewhere / "errored.tfstate")

    assert contents(root) == []


def test_nothing_is_found_when_the_checkout_itself_became_a_link(
    root: Path, elsewhere: Path
) -> None:
    (root / "checkout").rename(root / "moved")
    (root / "checkout").symlink_to(elsewhere)

    assert contents(root) == []


def test_a_pipe_that_nobody_writes_into_holds_nobody_up(root: Path) -> None:
    os.mkfifo(root / "checkout" / "errored.tfstate")
    os.mkfifo(root / "plan" / "plan")

    assert contents(root) == []
    with pytest.raises(ToolError, match="not a regular file"):
        found.sha256(root, "plan", "plan")


@pytest.mark.parametrize("target", ["/dev/zero", "../../elsewhere/errored.tfstate"])
def test_a_plan_that_became_a_link_is_refused(root: Path, elsewhere: Path, target: str) -> None:
    (root / "plan" / "plan").symlink_to(target)

    with pytest.raises(ToolError, match="replaced plan with something else"):
        found.sha256(root, "plan", "plan")


def test_a_file_of_any_size_is_not_read(root: Path) -> None:
    with (root / "plan" / "plan").open("wb") as file:
        file.truncate(found.MOST_BYTES + 1)

    with pytest.raises(ToolError, match="too large"):
        found.sha256(root, "plan", "plan")


def test_a_folder_that_is_very_deep_does_not_use_up_the_workers_files(root: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    folder = root / "checkout"
    for _ in range(found.DEEPEST + 100):
        folder = folder / "d"
    folder.mkdir(parents=True)
    (folder / "errored.tfstate").write_text("too deep")

    assert contents(root) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_hash_is_that_of_the_file(root: Path) -> None:
    (root / "plan" / "plan").write_bytes(b"a plan")

    assert found.sha256(root, "plan", "plan") == hashlib.sha256(b"a plan").hexdigest()


def test_a_file_is_read_by_its_path_and_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "state").write_bytes(b"it")
    (tmp_path / "a" / "link").symlink_to("b/state")
    (tmp_path / "c").symlink_to("a")

    def read(path: str, limit: int = 2) -> bytes | None:
        return found.content(tmp_path, PurePosixPath(path), limit)

    assert read("a/b/state") == b"it"
    assert [read(path) for path in ("a/link", "c/b/state", "a/b", "a/none", "a/../a/b/state")] == [
        *(None, None, None, None, None),
    ]
    assert read("a/b/state", limit=1) is None
