"""Files that the worker writes into the folder of a run."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from runner.processes import placed


def test_a_file_replaces_one_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("old")

    placed.place(tmp_path, PurePosixPath("folder/file"), b"new", None)

    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]
    assert (tmp_path / "folder" / "file").read_text() == "new"


def test_a_link_in_the_place_of_a_file_is_replaced_and_what_it_leads_to_is_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "file").symlink_to(tmp_path / "elsewhere")

    placed.place(tmp_path / "root", PurePosixPath("file"), b"new", None)

    assert (tmp_path / "elsewhere").read_text() == "mine"
    assert (tmp_path / "root" / "file").read_text() == "new"


def test_a_link_in_the_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "folder").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match="folder"):
        placed.place(tmp_path / "root", PurePosixPath("folder/file"), b"new", None)

    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_path_that_leaves_the_root_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not below"):
        placed.place(tmp_path, PurePosixPath("../file"), b"x", None)
