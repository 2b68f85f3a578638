from __future__ import annotations

from tests.support.command_line import CommandLine
from tests.support.place import Place
from tests.support.state_address import StateAddress


def test_a_made_alias_is_printed_ready_to_paste(cli: CommandLine, place: Place) -> None:
    done = cli.run("aliases", "create", "laptop", "--access", "read-write")

    assert done.stdout.startswith('terraform {\n  backend "http" {\n')
    assert done.stdout.endswith("# terraform init\n")
    assert "stateroom-alias_" in done.stdout
    assert "shown this once" in done.stderr
    assert "stateroom-alias_" not in done.stderr


def test_the_snippet_may_be_for_tofu_or_the_environment(cli: CommandLine) -> None:
    create = ("aliases", "create", "--access", "read-only")

    tofu = cli.must(*create, "one", "--for", "tofu")
    exports = cli.must(*create, "two", "--for", "environment")

    assert tofu.endswith("# tofu init\n# tofu plan -lock=false\n")
    assert "export TF_HTTP_UNLOCK_ADDRESS='http" in exports


def test_a_program_reads_the_password_where_a_person_does_not(
    cli: CommandLine, place: Place
) -> None:
    [made] = cli.json("aliases", "create", "robot", "--access", "read-only")

    path = made["address"].removeprefix(place.wire.url)
    assert StateAddress(place.wire, path, place.api.token).read().status == 404
    assert made["password"].startswith("stateroom-alias_")


def test_aliases_are_listed_and_shown_without_their_password(cli: CommandLine) -> None:
    [made] = cli.json(
        "aliases", "create", "laptop", "--access", "read-only", "--expires-in-days", "3"
    )

    [listed] = cli.table("aliases", "list")
    shown = cli.must("aliases", "show", "laptop")

    assert (listed["NAME"], listed["ACCESS"]) == ("laptop", "read-only")
    assert (listed["KEY"], listed["LAST USED"], listed["REVOKED"]) == ("-", "-", "-")
    assert listed["EXPIRES"] == made["expires_at"][:19].replace("T", " ") + "Z"
    assert listed["ADDRESS"] == made["address"]
    assert f"id:        {made['id']}\n" in shown
    assert f"username:  {made['username']}\n" in shown
    assert 'password       = "YOUR_PASSWORD"' in shown
    assert made["password"] not in shown


def test_an_alias_with_a_stored_key_says_whose_password_it_takes(
    cli: CommandLine, place: Place
) -> None:
    place.api.post(
        f"/projects/{place.project}/keys",
        kind="password", name="team", username="ann", password="correct horse",
    )  # fmt: skip

    done = cli.run("aliases", "create", "team", "--access", "read-only", "--key", "team")

    assert 'username       = "ann"' in done.stdout
    assert "that of the key team" in done.stderr
    assert cli.table("aliases", "list")[0]["KEY"] == "team"


def test_a_revoked_alias_is_closed(cli: CommandLine) -> None:
    cli.must("aliases", "create", "laptop", "--access", "read-only")

    done = cli.run("aliases", "revoke", "laptop")

    assert (done.exit_code, done.stderr) == (0, "The alias laptop is revoked.\n")
    assert cli.table("aliases", "list")[0]["REVOKED"] != "-"
    assert cli.run("aliases", "revoke", "laptop").exit_code == 1
