from __future__ import annotations

from tests.support.command_line import CommandLine
from tests.support.place import Place


def test_an_issued_token_is_all_that_is_printed(cli: CommandLine, place: Place) -> None:
    done = cli.run(
        "tokens", "issue", "ci", "-p", place.project, "--scope", "state:read",
        "--scope", "runs:read", "--expires-in-days", "30",
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    assert "shown once" in done.stderr
    who = cli.run("tokens", "whoami", STATEROOM_TOKEN=done.stdout.strip())
    assert "name:    ci\n" in who.stdout
    assert "scopes:  runs:read state:read\n" in who.stdout


def test_tokens_are_listed_shown_and_revoked(cli: CommandLine, place: Place) -> None:
    [made] = cli.json("tokens", "issue", "ci", "-p", place.project, "--scope", "state:read")

    [listed] = cli.table("tokens", "list", "-p", place.project)
    shown = cli.must("tokens", "show", made["id"], "-p", place.project)
    revoked = cli.run("tokens", "revoke", made["id"], "-p", place.project)

    assert (listed["ID"], listed["NAME"], listed["SCOPES"]) == (made["id"], "ci", "state:read")
    assert listed["EXPIRES"] == "-"
    assert made["secret"] not in shown
    assert revoked.stderr == f"The token {made['id']} is revoked.\n"
    assert cli.run("tokens", "whoami", STATEROOM_TOKEN=made["secret"]).exit_code == 1
    assert cli.table("tokens", "list", "-p", place.project)[0]["REVOKED"] != "-"


def test_an_administrator_issues_and_lists_tokens_of_the_installation(cli: CommandLine) -> None:
    [made] = cli.json("tokens", "issue", "backup", "--scope", "state:read")

    assert made["project_id"] is None
    assert made["id"] in {row["ID"] for row in cli.table("tokens", "list")}
    cli.must("tokens", "revoke", made["id"])
