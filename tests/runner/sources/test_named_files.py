from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import SourceError
from runner.processes.room import Room
from runner.processes.workdir import WorkDir
from runner.sources import named_files
from runner.sources.source import Checkout


@pytest.fixture
def checkout(work_dir: WorkDir) -> Checkout:
    root = work_dir.checkout / "source"
    for folder in (root / "network" / "envs", root / ".git"):
        folder.mkdir(parents=True)
    for name in ("common.tfvars", "network/envs/prod.tfvars", ".git/config"):
        (root / name).write_text('a = "b"\n')
    return Checkout(root, root / "network", "c" * 40, None, "", "")


def test_files_are_found_from_the_folder_of_the_template(
    checkout: Checkout, bare_room: Room
) -> None:
    found = named_files.find(
        checkout, ["envs/prod.tfvars", "../common.tfvars"], "variable file", bare_room
    )

    expected = [checkout.root / "network/envs/prod.tfvars", checkout.root / "common.tfvars"]
    assert list(found) == [bare_room.inside(path) for path in expected]
    assert named_files.outside(checkout, ["../common.tfvars"]) == expected[1:]


def test_a_link_inside_the_checkout_is_followed(checkout: Checkout, bare_room: Room) -> None:
    (checkout.folder / "link.tfvars").symlink_to("../common.tfvars")

    [found] = named_files.find(checkout, ["link.tfvars"], "variable file", bare_room)

    assert found == bare_room.inside(checkout.root / "common.tfvars")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nothing.tfvars", "named-file-missing"),
        ("envs", "named-file-missing"),
        ("../../../../etc/passwd", "named-file-outside"),
        ("out.tfvars", "named-file-outside"),
        ("loop.tfvars", "named-file-missing"),
        ("../.git/config", "named-file-outside"),
        ("config.tfvars", "named-file-outside"),
    ],
)
def test_what_is_no_file_of_the_repository_is_refused_by_name(
    checkout: Checkout, bare_room: Room, name: str, code: str
) -> None:
    (checkout.folder / "out.tfvars").symlink_to("/etc/passwd")
    (checkout.folder / "loop.tfvars").symlink_to("loop.tfvars")
    (checkout.folder / "config.tfvars").symlink_to("../.git/config")

    with pytest.raises(SourceError) as refused:
        named_files.find(checkout, [name], "variable file", bare_room)

    assert refused.value.code == code
    assert Path(name).name in refused.value.message
