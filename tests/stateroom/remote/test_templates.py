from __future__ import annotations

import json
from pathlib import Path

from tests.support.command_line import CommandLine
from tests.support.repositories import Repository


def test_a_template_is_made_with_its_first_workspace(
    cli: CommandLine, repository: Repository
) -> None:
    cli.must("stored-keys", "add", "bot", "--username", "bot", "--password-file", "-", typed="pw")

    [made] = cli.json(
        "templates", "create", str(repository.folder),
        *("--name", "network", "--ref", "main", "--path", ".", "--tool", "tofu"),
        *("--backend-mode", "override", "--key", "bot", "--workspace", "prod"),
    )  # fmt: skip
    rows = {row["NAME"]: row["TEMPLATE"] for row in cli.table("workspaces", "list")}

    assert (made["name"], made["ref"], made["tool"]) == ("network", "main", "tofu")
    assert (made["backend_mode"], made["key"]["name"]) == ("override", "bot")
    assert rows["prod"] == "network"


def test_a_template_needs_a_repository_alone(cli: CommandLine, repository: Repository) -> None:
    cli.must("templates", "create", str(repository.folder))

    rows = {row["NAME"]: row["BACKEND"] for row in cli.table("templates", "list")}
    assert rows == {"module": "auto", "repository": "auto"}


def test_what_a_run_would_find_is_shown_before_there_is_a_template(
    cli: CommandLine, repository: Repository
) -> None:
    repository.commit({"versions.tf": 'terraform {\n  required_version = ">= 1.4"\n}\n'})
    folder = str(repository.folder)

    said = cli.must("templates", "preview", folder, "--workspace", "prod")
    [wrong] = cli.json("templates", "preview", folder, "--path", "not/there")

    assert "backend of the sources: none" in said
    assert ">= 1.4 (versions.tf:2)" in said
    assert "/prod" in said
    assert wrong["problem"]["code"] == "path-not-found"
    assert cli.table("templates", "list")[0]["NAME"] == "module"


def test_a_template_is_changed_and_deleted(cli: CommandLine, repository: Repository) -> None:
    folder = str(repository.folder)
    cli.must("templates", "create", folder, "--name", "old", "--ref", "main", "--workspace", "w")

    [changed] = cli.json("templates", "set", "old", "--name", "newer", "--ref", "none")
    [shown] = cli.json("templates", "show", "newer")
    refused = cli.run("templates", "delete", "newer")
    cli.must("workspaces", "delete", "w")
    deleted = cli.run("templates", "delete", "newer")

    assert (changed["name"], changed["ref"]) == ("newer", None)
    assert shown == changed
    assert refused.exit_code == 1
    assert deleted.stderr == "The template newer is deleted.\n"


def test_what_is_wrong_with_a_template_is_one_line(cli: CommandLine) -> None:
    nothing = cli.run("templates", "set", "module")
    unknown = cli.run("templates", "create", "https://x.example/r", "--key", "nobody")

    assert (nothing.exit_code, "Say what to change." in nothing.stderr) == (2, True)
    assert unknown.exit_code == 1
    assert unknown.stderr.count("\n") == 1


def test_the_wrappers_that_do_not_count_are_named_and_taken_away(
    cli: CommandLine, repository: Repository
) -> None:
    cli.must("templates", "create", str(repository.folder), "--name", "net")

    [named] = cli.json(
        *("templates", "set", "net", "--ignore-wrapper", "terramate"),
        *("--ignore-wrapper", "terragrunt"),
    )
    [cleared] = cli.json("templates", "set", "net", "--ignore-wrapper", "none")
    unknown = cli.run("templates", "set", "net", "--ignore-wrapper", "make")

    assert named["ignored_wrappers"] == ["terragrunt", "terramate"]
    assert cleared["ignored_wrappers"] == []
    assert unknown.exit_code == 2


def test_refs_are_allowed_and_taken_away(cli: CommandLine, repository: Repository) -> None:
    cli.must("templates", "create", str(repository.folder), "--name", "net", "--ref", "main")

    refused = cli.run("runs", "queue", "--ref", "release/1", "-w", "net")
    [allowed] = cli.json(
        *("templates", "set", "net", "--allow-ref", "release/*", "--allow-ref", "refs/tags/v*"),
        "--secrets-for-pull-requests",
    )
    queued = cli.must("runs", "queue", "--ref", "release/1", "-w", "net")
    [cleared] = cli.json(
        *("templates", "set", "net", "--allow-ref", "none", "--no-secrets-for-pull-requests")
    )

    assert refused.exit_code == 1
    assert "does not allow the ref release/1" in refused.stderr
    assert allowed["allowed_refs"] == ["release/*", "refs/tags/v*"]
    assert allowed["secrets_for_pull_requests"] is True
    assert "refs/heads/release/*" in queued
    assert (cleared["allowed_refs"], cleared["secrets_for_pull_requests"]) == ([], False)


def test_rules_are_given_as_json_or_as_a_file_and_taken_away(
    cli: CommandLine, repository: Repository, tmp_path: Path
) -> None:
    file = tmp_path / "rules.json"
    window = {"days": ["mon-thu"], "from": "09:00", "to": "17:00", "zone": "Europe/Zurich"}
    file.write_text(json.dumps({"protected": ["a.*", "**.b.c"], "windows": [window]}))
    cli.must(
        *("templates", "create", str(repository.folder), "--name", "net"),
        *("--rules", '{"allow_destroys": false, "most_destroys": 0}'),
    )

    made = cli.must("templates", "show", "net")
    [from_file] = cli.json("templates", "set", "net", "--rules", str(file))
    shown = cli.must("templates", "show", "net")
    [typed] = cli.json("templates", "set", "net", "--rules", "-", typed='{"second_person": true}')
    [cleared] = cli.json("templates", "set", "net", "--rules", "none")

    assert "allow_destroys=no most_destroys=0" in made
    assert from_file["rules"] == {"protected": ["a.*", "**.b.c"], "windows": [window]}
    assert "protected=a.*, **.b.c windows=mon-thu 09:00-17:00 Europe/Zurich" in shown
    assert typed["rules"] == {"second_person": True}
    assert cleared["rules"] == {}


def test_rules_that_are_wrong_are_refused_in_one_line(
    cli: CommandLine, repository: Repository, tmp_path: Path
) -> None:
    cli.must("templates", "create", str(repository.folder), "--name", "net")

    broken = cli.run("templates", "set", "net", "--rules", "{")
    missing = cli.run("templates", "set", "net", "--rules", str(tmp_path / "nothing"))
    unknown = cli.run("templates", "set", "net", "--rules", '{"protect": ["a.b"]}')

    assert (broken.exit_code, "no JSON" in broken.stderr) == (2, True)
    assert (missing.exit_code, "cannot be read" in missing.stderr) == (2, True)
    assert (unknown.exit_code, "Do you mean protected?" in unknown.stderr) == (1, True)
