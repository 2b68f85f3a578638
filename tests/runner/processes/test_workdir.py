import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from runner.errors import RunnerError
from runner.processes import workdir


@pytest.fixture
def root() -> Iterator[Path]:
    with TemporaryDirectory(prefix="w") as folder:
        yield Path(folder) / "work"


def leave_behind(root: Path, run_id: str) -> Path:
    """What a worker leaves that is killed in the middle of a run."""
    script = (
        "import os, sys; from pathlib import Path; from runner.processes import workdir\n"
        "with workdir.create(Path(sys.argv[1]), sys.argv[2], 1) as work:\n"
        "    (work.checkout / 'main.tf').write_text('')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(root), run_id], check=False)
    return root / f"{run_id}.1"


def test_a_run_gets_folders_of_its_own_that_nobody_else_may_open(root: Path) -> None:
    with workdir.create(root, "run-1", 3) as work:
        folders = [work.checkout, work.data, work.home, work.tmp, work.plan]

        assert work.root == root / "run-1.3"
        assert [folder.stat().st_mode & 0o777 for folder in [work.root, *folders]] == [0o700] * 6


def test_the_folder_is_gone_when_the_run_ends_well(root: Path) -> None:
    with workdir.create(root, "run-1", 1) as work:
        (work.checkout / "main.tf").write_text("")

    assert list(root.iterdir()) == []


def test_the_folder_is_gone_when_the_run_fails(root: Path) -> None:
    with pytest.raises(RuntimeError), workdir.create(root, "run-1", 1):
        raise RuntimeError

    assert list(root.iterdir()) == []


def test_two_attempts_of_one_run_do_not_share_a_folder(root: Path) -> None:
    with workdir.create(root, "run-1", 1) as first, workdir.create(root, "run-1", 2) as second:
        assert first.root != second.root


def test_an_attempt_is_not_made_twice(root: Path) -> None:
    with (
        workdir.create(root, "run-1", 1),
        pytest.raises(RunnerError) as refused,
        workdir.create(root, "run-1", 1),
    ):
        pass

    assert refused.value.code == "work-dir-exists"


@pytest.mark.parametrize("run_id", ["", "..", "a/b", "a.b", "\n"])
def test_a_run_id_cannot_lead_out_of_the_work_root(root: Path, run_id: str) -> None:
    with pytest.raises(ValueError, match="run id"), workdir.create(root, run_id, 1):
        pass


def test_a_root_too_long_for_provider_sockets_is_refused_before_anything_runs(root: Path) -> None:
    with pytest.raises(RunnerError) as refused, workdir.create(root / ("x" * 80), "run-1", 1):
        pass

    assert refused.value.code == "work-root-too-long"


def test_folders_and_files_without_any_permission_are_removed(root: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from runner.processes import workdir\n"
        "os.getuid() or os.setuid(65534)  # root is never refused anything\n"
        "with workdir.create(Path(sys.argv[1]), 'run-1', 1) as work:\n"
        "    inner = work.checkout / 'a' / 'b'\n"
        "    inner.mkdir(parents=True)\n"
        "    (inner / 'c').mkdir()\n"
        "    (inner / 'file').write_text('')\n"
        "    (inner / 'file').chmod(0)\n"
        "    for folder in (inner / 'c', inner, inner.parent, work.checkout, work.root):\n"
        "        folder.chmod(0)\n"
    )
    root.mkdir(mode=0o777)
    for folder in (root, root.parent):
        folder.chmod(0o777)

    subprocess.run([sys.executable, "-c", script, str(root)], check=True)

    assert list(root.iterdir()) == []


def test_a_tree_deeper_than_any_path_may_be_is_removed(root: Path) -> None:
    with workdir.create(root, "run-1", 1) as work:
        here = os.open(work.checkout, os.O_RDONLY)
        for _ in range(3000):
            os.mkdir("deeper", dir_fd=here)
            below = os.open("deeper", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)

    assert list(root.iterdir()) == []


def test_removing_never_follows_a_symlink(root: Path) -> None:
    precious = root.parent / "precious"
    precious.mkdir(mode=0o755)
    (precious / "keyring").write_text("x")

    with workdir.create(root, "run-1", 1) as work:
        (work.checkout / "link").symlink_to(precious)
        (work.checkout / "dangling").symlink_to(root / "nowhere")
        work.plan.rmdir()
        work.plan.symlink_to(precious)

    assert (precious / "keyring").read_text() == "x"
    assert precious.stat().st_mode & 0o777 == 0o755
    assert list(root.iterdir()) == []


def sweep(root: Path, keep: set[str]) -> list[str]:
    """Remove what killed workers left, like a worker; the names of it."""
    gone = []
    for work in workdir.leftovers(root, keep):
        workdir.remove(work.root)
        gone.append(work.root.name)
    return gone


def test_a_sweep_removes_what_killed_workers_left(root: Path) -> None:
    leftover = leave_behind(root, "dead")

    gone = sweep(root, set())

    assert gone == ["dead.1"]
    assert not leftover.exists()


def test_a_sweep_keeps_what_it_is_told_to(root: Path) -> None:
    leftover = leave_behind(root, "dead")

    assert sweep(root, {workdir.name("dead", 1)}) == []
    assert leftover.exists()


def test_a_sweep_leaves_living_runs_alone_even_when_nobody_told_it(root: Path) -> None:
    with workdir.create(root, "living", 1) as work:
        assert sweep(root, set()) == []
        assert work.checkout.is_dir()


def test_a_sweep_does_not_follow_a_symlink_in_the_work_root(root: Path) -> None:
    root.mkdir()
    precious = root.parent / "precious"
    precious.mkdir()
    (root / "dead.1").symlink_to(precious)

    assert sweep(root, set()) == []
    assert precious.is_dir()


def test_leftovers_can_be_looked_through_before_they_go(root: Path) -> None:
    leave_behind(root, "dead")

    files = [list(work.checkout.iterdir()) for work in workdir.leftovers(root, set())]

    assert files == [[root / "dead.1" / "checkout" / "main.tf"]]


def test_a_sweep_of_a_root_that_does_not_exist_yet_finds_nothing(root: Path) -> None:
    assert sweep(root, set()) == []
