import json
import os
import shutil
from pathlib import Path

import pytest

from runner.errors import ToolError
from runner.tools import tool
from tests.support import rooms


def fake_tool(file: Path, version: str) -> None:
    """A program that prints what a tool of this version prints."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\necho '{json.dumps({'terraform_version': version})}'\n")
    file.chmod(0o755)


def test_a_tool_in_the_tools_folder_comes_before_the_one_on_path(short_root: Path) -> None:
    fake_tool(short_root / "terraform" / "1.2.3" / "terraform", "1.2.3")

    found = tool.find("terraform", None, short_root)

    assert (found.version, found.origin) == ((1, 2, 3), "tools folder")


def test_the_newest_version_in_the_tools_folder_is_the_default(short_root: Path) -> None:
    for version in ("1.9.0", "1.10.1", "1.2.3"):
        fake_tool(short_root / "tofu" / version / "tofu", version)

    assert tool.find("tofu", None, short_root).version == (1, 10, 1)


@pytest.mark.parametrize(
    ("asked", "found"), [("1.9.8", (1, 9, 8)), ("1.9", (1, 9, 8)), ("1", (1, 10, 1))]
)
def test_a_version_can_be_asked_for_in_full_or_in_part(
    short_root: Path, monkeypatch: pytest.MonkeyPatch, asked: str, found: tuple[int, int, int]
) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    for version in ("1.9.0", "1.10.1", "1.9.8"):
        fake_tool(short_root / "tofu" / version / "tofu", version)

    assert tool.find("tofu", asked, short_root).version == found


def test_the_newest_version_that_fits_wins_wherever_it_is(
    short_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{short_root / 'bin'}:{os.defpath}")
    fake_tool(short_root / "bin" / "tofu", "1.10.3")
    for version in ("1.9.0", "1.11.0-rc1"):
        fake_tool(short_root / "tools" / "tofu" / version / "tofu", version)

    found = {
        asked: tool.find("tofu", asked, short_root / "tools").origin
        for asked in ("latest", ">= 1.9, < 2", "~> 1.9.0", "1", "1.11.0-rc1")
    }

    assert found == {
        "latest": "PATH",
        ">= 1.9, < 2": "PATH",
        "~> 1.9.0": "tools folder",
        "1": "PATH",
        "1.11.0-rc1": "tools folder",
    }


def test_a_broken_program_does_not_stop_the_search_for_a_version(
    short_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    fake_tool(short_root / "tofu" / "1.9.0" / "tofu", "1.9.0")
    (short_root / "tofu" / "1.9.9").mkdir()
    (short_root / "tofu" / "1.9.9" / "tofu").write_text("#!/bin/sh\nexit 1\n")
    (short_root / "tofu" / "1.9.9" / "tofu").chmod(0o755)

    assert tool.find("tofu", "1.9", short_root).version == (1, 9, 0)

    with pytest.raises(ToolError) as refused:
        tool.find("tofu", "1.10", short_root)

    assert refused.value.code == "tool-broken"


def test_what_is_being_installed_is_no_tool_yet(
    short_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    fake_tool(short_root / "tofu" / ".1.9.0.part" / "tofu", "1.9.0")

    with pytest.raises(ToolError) as refused:
        tool.find("tofu", None, short_root)

    assert refused.value.code == "tool-not-installed"


def test_a_tools_folder_may_hold_the_program_itself(short_root: Path) -> None:
    fake_tool(short_root / "tofu", "1.8.0-rc1")

    assert tool.find("tofu", None, short_root).version == (1, 8, 0)


def test_a_version_that_is_not_there_is_refused_with_those_that_are(short_root: Path) -> None:
    fake_tool(short_root / "tofu" / "1.9.8" / "tofu", "1.9.8")

    with pytest.raises(ToolError, match=r"1\.9\.8") as refused:
        tool.find("tofu", "1.99.0", short_root)

    assert refused.value.code == "tool-version-not-installed"


def test_a_missing_tool_is_an_error_that_says_what_to_do(
    short_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(short_root))

    with pytest.raises(ToolError, match="tools/tofu/VERSION") as refused:
        tool.find("tofu", None, short_root / "tools")

    assert refused.value.code == "tool-not-installed"


@pytest.mark.parametrize("version", ["../../etc", "auto", "1.2.3; rm", "", "1.2.3.4"])
def test_a_version_that_is_none_is_refused(short_root: Path, version: str) -> None:
    with pytest.raises(ToolError) as refused:
        tool.find("terraform", version, short_root)

    assert refused.value.code == "tool-version-invalid"


def test_a_program_that_is_no_tool_is_named_and_left_out_of_the_list(short_root: Path) -> None:
    (short_root / "tofu").write_text("#!/bin/sh\necho no such thing >&2\nexit 1\n")
    (short_root / "tofu").chmod(0o755)

    with pytest.raises(ToolError, match="no such thing") as refused:
        tool.find("tofu", None, short_root)

    assert refused.value.code == "tool-broken"
    assert not [t for t in tool.available(short_root) if t.origin == "tools folder"]


def test_a_tool_that_was_replaced_tells_its_new_version(short_root: Path) -> None:
    fake_tool(short_root / "tofu", "1.8.0")
    first = tool.find("tofu", None, short_root).version

    fake_tool(short_root / "tofu", "1.9.0")
    os.utime(short_root / "tofu", ns=(1, 1))

    assert (first, tool.find("tofu", None, short_root).version) == ((1, 8, 0), (1, 9, 0))


def test_without_a_tool_on_path_the_terraform_of_the_wheel_runs(
    short_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(short_root))

    found = tool.find("terraform", None, None)

    assert found.origin == "wheel"
    assert found.version >= (1, 6, 0)


def shim(file: Path, starts: Path) -> None:
    """A script as version managers put it on PATH."""
    file.write_text(f'#!/bin/sh\nexec {starts} "$@"\n')
    file.chmod(0o755)


def test_a_shim_that_starts_a_hidden_program_is_named_with_the_setting_that_shows_it(
    short_root: Path,
) -> None:
    fake_tool(short_root / "versions" / "tofu", "1.9.0")
    shim(short_root / "tofu", short_root / "versions" / "tofu")
    found = tool.find("tofu", "1.9", short_root)

    with (
        rooms.opened(short_root, "auto", *found.folders) as made,
        pytest.raises(ToolError, match="STATEROOM_SANDBOX_READABLE") as refused,
    ):
        tool.check_confined(found, made)

    assert refused.value.code == "tool-hidden"
    assert str(short_root / "tofu") in refused.value.message


def test_a_script_whose_interpreter_is_hidden_is_named_too(short_root: Path) -> None:
    fake_tool(short_root / "tofu", "1.9.0")
    interpreter = short_root / "sh"
    shutil.copy("/bin/sh", interpreter)
    script = (short_root / "tofu").read_text().replace("#!/bin/sh", f"#!{interpreter}")
    (short_root / "tofu").write_text(script)
    found = tool.find("tofu", None, short_root)

    with (
        rooms.opened(short_root, "auto", *found.folders) as made,
        pytest.raises(ToolError) as refused,
    ):
        tool.check_confined(found, made)

    assert refused.value.code == "tool-hidden"


def test_a_shim_whose_program_is_shown_starts(short_root: Path) -> None:
    fake_tool(short_root / "versions" / "tofu", "1.9.0")
    shim(short_root / "tofu", short_root / "versions" / "tofu")
    found = tool.find("tofu", None, short_root)

    with rooms.opened(short_root, "auto", *found.folders, short_root / "versions") as made:
        tool.check_confined(found, made)
        (short_root / "versions" / "tofu").unlink()

        tool.check_confined(found, made)  # it has started there already: not again
