"""The generated file: when there is one, how it is called, what is in it, how it is written."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from runner.detection.config_files import Version
from runner.detection.detect import inspect
from runner.detection.override import Override, plan_override, render, write
from runner.errors import DetectionError
from runner.job import Backend, BackendMode, ToolName
from tests.runner.detection.detection_variants import CLOUD, HIT, PLAIN, backend

ADDRESS = "https://rooms.example/api/terraform/state/net/prod"
BACKEND = Backend(ADDRESS, ADDRESS, ADDRESS, "run-1", "secret-of-the-run")
TWINS = ("tf", "tf.json", "tofu", "tofu.json")


def plan(
    folder: Path,
    mode: BackendMode = "auto",
    tool: ToolName = "terraform",
    version: Version | None = None,
    name: str | None = None,
) -> Override | None:
    verdict = inspect(folder, tool, version)
    return plan_override(folder, tool, version, verdict, mode, BACKEND, name)


def planned_name(folder: Path, tool: ToolName = "terraform", name: str | None = None) -> str:
    override = plan(folder, "override", tool, name=name)
    assert override is not None
    return override.file_name


def refused(folder: Path, mode: BackendMode = "auto", name: str | None = None) -> DetectionError:
    with pytest.raises(DetectionError) as caught:
        plan(folder, mode, name=name)
    return caught.value


def files(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_auto_injects_when_the_sources_configure_nothing(tmp_path: Path) -> None:
    override = plan(files(tmp_path, main__tf=PLAIN))

    assert override is not None
    assert override.file_name == "zz_backend_override.tf"
    assert override.text == (
        'terraform {\n  backend "http" {\n'
        f'    address        = "{ADDRESS}"\n'
        f'    lock_address   = "{ADDRESS}"\n'
        f'    unlock_address = "{ADDRESS}"\n'
        "  }\n}\n"
    )


@pytest.mark.parametrize("text", [HIT, CLOUD, 'terraform {\n  state_store "x" {\n  }\n}\n'])
def test_auto_leaves_the_sources_own_backend_alone(text: str, tmp_path: Path) -> None:
    assert plan(files(tmp_path, main__tf=text)) is None


@pytest.mark.parametrize("text", [PLAIN, HIT, CLOUD])
def test_override_injects_over_anything_and_says_what_it_replaces(
    text: str, tmp_path: Path
) -> None:
    override = plan(files(tmp_path, main__tf=text), "override")

    assert override is not None
    assert bool(override.warnings) == (text != PLAIN)
    assert all("main.tf:2" in warning for warning in override.warnings)


@pytest.mark.parametrize("text", [PLAIN, HIT, HIT + HIT, '"\n' + HIT])
def test_off_never_injects(text: str, tmp_path: Path) -> None:
    assert plan(files(tmp_path, main__tf=text), "off") is None


@pytest.mark.parametrize("mode", ["auto", "override", "off"])
def test_a_folder_without_configuration_is_an_error_in_every_mode(
    mode: BackendMode, tmp_path: Path
) -> None:
    error = refused(files(tmp_path, README__md="x"), mode)

    assert error.code == "nothing-to-run"
    assert "path" in error.message


@pytest.mark.parametrize("mode", ["auto", "override"])
def test_a_conflict_stops_the_run_and_names_both_places(mode: BackendMode, tmp_path: Path) -> None:
    error = refused(files(tmp_path, a__tf=HIT, b__tf=CLOUD), mode)

    assert error.code == "backend-conflict"
    assert 'backend "hit" at a.tf:2 and cloud at b.tf:2' in error.message


def test_no_override_rescues_a_state_store(tmp_path: Path) -> None:
    folder = files(tmp_path, a__tf='terraform {\n  state_store "x" {\n  }\n}\n', o_override__tf=HIT)

    assert refused(folder, "override").code == "state-store"


def test_auto_refuses_to_guess_about_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    folder = files(tmp_path, a__tf='"\n' + HIT)

    error = refused(folder)

    assert error.code == "unreadable-configuration"
    assert error.message.startswith("a.tf:3: ")
    assert plan(folder, "override") is not None


@pytest.mark.parametrize(
    ("tool", "version", "extension"),
    [
        ("terraform", (1, 15, 5), ".tf"),
        ("terraform", None, ".tf"),
        ("tofu", (1, 7, 9), ".tf"),
        ("tofu", (1, 8, 0), ".tofu"),
        ("tofu", None, ".tofu"),
    ],
)
def test_the_file_ends_in_tofu_where_the_tool_reads_that(
    tool: ToolName, version: Version | None, extension: str, tmp_path: Path
) -> None:
    override = plan(files(tmp_path, main__tf=PLAIN), "auto", tool, version)

    assert override is not None
    assert override.file_name == "zz_backend_override" + extension


@pytest.mark.parametrize("tool", ["terraform", "tofu"])
@pytest.mark.parametrize("twin", TWINS)
def test_a_taken_stem_is_not_used_in_any_extension(
    twin: str, tool: ToolName, tmp_path: Path
) -> None:
    files(tmp_path, main__tf=PLAIN, main__tofu=PLAIN)
    (tmp_path / f"zz_backend_override.{twin}").write_text("{}")

    name = planned_name(tmp_path, tool)

    assert name.startswith("zzz_backend_override.")


@pytest.mark.parametrize("tool", ["terraform", "tofu"])
@pytest.mark.parametrize(
    "rival",
    [
        *("zz_override.tf", "zz_override.tf.json", "zzz_z_override.tofu", "~_override.tf"),
        *("~~~~~~~~~_override.tf", "\U0010ffff_override.tf", "\U0010ffff" * 9 + "_override.tofu"),
    ],
)
def test_the_file_sorts_behind_every_override_file_of_the_repository(
    rival: str, tool: ToolName, tmp_path: Path
) -> None:
    files(tmp_path, main__tf=PLAIN, main__tofu=PLAIN)
    (tmp_path / rival).write_text("{}" if rival.endswith("json") else "")

    assert planned_name(tmp_path, tool).encode() > rival.encode()


def test_a_name_that_nothing_sorts_behind_is_refused(tmp_path: Path) -> None:
    files(tmp_path, main__tf=PLAIN)
    (tmp_path / "\udcff_override.tf").write_text("")

    error = refused(tmp_path)

    assert error.code == "override-name-invalid"
    assert error.message.isprintable()


def test_a_chosen_override_name_is_used(tmp_path: Path) -> None:
    files(tmp_path, main__tf=HIT)

    assert planned_name(tmp_path, name="ours_override.tf") == "ours_override.tf"
    assert planned_name(tmp_path, "tofu", name="ours_override.tofu") == "ours_override.tofu"
    assert planned_name(tmp_path, name="override.tf.json") == "override.tf.json"


def test_semaphores_name_works_only_where_nothing_is_configured(tmp_path: Path) -> None:
    files(tmp_path, main__tf=PLAIN)
    assert planned_name(tmp_path, name="backend.tf") == "backend.tf"

    files(tmp_path, main__tf=HIT)
    error = refused(tmp_path, "override", "backend.tf")

    assert error.code == "override-would-duplicate"
    assert "main.tf:2" in error.message


@pytest.mark.parametrize("twin", TWINS)
def test_a_chosen_name_that_is_taken_is_refused(twin: str, tmp_path: Path) -> None:
    files(tmp_path, main__tf=PLAIN)
    (tmp_path / f"ours_override.{twin}").write_text("{}")

    assert refused(tmp_path, name="ours_override.tf").code == "override-name-taken"


def test_a_chosen_name_that_would_lose_is_refused(tmp_path: Path) -> None:
    files(tmp_path, main__tf=PLAIN, z_override__tf=backend("theirs"))

    error = refused(tmp_path, "override", "a_override.tf")

    assert error.code == "override-name-invalid"
    assert "z_override.tf" in error.message


@pytest.mark.parametrize(
    "name",
    [
        *("../x_override.tf", "/tmp/x_override.tf", "a/x_override.tf", "", ".", "..", ".tf"),
        *(".x_override.tf", "x_override.tf~", "x_override", "x_override.hcl", "x_override.TF"),
        *("x_override.tofu", "x\n_override.tf", "x\0_override.tf", "x" * 250 + "_override.tf"),
        *("\udcff_override.tf", "#x_override.tf#"),
    ],
)
def test_a_chosen_name_that_the_tool_would_not_read_is_refused(name: str, tmp_path: Path) -> None:
    error = refused(files(tmp_path, main__tf=PLAIN), name=name)

    assert error.code == "override-name-invalid"
    assert error.message.isprintable()


def test_json_says_the_same() -> None:
    said = json.loads(render("ours_override.tf.json", BACKEND))

    assert said == {
        "terraform": {
            "backend": {
                "http": {
                    "address": ADDRESS,
                    "lock_address": ADDRESS,
                    "unlock_address": ADDRESS,
                }
            }
        }
    }


@pytest.mark.parametrize("name", ["a_override.tf", "a_override.tf.json"])
def test_the_credential_is_never_in_the_file(name: str) -> None:
    text = render(name, BACKEND)

    assert "secret" not in text
    assert "username" not in text
    assert "run-1" not in text


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = write(tmp_path, Override("zz_backend_override.tf", "text\n"))

    assert path.read_text() == "text\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_under_the_files_name_is_neither_followed_nor_replaced(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    for target in ("victim", "gone"):
        link = tmp_path / f"{target}_override.tf"
        link.symlink_to(target)

        with pytest.raises(DetectionError) as caught:
            write(tmp_path, Override(link.name, "text"))

        assert caught.value.code == "override-name-taken"
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "gone").exists()
