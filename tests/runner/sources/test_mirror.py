"""A mirror spares a run what was fetched before. The remote decides all the same."""

from __future__ import annotations

import fcntl
import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from runner.errors import SourceError
from runner.job import Mirrors, Source, SourcePolicy
from runner.processes import sandbox
from runner.processes.process import capture
from runner.processes.workdir import WorkDir
from runner.sources import mirror
from runner.sources.source import Checkout, clone
from runner.tools.environment import confinement
from tests.support.repositories import Repository
from tests.support.required import missing
from tests.support.ssh_keys import ssh_key
from tests.support.sshd import real_sshd
from tests.support.tool_run import job, tool_named

LARGE = 300_000
REFS = [None, "main", "refs/heads/main", "commit", "tag", "annotated"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "mirrors"


@pytest.fixture
def source(repository: Repository, root: Path) -> Source:
    """A repository with a large file on main."""
    (repository.folder / "large").write_bytes(os.urandom(LARGE))
    repository.commit({})
    return Source(
        str(repository.folder),
        policy=SourcePolicy(local_roots=(repository.folder.parent,)),
        mirrors=Mirrors(root, "network key-1", 10_000_000),
    )


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Source], Checkout]:
    """Check the sources out in the folder of a new run."""
    counted = iter(range(100))

    def run(source: Source) -> Checkout:
        work = tmp_path / f"run-{next(counted)}"
        work.mkdir()
        return clone(source, work / "source", work=work, deadline=60)

    return run


def transferred(checkout: Checkout, before: Checkout) -> int:
    """The bytes of the packs that a run has and an earlier one had not."""
    folder = checkout.root / ".git" / "objects" / "pack"
    new = mirror.packs(checkout.root) - mirror.packs(before.root)
    return sum((folder / name).stat().st_size for name in new)


def mirrors(root: Path) -> list[Path]:
    return sorted(root.glob("*.git"))


def files(checkout: Checkout) -> dict[str, bytes]:
    """What is checked out, and what git says about it."""
    return {
        str(path.relative_to(checkout.root)): path.read_bytes()
        for path in checkout.root.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(checkout.root).parts
    }


def told(checkout: Checkout, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=checkout.root, check=True, capture_output=True, text=True
    ).stdout


def refused(run: Callable[[Source], Checkout], source: Source) -> str:
    with pytest.raises(SourceError) as error:
        run(source)
    return error.value.code


def named(ref: str | None, repository: Repository) -> str | None:
    repository._git("tag", "v1")
    repository._git("tag", "-a", "-m", "Release", "v2")
    known = {"commit": repository._git("rev-parse", "HEAD"), "tag": "v1", "annotated": "v2"}
    return known.get(ref, ref) if ref else ref


@pytest.mark.parametrize("ref", REFS)
def test_a_second_run_fetches_nothing_that_is_there(
    ref: str | None,
    source: Source,
    repository: Repository,
    root: Path,
    run: Callable[[Source], Checkout],
) -> None:
    source = replace(source, ref=named(ref, repository))

    first = run(source)
    kept = [path.stat().st_ino for path in mirrors(root)]
    second = run(source)

    assert second.commit == first.commit
    assert transferred(second, first) == 0
    assert len(kept) == 1
    assert [path.stat().st_ino for path in mirrors(root)] == kept


@pytest.mark.parametrize("ref", REFS)
def test_a_checkout_by_way_of_a_mirror_is_that_of_a_clone(
    ref: str | None, source: Source, repository: Repository, run: Callable[[Source], Checkout]
) -> None:
    source = replace(source, ref=named(ref, repository))
    run(source)
    repository.commit({"later.tf": "# later"})

    by_mirror, cloned = run(source), run(replace(source, mirrors=None))

    assert files(by_mirror) == files(cloned)
    for question in (("show-ref",), ("config", "--local", "--list"), ("log", "--format=%H%d")):
        if question != ("show-ref",) or ref not in {"commit", "refs/heads/main"}:
            assert told(by_mirror, *question) == told(cloned, *question)
    assert (by_mirror.root / ".git/HEAD").read_text() == (cloned.root / ".git/HEAD").read_text()
    assert (by_mirror.root / ".git" / "FETCH_HEAD").exists() is (
        cloned.root / ".git" / "FETCH_HEAD"
    ).exists()
    told(by_mirror, "fsck", "--no-dangling")
    assert (by_mirror.root / ".git").stat().st_mode == (cloned.root / ".git").stat().st_mode


@pytest.mark.parametrize("ref", [None, "main", "refs/heads/main"])
def test_of_a_new_commit_only_what_is_new_is_fetched(
    ref: str | None, source: Source, repository: Repository, run: Callable[[Source], Checkout]
) -> None:
    source = replace(source, ref=ref)
    first = run(source)
    commit = repository.commit({"new.tf": "# new"})

    second = run(source)
    third = run(source)

    assert second.commit == third.commit == commit
    assert (second.folder / "new.tf").is_file()
    assert 0 < transferred(second, first) < LARGE / 10
    assert transferred(third, second) == 0


@pytest.mark.parametrize("ref", [None, "main", "refs/heads/main"])
def test_a_branch_that_was_force_pushed_is_followed(
    ref: str | None, source: Source, repository: Repository, run: Callable[[Source], Checkout]
) -> None:
    source = replace(source, ref=ref)
    older = repository.commit({"gone.tf": "# gone"})
    run(source)
    repository._git("reset", "-q", "--hard", f"{older}~1")
    other = repository.commit({"instead.tf": "# instead"})

    checkout = run(source)
    repository._git("reset", "-q", "--hard", older)
    back = run(source)

    assert checkout.commit == other
    assert not (checkout.folder / "gone.tf").exists()
    assert back.commit == older
    assert (back.folder / "gone.tf").is_file()


@pytest.mark.parametrize("ref", ["feature", "refs/heads/feature"])
def test_a_branch_that_was_deleted_is_not_served(
    ref: str, source: Source, repository: Repository, run: Callable[[Source], Checkout]
) -> None:
    repository.branch("feature", {"feature.tf": ""})
    source = replace(source, ref=ref)
    run(source)

    repository._git("branch", "-q", "-D", "feature")

    assert refused(run, source) == "ref-not-found"


def test_another_default_branch_is_followed(
    source: Source, repository: Repository, run: Callable[[Source], Checkout]
) -> None:
    run(source)
    commit = repository.branch("trunk", {"trunk.tf": ""})
    repository._git("checkout", "-q", "trunk")

    checkout = run(source)
    repository._git("branch", "-q", "-D", "main")
    after = run(source)

    assert checkout.commit == after.commit == commit
    assert "refs/heads/trunk" in told(checkout, "show-ref")


@pytest.mark.parametrize("annotated", [["-a", "-m", "Release"], []])
def test_a_tag_that_was_moved_is_followed(
    annotated: list[str],
    source: Source,
    repository: Repository,
    run: Callable[[Source], Checkout],
) -> None:
    repository._git("tag", *annotated, "v1")
    run(replace(source, ref="v1"))
    commit = repository.commit({"moved.tf": ""})
    repository._git("tag", "-f", *annotated, "v1")

    moved = run(replace(source, ref="v1"))
    repository._git("tag", "-d", "v1")

    assert moved.commit == commit
    assert refused(run, replace(source, ref="v1")) == "ref-not-found"


def test_a_new_branch_with_the_name_of_a_tag_comes_first(
    source: Source, repository: Repository, run: Callable[[Source], Checkout]
) -> None:
    repository._git("tag", "v1")
    run(replace(source, ref="v1"))
    commit = repository.branch("v1", {"branch.tf": ""})

    assert run(replace(source, ref="v1")).commit == commit


@pytest.mark.parametrize("ref", REFS)
def test_a_key_that_lost_access_gets_nothing_from_the_mirror(
    ref: str | None,
    source: Source,
    repository: Repository,
    tmp_path: Path,
    run: Callable[[Source], Checkout],
) -> None:
    key, public = ssh_key()
    with real_sshd(tmp_path / "sshd") as server:
        server.authorize(public)
        source = replace(
            source,
            url=server.url(repository.folder),
            ref=named(ref, repository),
            credential=key,
            known_hosts=server.known_hosts_line,
            policy=SourcePolicy(private_hosts=True),
        )
        first, second = run(source), run(source)
        assert transferred(second, first) == 0

        (server.folder / "authorized_keys").write_text("")

        assert refused(run, source) == "repository-access-denied"


def test_a_repository_that_is_gone_is_not_served(
    source: Source, repository: Repository, root: Path, run: Callable[[Source], Checkout]
) -> None:
    commit = run(source).commit
    run(replace(source, ref=commit))
    repository.folder.rename(f"{repository.folder}-gone")

    assert refused(run, source) == "repository-not-found"
    assert refused(run, replace(source, ref=commit)) == "repository-not-found"
    assert len(mirrors(root)) == 2


def test_a_commit_that_the_remote_has_no_more_is_not_served(
    source: Source, repository: Repository, run: Callable[[Source], Checkout]
) -> None:
    commit = repository.commit({"secret.tf": ""})
    run(replace(source, ref=commit))
    repository._git("reset", "-q", "--hard", "HEAD~1")
    repository._git("reflog", "expire", "--expire=now", "--all")
    repository._git("gc", "-q", "--prune=now")

    assert refused(run, replace(source, ref=commit)) == "ref-not-found"


def test_an_abbreviated_commit_arrives_without_a_mirror(
    source: Source, repository: Repository, root: Path, run: Callable[[Source], Checkout]
) -> None:
    commit = repository._git("rev-parse", "HEAD")

    assert run(replace(source, ref=commit[:10])).commit == commit
    assert mirrors(root) == []


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
    if sandbox.available() == "none":
        missing("this kernel has no Landlock")
    root = work_dir.root.parent.parent / "mirrors"
    run(replace(source, mirrors=Mirrors(root, "network", 10_000_000)))
    (kept,) = mirrors(root)
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}
    its_job = job(work_dir.root.parent.parent)

    for script in ("cat HEAD", "echo x > HEAD", "echo x > new", "rm HEAD", "ln HEAD {0}/HEAD"):
        done = capture(
            ["sh", "-c", f"cd {work_dir.checkout}; {_below(script, kept, work_dir)}"],
            env={"PATH": os.defpath},
            cwd=work_dir.checkout,
            deadline=20,
            confine=confinement(tool_named("wheel"), its_job, work_dir),
        )
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
