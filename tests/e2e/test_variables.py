"""Real runs with variables of every type and from every source."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest

from tests.support.place import Place

SECRET = "first-line-of-a-key\nsecond-line-of-a-key\n"
MODULE = """\
variable "number" {}
variable "bool" {}
variable "list" {}
variable "text" {}
variable "zones" {}
variable "stage" {}
variable "region" {}
variable "key" {}

resource "terraform_data" "x" {
  provisioner "local-exec" {
    command = <<EOT
      stat -c 'mode=%a' "$KEY_FILE"; cat "$KEY_FILE" ${var.key}
    EOT
  }
}

output "all" {
  value = {
    number = var.number, bool = var.bool, list = var.list, text = var.text
    zones = var.zones, stage = var.stage, region = var.region
    key = sha256(file(var.key))
  }
}
"""
SURVEY = [
    {"name": "zones", "type": "choices", "choices": ["a", "b", "${c}"]},
    {"name": "stage", "type": "choice", "choices": ["dev", "prod"], "default": "dev"},
]


@pytest.fixture
def place(run_place: Callable[..., Place]) -> Place:
    return run_place({"main.tf": MODULE, "terraform.tfvars": 'text = "of the repository"\n'})


def test_a_run_gets_each_type_from_the_strongest_source(place: Place) -> None:
    project = f"/projects/{place.project}"
    place.api.patch(f"{project}/templates/module", survey=SURVEY)
    for name in ("common", "prod"):
        place.api.post(f"{project}/variable-sets", name=name)
        for variable in ("region", "text", "number"):
            path = f"{project}/variable-sets/{name}/variables"
            place.api.post(path, name=variable, value=f"of {name}")
    place.api.patch(f"{project}/workspaces/first", variable_sets=["common", "prod"])
    place.set_variable("number", "-2.5", type="number")
    place.set_variable("bool", "true", type="bool")
    place.set_variable("list", '["a", 1]', type="hcl")
    place.set_variable("text", "of the workspace")
    for name, kind in (("key", "terraform"), ("KEY_FILE", "environment")):
        place.set_variable(name, SECRET, kind=kind, type="file", sensitive=True)

    answers = [{"name": "zones", "value": '["${c}", "a"]'}, {"name": "text", "value": "5"}]
    run = place.queue("apply", variables=answers)
    run.wait("applied")

    assert place.state.read().json()["outputs"]["all"]["value"] == {
        "number": -2.5, "bool": True, "list": ["a", 1], "text": "5", "zones": ["a", "${c}"],
        "stage": "dev", "region": "of prod",
        "key": sha256(SECRET.encode()).hexdigest(),
    }  # fmt: skip
    log = run.log()
    assert "mode=600" in log
    assert "line-of-a-key" not in log


TELLING = """\
terraform {
  cloud {
    organization = "acme"
    workspaces { name = "x" }
  }
}

resource "terraform_data" "x" {
  provisioner "local-exec" {
    command = "env | sed -n 's/^\\\\(TF_TOKEN_[a-z_]*\\\\)=.*/got \\\\1/p'"
  }
}
"""


def test_the_token_of_a_registry_reaches_the_tool_and_that_of_the_sources_backend_does_not(
    run_place: Callable[..., Place],
) -> None:
    place = run_place({"main.tf": TELLING})
    place.api.patch(f"/projects/{place.project}/templates/module", backend_mode="override")
    for host in ("app_terraform_io", "registry_example_com"):
        name = f"TF_TOKEN_{host}"
        place.set_variable(name, "a-long-token", kind="environment", sensitive=True)

    run = place.queue("apply", start_empty=True)
    ended = run.wait("applied")

    assert "got TF_TOKEN_registry_example_com" in run.log()
    assert "got TF_TOKEN_app_terraform_io" not in run.log()
    assert any("TF_TOKEN_app_terraform_io is not passed" in said for said in ended["warnings"])


FILES = """\
variable "region" {}
variable "size" {}
variable "stage" {}
variable "own" {}

output "all" {
  value = "${var.region} ${var.size} ${var.stage} ${var.own}"
}
"""


def test_files_of_the_repository_win_over_its_defaults_and_lose_to_what_is_set_here(
    run_place: Callable[..., Place],
) -> None:
    place = run_place(
        {
            "net/main.tf": FILES,
            "net/terraform.tfvars": 'region = "default"\nsize = "default"\nown = "default"\n',
            "net/envs/prod.tfvars": 'region = "prod"\nsize = "prod"\nstage = "prod"\n',
            "common.tfvars.json": '{"region": "common", "stage": "common"}',
        }
    )
    project = f"/projects/{place.project}"
    template = f"{project}/templates/module"
    place.api.patch(template, path="net", variable_files=["../common.tfvars.json"])
    place.api.patch(f"{project}/workspaces/first", variable_files=["envs/prod.tfvars"])
    place.set_variable("stage", "here")

    place.queue("apply").wait("applied")

    document = place.state.read().json()
    assert document["outputs"]["all"]["value"] == "prod prod here default"


def test_a_file_that_is_not_in_the_repository_is_named(run_place: Callable[..., Place]) -> None:
    place = run_place({"main.tf": ""})
    files = ["envs/prod.tfvars"]
    place.api.patch(f"/projects/{place.project}/templates/module", variable_files=files)

    ended = place.queue("plan").wait("errored")

    assert ended["error"]["code"] == "named-file-missing"
    assert "envs/prod.tfvars" in ended["error"]["message"]


EPHEMERAL = """\
variable "token" {
  ephemeral = true
}
variable "plain" {}

resource "terraform_data" "x" {
  input = var.plain
  provisioner "local-exec" {
    command = "test $TOKEN = from-a-file"
    environment = { TOKEN = var.token }
  }
}
"""


def test_an_ephemeral_variable_of_a_file_is_there_when_the_plan_is_applied(
    run_place: Callable[..., Place],
) -> None:
    place = run_place({"main.tf": EPHEMERAL, "prod.tfvars": 'token = "from-a-file"\nplain = "x"\n'})
    files = ["prod.tfvars"]
    place.api.patch(f"/projects/{place.project}/templates/module", variable_files=files)

    place.queue("apply").wait("applied")
