"""How pages show runs."""

from __future__ import annotations

import pytest

from backend.web.ui import run_shown


@pytest.mark.parametrize(
    ("repository", "address"),
    [
        ("https://github.com/team/app.git", "https://github.com/team/app/commit/{}"),
        ("https://github.com/team/app", "https://github.com/team/app/commit/{}"),
        ("git@github.com:team/app.git", "https://github.com/team/app/commit/{}"),
        ("ssh://git@gitlab.com:22/a/b/c.git", "https://gitlab.com/a/b/c/-/commit/{}"),
        ("https://codeberg.org/a/b.git", "https://codeberg.org/a/b/commit/{}"),
        ("git@bitbucket.org:a/b.git", "https://bitbucket.org/a/b/commits/{}"),
        ("https://git.example.com/team/app.git", None),
        ("https://github.com.evil.example/a/b", None),
        ("https://github.com/a/b?x=javascript:", None),
        ("javascript:alert(1)//github.com/a/b", None),
        ("/srv/git/app", None),
        (None, None),
    ],
)
def test_a_commit_is_linked_where_its_host_is_known(
    repository: str | None, address: str | None
) -> None:
    commit = "c" * 40

    found = run_shown.commit_page(repository, commit)

    assert found == (None if address is None else address.format(commit))
    assert run_shown.commit_page(repository, "x'><script>") is None


def test_commands_in_a_sentence_are_told_apart_and_can_be_copied() -> None:
    sentence = "Look: `stateroom a`. Then `stateroom b`."

    assert [*run_shown.told(sentence)] == [
        (False, "Look: "), (True, "stateroom a"), (False, ". Then "), (True, "stateroom b"),
        (False, "."),
    ]  # fmt: skip
    assert run_shown.commands(sentence) == "stateroom a\nstateroom b"


def test_counts_of_a_plan_are_short_and_nothing_is_said_of_nothing() -> None:
    assert run_shown.counts({"add": 0, "change": 0, "destroy": 0, "read": 3}) == []
    assert run_shown.counts(None) == []
    assert run_shown.more_counts({"import": 2, "outputs": 1, "move": 0}) == [
        "2 imports",
        "1 output",
    ]
    assert run_shown.counts({"add": 1200, "destroy": 1}) == [
        ("add", "+1,200"), ("change", "~0"), ("destroy", "\N{MINUS SIGN}1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b'"text"', "text"), (b'{"a": [1, 2]}', '{"a": [1, 2]}'), (b"1.50", "1.50"),
        (b'"' + b"x" * 5000 + b'"', "x" * run_shown.LONGEST + "\N{HORIZONTAL ELLIPSIS}"),
    ],
)  # fmt: skip
def test_an_output_is_its_text_or_its_json(value: bytes, shown: str) -> None:
    assert run_shown.output_text(value) == shown
