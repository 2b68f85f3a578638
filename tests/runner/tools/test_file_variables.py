import stat
from pathlib import Path

import pytest

from runner.errors import ToolError
from runner.job import Variable
from runner.processes.room import Room
from runner.processes.workdir import WorkDir
from runner.tools import file_variables


def test_the_value_is_in_a_file_and_the_variable_is_its_path(
    work_dir: WorkDir, bare_room: Room
) -> None:
    key = Variable("CREDENTIALS", "line one\nline two\n", "environment", True, "file")
    other = Variable("region", "eu")

    placed, same = file_variables.place((key, other), work_dir, bare_room)

    path = Path(placed.value)
    assert path.read_text() == "line one\nline two\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert (placed.name, placed.kind, placed.type) == ("CREDENTIALS", "environment", "string")
    assert same is other


def test_one_of_terraform_and_one_of_the_environment_have_files_of_their_own(
    work_dir: WorkDir, bare_room: Room
) -> None:
    given = [Variable("A", kind, kind, type="file") for kind in ("terraform", "environment")]

    placed = file_variables.place(tuple(given), work_dir, bare_room)

    assert [Path(v.value).read_text() for v in placed] == ["terraform", "environment"]


@pytest.mark.parametrize("name", ["../x", "a/b", ".."])
def test_a_name_that_is_no_file_name_is_refused(
    work_dir: WorkDir, bare_room: Room, name: str
) -> None:
    with pytest.raises(ToolError) as refused:
        file_variables.place((Variable(name, "x", type="file"),), work_dir, bare_room)

    assert refused.value.code == "variable-invalid"
