import shutil
from pathlib import Path

import pytest

from runner.detection.detect import Verdict
from runner.errors import ToolError
from runner.job import Variable
from runner.processes.room import Room
from runner.processes.workdir import WorkDir
from runner.tools import commands
from runner.tools.environment import (
    environment,
    http_credential,
    own_credentials,
    registry_tokens,
)
from runner.tools.tool import Tool
from tests.support.tool_run import BACKEND, do, job, tool_named, write


def test_variables_that_would_lead_the_tool_astray_are_left_out_and_named(
    short_root: Path, work_dir: WorkDir, bare_room: Room
) -> None:
    names = ["TF_CLI_ARGS_init", "TF_LOG_PATH", "LD_PRELOAD", "PATH", "TF_WORKSPACE", "GIT_SSH"]
    given = [Variable(name, "/evil", kind="environment") for name in names]
    fine = Variable("AWS_REGION", "eu-central-1", kind="environment")

    made = environment(job(short_root, *given, fine), work_dir, bare_room)

    assert "/evil" not in made.values.values()
    assert made.values["AWS_REGION"] == "eu-central-1"
    assert [name for name in names if any(f" {name} " in line for line in made.warnings)] == names


def test_terraform_variables_and_our_own_settings_stay_out_of_the_environment(
    short_root: Path, work_dir: WorkDir, bare_room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_LOG", "trace")
    monkeypatch.setenv("STATEROOM_KEYRING", "the key")

    made = environment(job(short_root, Variable("password", "hunter2")), work_dir, bare_room).values

    assert "hunter2" not in made.values()
    assert {name for name in made if name.startswith("TF_")} == {
        *("TF_CLI_CONFIG_FILE", "TF_DATA_DIR", "TF_IN_AUTOMATION", "TF_INPUT"),
    }
    assert made["HOME"] == str(work_dir.home)
    assert "STATEROOM_KEYRING" not in made


def test_the_state_credential_goes_by_the_environment_when_it_is_asked_for() -> None:
    assert http_credential(BACKEND) == {
        "TF_HTTP_USERNAME": "run",
        "TF_HTTP_PASSWORD": "run-password",
    }


def test_what_opens_the_sources_own_backend_is_there_only_where_that_one_is_used(
    short_root: Path, work_dir: WorkDir, bare_room: Room
) -> None:
    names = ["TF_HTTP_PASSWORD", "TF_TOKEN_app_terraform_io", "TF_CLOUD_ORGANIZATION"]
    given = [Variable(name, "theirs", kind="environment") for name in names]
    this = job(short_root, *given, Variable("TF_HTTP_USERNAME", "a terraform variable"))

    made = environment(this, work_dir, bare_room)

    assert "theirs" not in made.values.values()
    assert own_credentials(this) == dict.fromkeys(names, "theirs")


HCP = "TF_TOKEN_app_terraform_io"
TFE = "TF_TOKEN_tfe__1_example_com"
REGISTRY = "TF_TOKEN_registry_example_com"


@pytest.mark.parametrize(
    ("verdict", "withheld"),
    [
        (Verdict("none"), set()),
        (Verdict("backend", "s3", settings={"hostname": "registry.example.com"}), set()),
        (Verdict("cloud"), {HCP}),
        (Verdict("backend", "remote"), {HCP}),
        (Verdict("cloud", settings={"hostname": "TFE-1.example.com"}), {TFE}),
        (Verdict("backend", "remote", settings={"hostname": "tfe-1.example.com"}), {TFE}),
        (Verdict("cloud", settings={"hostname": None}), {HCP, TFE, REGISTRY}),
    ],
)
def test_a_token_is_withheld_only_for_the_host_that_keeps_the_sources_state(
    short_root: Path, verdict: Verdict, withheld: set[str]
) -> None:
    names = {HCP, TFE, REGISTRY}
    given = [Variable(name, "theirs", kind="environment") for name in sorted(names)]
    others = [Variable("TF_HTTP_PASSWORD", "theirs", kind="environment")]

    tokens = registry_tokens(job(short_root, *given, *others), verdict)

    assert set(tokens) == names - withheld


def test_the_host_of_a_cloud_block_may_come_from_the_environment(short_root: Path) -> None:
    host = Variable("TF_CLOUD_HOSTNAME", "registry.example.com", kind="environment")
    given = [Variable(name, "theirs", kind="environment") for name in (HCP, REGISTRY)]
    this = job(short_root, host, *given)

    assert set(registry_tokens(this, Verdict("cloud"))) == {HCP}
    assert set(registry_tokens(this, Verdict("backend", "remote"))) == {REGISTRY}


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("A=B", "x", "variable-invalid"),
        ("A", "x\0y", "variable-invalid"),
        ("A", "x" * 131072, "variable-too-large"),
    ],
)
def test_a_variable_that_no_environment_can_hold_is_refused(
    short_root: Path, work_dir: WorkDir, bare_room: Room, name: str, value: str, code: str
) -> None:
    with pytest.raises(ToolError) as refused:
        environment(job(short_root, Variable(name, value, kind="environment")), work_dir, bare_room)

    assert refused.value.code == code


def test_a_provider_mirror_serves_what_it_has(
    any_tool: Tool, short_root: Path, work_dir: WorkDir
) -> None:
    held = short_root / "mirror" / "example.org" / "acme" / "thing" / "1.0.0" / "linux_amd64"
    held.mkdir(parents=True)
    shutil.copy("/bin/true", held / "terraform-provider-thing_v1.0.0")
    write(work_dir.checkout, "main.tf", WITH_PROVIDER)
    this = job(short_root, provider_mirror=short_root / "mirror")

    done = do(commands.init(any_tool, []), this, work_dir, any_tool)

    assert b"Installed example.org/acme/thing v1.0.0" in done.stdout, done.stderr


WITH_PROVIDER = """
terraform {
  required_providers {
    thing = { source = "example.org/acme/thing" }
  }
}
"""


def test_a_provider_that_the_mirror_has_not_in_this_version_is_an_error_without_network(
    short_root: Path, work_dir: WorkDir
) -> None:
    (short_root / "mirror" / "example.org" / "acme" / "thing").mkdir(parents=True)
    used = tool_named("terraform")
    write(work_dir.checkout, "main.tf", WITH_PROVIDER)

    done = do(
        commands.init(used, []),
        job(short_root, provider_mirror=short_root / "mirror"),
        work_dir,
        used,
    )

    assert b"Failed to query available provider packages" in done.stderr


def test_a_mirror_that_is_not_there_is_said(
    short_root: Path, work_dir: WorkDir, bare_room: Room
) -> None:
    with pytest.raises(ToolError) as refused:
        environment(job(short_root, provider_mirror=short_root / "nowhere"), work_dir, bare_room)

    assert refused.value.code == "provider-mirror-missing"
