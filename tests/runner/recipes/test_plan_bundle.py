"""What planning leaves comes back as it was, and nothing of it gets out of the run's folders."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import pytest

from runner.errors import ToolError
from runner.processes import workdir
from runner.processes.workdir import WorkDir
from runner.recipes import plan_bundle

LIMIT = 1 << 20


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a short name, for the sockets of providers."""
    with TemporaryDirectory(prefix="b") as made:
        yield Path(made)


@pytest.fixture
def work(folder: Path) -> Iterator[WorkDir]:
    with workdir.create(folder / "work", "first", 1) as made:
        (made.checkout / "source").mkdir()
        yield made


@pytest.fixture
def other(folder: Path) -> Iterator[WorkDir]:
    """The folders of the claim that applies, with the same commit checked out."""
    with workdir.create(folder / "elsewhere", "first", 2) as made:
        (made.checkout / "source").mkdir()
        yield made


def packed(work: WorkDir, before: plan_bundle.Listing) -> tuple[bytes, tuple[str, ...]]:
    to = io.BytesIO()
    left_out = plan_bundle.pack(work, before, to, LIMIT)
    return to.getvalue(), left_out


def pieces(content: bytes, size: int = 1000) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_what_was_written_since_comes_back_and_nothing_else_goes_with_it(
    work: WorkDir, other: WorkDir
) -> None:
    source = work.checkout / "source"
    write(source, "main.tf", "committed")
    changed = write(source, "changed.txt", "before")
    before = plan_bundle.listed(work)
    write(work.plan, "plan", "the plan")
    write(work.data, "modules/modules.json", "{}")
    write(work.data, "modules/inner/.git/config", "of git")
    write(work.data, "providers/big", "a provider")
    write(source, ".terraform.lock.hcl", "locked")
    write(source, "deep/er/archive.zip", "zipped").chmod(0o750)
    changed.write_text("after")
    (source / "link").symlink_to("deep/er/archive.zip")

    content, left_out = packed(work, before)
    plan_bundle.unpack(other, pieces(content))

    there = other.checkout / "source"
    assert left_out == ()
    assert (other.plan / "plan").read_text() == "the plan"
    assert (other.data / "modules/modules.json").read_text() == "{}"
    assert (there / ".terraform.lock.hcl").read_text() == "locked"
    assert (there / "changed.txt").read_text() == "after"
    assert (there / "link").read_text() == "zipped"
    assert (there / "deep/er/archive.zip").stat().st_mode & 0o777 == 0o750
    assert not (there / "main.tf").exists()
    assert not (other.data / "providers").exists()
    assert not (other.data / "modules/inner").exists()


def test_a_link_out_of_the_checkout_and_a_pipe_do_not_go_with_it(
    work: WorkDir, tmp_path: Path
) -> None:
    source = work.checkout / "source"
    before = plan_bundle.listed(work)
    write(tmp_path, "secret", "of somebody else")
    (source / "absolute").symlink_to(tmp_path / "secret")
    (source / "upwards").symlink_to("../../../secret")
    os.mkfifo(source / "pipe")

    content, left_out = packed(work, before)

    assert left_out == ("source/absolute", "source/upwards")
    assert b"of somebody else" not in content


def test_a_plan_that_is_too_large_is_refused(work: WorkDir) -> None:
    before = plan_bundle.listed(work)
    write(work.checkout, "source/large", "x" * (LIMIT + 1))

    with pytest.raises(ToolError) as refused:
        packed(work, before)

    assert refused.value.code == "plan-too-large"
    assert "STATEROOM_MAX_PLAN_BYTES" in refused.value.message


@pytest.mark.parametrize(
    "name",
    [
        "checkout/../../outside",
        "elsewhere/file",
        "/etc/file",
        "checkout",
        "../outside",
        "plan/../x",
    ],
)
def test_a_name_that_leads_out_is_refused(other: WorkDir, name: str) -> None:
    to = io.BytesIO()
    with tarfile.open(fileobj=to, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))

    with pytest.raises(ToolError) as refused:
        plan_bundle.unpack(other, pieces(to.getvalue()))

    assert refused.value.code == "plan-unreadable"
    assert not list(other.root.parent.rglob("outside"))


def test_nothing_is_written_through_a_link_of_the_repository(
    other: WorkDir, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (other.checkout / "source" / "sub").symlink_to(outside)
    to = io.BytesIO()
    with tarfile.open(fileobj=to, mode="w") as tar:
        member = tarfile.TarInfo("checkout/source/sub/file")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))

    with pytest.raises(ToolError) as refused:
        plan_bundle.unpack(other, pieces(to.getvalue()))

    assert refused.value.code == "plan-unreadable"
    assert list(outside.iterdir()) == []


def test_a_file_that_is_cut_is_refused(work: WorkDir, other: WorkDir) -> None:
    before = plan_bundle.listed(work)
    write(work.checkout, "source/file", "x" * 100_000)
    content, _ = packed(work, before)

    with pytest.raises(ToolError):
        plan_bundle.unpack(other, pieces(content[: len(content) // 2]))


def test_a_listing_has_every_file_but_those_of_git(work: WorkDir) -> None:
    write(work.checkout, "source/.git/HEAD", "ref")
    write(work.checkout, "source/a/b.tf", "")

    assert set(plan_bundle.listed(work)) == {PurePosixPath("source/a/b.tf")}
