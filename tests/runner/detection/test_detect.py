"""The verdict on a root module, as the tools would see it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from runner.detection import config_files
from runner.detection.detect import Surroundings, Verdict, inspect
from runner.errors import DetectionError
from runner.job import ToolName
from tests.runner.detection.detection_variants import HIT, PLAIN, VARIANTS, backend, local_then
from tests.support.project import ROOT

CASES = ROOT / "tests" / "cases" / "detection"
TOOLS: tuple[ToolName, ...] = ("terraform", "tofu")


def module(folder: Path, **files: str) -> Path:
    """A folder with these files; an underscore pair in a name is a dot."""
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("case", sorted(p.name for p in CASES.iterdir()))
def test_every_recorded_case_gets_the_verdict_that_the_tools_gave(
    case: str, tool: ToolName
) -> None:
    recorded = json.loads((CASES / case / "expected.json").read_text())
    root, expected = CASES / case / "input", recorded["verdicts"][tool]

    verdict = inspect(root / recorded.get("path", "."), tool, around=Surroundings(root))

    assert str(verdict) == expected
    assert verdict.explicit == (expected not in {"none", "empty"})
    if "file" in recorded:
        assert (verdict.file, verdict.line) == (recorded["file"], recorded["line"])


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("name", VARIANTS)
def test_no_trap_in_a_configuration_changes_the_verdict(
    name: str, tool: ToolName, tmp_path: Path
) -> None:
    variant = VARIANTS[name]

    verdict = inspect(variant.create(tmp_path / "module"), tool)

    assert str(verdict) == variant.expected(tool)


def test_all_the_recorded_cases_are_here() -> None:
    assert len(list(CASES.iterdir())) == 46
    assert (CASES / "25_symlink/input/backend.tf").is_symlink()


def test_the_verdict_names_the_file_and_the_line_of_the_block(tmp_path: Path) -> None:
    module(
        tmp_path, main__tf=PLAIN, net__tf="# one\r\n\r\nterraform {\r\n\r\n  cloud {\r\n}\r\n}\r\n"
    )

    verdict = inspect(tmp_path, "terraform")

    assert verdict == Verdict("cloud", None, "net.tf", 5, "cloud")
    assert verdict.where == "net.tf:5"


def test_the_line_is_right_in_json_too(tmp_path: Path) -> None:
    module(tmp_path, main__tf__json='{\n"terraform": {\n"backend": [\n{"s3": {}}\n]}}')

    verdict = inspect(tmp_path, "terraform")

    assert (str(verdict), verdict.where) == ("backend:s3", "main.tf.json:4")


def test_a_conflict_names_both_places(tmp_path: Path) -> None:
    module(tmp_path, a__tf=HIT, b__tf=backend("other"))

    verdict = inspect(tmp_path, "terraform")

    assert str(verdict) == "conflict"
    assert verdict.where == "b.tf:2"
    assert verdict.why == 'backend "hit" at a.tf:2 and backend "other" at b.tf:2'


def test_a_local_backend_comes_with_the_warning_that_its_state_is_lost(tmp_path: Path) -> None:
    module(tmp_path, a__tf=backend("local"))

    (warning,) = inspect(tmp_path, "terraform").warnings

    assert "a.tf:2" in warning


def test_tofu_before_1_8_reads_no_tofu_files(tmp_path: Path) -> None:
    module(tmp_path, a__tf=HIT, a__tofu=PLAIN)

    assert str(inspect(tmp_path, "tofu", (1, 7, 9))) == "backend:hit"
    assert str(inspect(tmp_path, "tofu", (1, 8, 0))) == "none"


def test_a_folder_that_is_not_there_is_an_error_of_its_own(tmp_path: Path) -> None:
    for folder in (tmp_path / "gone", Path(__file__), tmp_path / "a\0b"):
        with pytest.raises(DetectionError) as caught:
            inspect(folder, "terraform")

        assert caught.value.code == "folder-unreadable"


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    module(tmp_path, main__tf=PLAIN)
    os.mkfifo(tmp_path / "pipe.tf")

    verdict = inspect(tmp_path, "terraform")

    assert (str(verdict), verdict.where) == ("unreadable", "pipe.tf")
    assert verdict.why == "it is not a regular file"


def test_a_link_to_a_device_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "zero.tf").symlink_to("/dev/zero")

    assert str(inspect(tmp_path, "terraform")) == "unreadable"


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a.tf").symlink_to("b.tf")
    (tmp_path / "b.tf").symlink_to("a.tf")

    assert str(inspect(tmp_path, "terraform")) == "unreadable"


def test_a_link_that_leaves_the_folder_is_read_as_the_tools_do_and_warned_about(
    tmp_path: Path,
) -> None:
    module(tmp_path, shared=HIT)
    folder = tmp_path / "module"
    folder.mkdir()
    (folder / "b.tf").symlink_to("../shared")

    verdict = inspect(folder, "terraform")

    assert str(verdict) == "backend:hit"
    assert verdict.warnings == ("b.tf is a link that leaves the folder",)


def test_a_file_too_large_to_read_is_unreadable_at_once(tmp_path: Path) -> None:
    module(tmp_path, main__tf=PLAIN)
    with (tmp_path / "huge.tf").open("wb") as stream:
        stream.truncate(config_files.MAX_BYTES * 1000)

    verdict = inspect(tmp_path, "terraform")

    assert (str(verdict), verdict.where) == ("unreadable", "huge.tf")


def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    module(tmp_path, main__tf=HIT)
    (tmp_path / "main.tf").chmod(0)

    assert str(inspect(tmp_path, "terraform")) == "unreadable"


def test_names_that_are_no_text_are_safe_to_store_and_to_print(tmp_path: Path) -> None:
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\x1b[2J.tf"))).write_text(
        backend("x\\u001b[2J\\u202e")
    )

    verdict = inspect(tmp_path, "terraform")

    assert str(verdict) == "backend:x\\x1b[2J\\u202e"
    assert str(verdict.file).isprintable()
    str(verdict.file).encode()


HOSTILE = {
    "nested braces": "x = " + "{" * 400_000,
    "nested interpolations": 'x = "' + '${"' * 200_000,
    "nested parentheses in a block": "terraform {\n backend = "
    + "(" * 30_000
    + ")" * 30_000
    + "\n}\n",
    "shifts": "terraform { backend " + "<" * 800_000,
    "open heredocs": "terraform { backend\n" + "x = <<a\n" * 100_000,
    "open remarks": "terraform backend " + "/*" * 400_000,
    "quotes": "terraform backend " + '"' * 799_999,
    "dollars": 'terraform backend = "' + "$" * 800_000 + '"',
    "openings without an end": "terraform {\n" * 60_000 + "bac kend",
    "many blocks": "terraform {\n  required_version = 1 + 1 # backend\n}\n" * 15_000,
    "many backends": 'terraform {\nbackend "s3" {}\n}\n' * 25_000,
    "a long line": "terraform backend " + "a" * 800_000,
    "a long escape": 'terraform {\n backend "' + "\\u0061" * 130_000 + '" {}\n}\n',
}
HOSTILE_JSON = {
    "nested arrays": '{"backend":' + "[" * 400_000,
    "nested arrays that end": '{"backend":' + "[" * 200_000 + "]" * 200_000 + "}",
    "nested objects": '{"backend":' * 80_000,
    "an open string": '{"backend":"' + "\\" * 800_000,
    "empty objects": '{"terraform":{"backend":{"s3":[' + "{}," * 250_000 + "{}]}}}",
    "a long number": '{"backend":' + "1" * 800_000 + "}",
    "space": '{"backend":' + " " * 800_000,
}


# the slowest take half a second; with one careless pattern they took minutes
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", [*HOSTILE, *HOSTILE_JSON])
def test_a_hostile_file_is_read_in_time(name: str, tmp_path: Path) -> None:
    if name in HOSTILE:
        module(tmp_path, main__tf="# terraform backend\n" + HOSTILE[name])
    else:
        module(tmp_path, main__tf__json=HOSTILE_JSON[name])

    inspect(tmp_path, "terraform")


def test_what_a_hostile_file_makes_us_keep_is_bounded(tmp_path: Path) -> None:
    module(tmp_path, main__tf='terraform {\nbackend "s3" {}\n}\n' * 5_000 + "backend" + '"' * 9_999)
    tracemalloc.start()

    inspect(tmp_path, "terraform")

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 1024 * 1024


def test_python_hcl2_is_not_loaded_for_a_folder_without_a_candidate(tmp_path: Path) -> None:
    module(tmp_path, main__tf=PLAIN, backend__tf=local_then('"cloud"').split("terraform")[0])
    code = (
        "import sys, pathlib; from runner.detection.detect import inspect;"
        f"assert str(inspect(pathlib.Path({str(tmp_path)!r}), 'terraform')) == 'none';"
        "assert 'hcl2' not in sys.modules"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)

    assert done.returncode == 0
