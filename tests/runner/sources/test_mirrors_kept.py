"""How mirrors are kept: whose they are, when they are made anew, and when they go."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from runner.job import Mirrors, Source, SourcePolicy
from runner.processes import room
from runner.processes.workdir import WorkDir
from runner.sources import mirror
from runner.sources.source import Checkout
from runner.tools.environment import terms
from tests.support.mirrored import LARGE, mirrors, told, transferred
from tests.support.repositories import Repository
from tests.support.rooms import shell
from tests.support.ssh_keys import ssh_key
from tests.support.sshd import real_sshd
from tests.support.tool_run import job, tool_named


def test_owners_share_no_mirror(
    source: Source, root: Path, run: Callable[[Source], Checkout]
) -> None:
    other = replace(source, mirrors=Mirrors(root, "storage key-1", 10_000_000))

    run(source)
    run(other)

    assert len(mirrors(root)) == 2
    first, second = ({file.stat().st_ino for file in m.rglob("*.pack")} for m in mirrors(root))
    assert not first & second


def test_runs_at_once_get_the_same_commit(
    source: Source, repository: Repository, root: Path, run: Callable[[Source], Checkout]
) -> None:
    run(source)
    commit = repository.commit({"new.tf": ""})
    arrived: list[str] = []

    threads = [threading.Thread(target=lambda: arrived.append(run(source).commit)) for _ in "1234"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert arrived == [commit] * 4
    assert [path.suffix for path in sorted(root.iterdir())] == [".git", ".lock"]


def test_a_run_that_does_not_get_the_lock_fetches_everything(
    source: Source,
    root: Path,
    run: Callable[[Source], Checkout],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = run(source)
    monkeypatch.setattr(mirror, "LOCK_SECONDS", 0.05)

    with next(root.glob("*.lock")).open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = run(source)

    assert second.commit == first.commit
    assert [path.suffix for path in sorted(root.iterdir())] == [".git", ".lock"]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *product(["HEAD", "config", "objects/pack/*.pack", "objects/pack/*.idx"], ["cut", "gone"]),
        ("objects/pack/*.pack", "rotten"),
    ],
)
def test_a_broken_mirror_is_made_anew(
    name: str,
    damage: str,
    source: Source,
    repository: Repository,
    root: Path,
    run: Callable[[Source], Checkout],
) -> None:
    run(source)
    (broken,) = mirrors(root)[0].glob(name)
    broken.chmod(0o600)
    if damage == "rotten":
        with broken.open("r+b") as file:
            file.seek(broken.stat().st_size // 2)
            file.write(b"rotten" * 20)
    elif damage == "cut":
        os.truncate(broken, 0 if broken.stat().st_size < 1000 else broken.stat().st_size // 2)
    else:
        broken.unlink()
    commit = repository.commit({"new.tf": ""})

    second = run(source)
    third = run(source)

    assert second.commit == third.commit == commit
    assert (second.folder / "large").stat().st_size == LARGE
    assert transferred(third, second) == 0
    told(third, "fsck", "--full")


def test_a_mirror_of_many_packs_is_removed_and_made_anew(
    source: Source,
    repository: Repository,
    root: Path,
    run: Callable[[Source], Checkout],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mirror, "MOST_PACKS", 2)
    counts = []

    for number in range(4):
        repository.commit({"main.tf": f"# {number}"})
        run(source)
        counts.append([len(list(one.rglob("*.pack"))) for one in mirrors(root)])

    assert counts == [[1], [2], [], [1]]


def test_a_repository_that_is_larger_than_the_limit_is_not_kept(
    source: Source, root: Path, run: Callable[[Source], Checkout]
) -> None:
    run(replace(source, mirrors=Mirrors(root, "network", LARGE // 2)))

    assert mirrors(root) == []


def test_a_limit_of_nothing_keeps_nothing(
    source: Source, root: Path, run: Callable[[Source], Checkout]
) -> None:
    run(replace(source, mirrors=Mirrors(root, "network", 0)))

    assert not root.exists()


def test_a_mirror_is_open_to_nobody_else_and_has_no_password(
    source: Source,
    repository: Repository,
    tmp_path: Path,
    root: Path,
    run: Callable[[Source], Checkout],
) -> None:
    key, public = ssh_key(passphrase="correct horse")
    with real_sshd(tmp_path / "sshd") as server:
        server.authorize(public)
        run(
            replace(
                source,
                url=server.url(repository.folder),
                credential=key,
                known_hosts=server.known_hosts_line,
                policy=SourcePolicy(private_hosts=True),
            )
        )

    names = {path.name for path in mirrors(root)[0].iterdir()}
    assert names == {"HEAD", "config", "packed-refs", "shallow", "refs", "objects"}
    assert root.stat().st_mode & 0o777 == 0o700
    assert "PRIVATE KEY" not in (mirrors(root)[0] / "config").read_text()


def test_no_file_of_a_checkout_is_one_of_the_mirror(
    source: Source, repository: Repository, root: Path, run: Callable[[Source], Checkout]
) -> None:
    checkouts = [run(source), run(source)]
    repository.commit({"new.tf": ""})
    checkouts.append(run(source))

    kept = {path.stat().st_ino for path in root.rglob("*") if path.is_file()}
    for checkout in checkouts:
        assert not kept & {p.lstat().st_ino for p in checkout.root.rglob("*") if p.is_file()}
        assert not (checkout.root / ".git" / "objects" / "info" / "alternates").exists()


def test_a_run_can_neither_read_nor_write_a_mirror(
    source: Source, work_dir: WorkDir, run: Callable[[Source], Checkout]
) -> None:
    root = work_dir.root.parent.parent / "mirrors"
    run(replace(source, mirrors=Mirrors(root, "network", 10_000_000)))
    (kept,) = mirrors(root)
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    its_job = job(work_dir.root.parent.parent)

    for script in ("cat HEAD", "echo x > HEAD", "echo x > new", "rm HEAD", "ln HEAD {0}/HEAD"):
        with room.opened(work_dir, terms(tool_named("wheel"), its_job)) as made:
            done = shell(made, _below(script, kept, made.seen))
        assert done.returncode != 0, script
        assert done.stdout == b""

    assert {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()} == before


def _below(script: str, kept: Path, work: WorkDir) -> str:
    return (
        script.replace("HEAD", f"{kept}/HEAD", 1).replace(" new", f" {kept}/new").format(work.tmp)
    )


def test_the_sweep_removes_what_was_not_used_for_long(
    source: Source, root: Path, run: Callable[[Source], Checkout]
) -> None:
    run(source)
    run(replace(source, ref="main"))
    (root / "lost+found").mkdir()
    old = mirrors(root)[0]
    os.utime(old, (0, 0))

    removed = mirror.sweep(root, 86_400, 10_000_000)

    assert removed == 1
    assert not old.exists()
    assert len(mirrors(root)) == len(list(root.glob("*.lock"))) == 1
    assert (root / "lost+found").exists()


def test_the_sweep_removes_the_oldest_above_the_limit(
    source: Source, root: Path, run: Callable[[Source], Checkout]
) -> None:
    for age, owner in enumerate(("ann", "bob", "eve")):
        run(replace(source, mirrors=Mirrors(root, owner, 10_000_000)))
        used = next(path for path in mirrors(root) if path.stat().st_mtime > 100)
        os.utime(used, (age + 1, age + 1))

    removed = mirror.sweep(root, float("inf"), int(LARGE * 2.5))

    assert removed == 1
    assert sorted(path.stat().st_mtime for path in mirrors(root)) == [2, 3]


def test_the_sweep_leaves_a_mirror_that_is_in_use(
    source: Source,
    root: Path,
    run: Callable[[Source], Checkout],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(source)
    monkeypatch.setattr(mirror, "LOCK_SECONDS", 0.05)

    with next(root.glob("*.lock")).open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        removed = mirror.sweep(root, 0, 0)

    assert removed == 0
    assert len(mirrors(root)) == 1


def test_the_sweep_removes_what_a_killed_worker_was_making(root: Path) -> None:
    root.mkdir()
    for name in ("new", "old"):
        (root / f"{'0' * 64}.{name}-{'1' * 32}" / "objects").mkdir(parents=True)
        os.utime(next(root.glob(f"*.{name}-*")), (0, 0))
    (root / f"{'0' * 64}.new-{'2' * 32}").mkdir()

    mirror.sweep(root, 1, 1)

    assert [path.name[-32:] for path in root.iterdir()] == ["2" * 32]


def test_the_sweep_of_a_worker_without_mirrors_does_nothing(root: Path) -> None:
    assert mirror.sweep(root, 1, 1) == 0
    assert not root.exists()
