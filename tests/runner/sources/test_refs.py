"""By their names alone, some refs may run, some may not, and of some the repository has to tell."""

from __future__ import annotations

import pytest

from runner.errors import SourceError
from runner.job import RefRules
from runner.sources.refs import ANY, OWN, Permission, judge

COMMIT = "c" * 40


def refused(ref: str, rules: RefRules) -> str:
    with pytest.raises(SourceError) as error:
        judge(ref, rules)
    assert error.value.code == "ref-not-allowed"
    return error.value.message


@pytest.mark.parametrize(
    ("own", "ref", "checked_out"),
    [
        (None, None, None),
        ("main", None, "main"),
        ("main", "main", "main"),
        ("main", "refs/heads/main", "refs/heads/main"),
        ("refs/heads/main", "main", "refs/heads/main"),
        ("refs/tags/v1", "v1", "refs/tags/v1"),
        ("refs/pull/1/head", None, "refs/pull/1/head"),
        (COMMIT, COMMIT, COMMIT),
    ],
)
def test_a_template_runs_its_own_ref(
    own: str | None, ref: str | None, checked_out: str | None
) -> None:
    assert judge(ref, RefRules(own)) == Permission(checked_out, OWN)


@pytest.mark.parametrize("own", [None, "main", "refs/heads/main", COMMIT])
@pytest.mark.parametrize(
    "ref",
    [
        "feature",
        "Main",
        "heads/main",
        "mainx",
        "refs/heads/feature",
        "refs/pull/1/head",
        "refs/merge-requests/1/head",
        "refs/changes/01/1/1",
        "pull/1/head",
        "HEAD",
    ],
)
def test_another_ref_is_refused(own: str | None, ref: str) -> None:
    assert ref in refused(ref, RefRules(own))


def test_a_refusal_says_what_is_allowed_and_how_to_allow_more() -> None:
    said = refused("feature", RefRules("main", ("release/*",)))

    assert "its own ref main, release/*" in said
    assert "--allow-ref" in said
    assert "Leave the ref out" in refused("main", RefRules(None))


@pytest.mark.parametrize("ref", [COMMIT, "d" * 64, "abc1234", "2024"])
def test_of_a_commit_the_repository_has_to_tell(ref: str) -> None:
    assert judge(ref, RefRules("main", ("release/*",))) == Permission(ref, None)


@pytest.mark.parametrize(
    ("pattern", "ref", "checked_out"),
    [
        ("release/*", "release/1.2", "refs/heads/release/1.2"),
        ("release/*", "refs/heads/release/1.2", "refs/heads/release/1.2"),
        ("release/**", "release/1/2", "refs/heads/release/1/2"),
        ("refs/tags/v*", "v1.0", "refs/tags/v1.0"),
        ("20*", "2024", "refs/heads/2024"),
        ("a.b", "a.b", "refs/heads/a.b"),
        ("refs/pull/*/head", "refs/pull/7/head", "refs/pull/7/head"),
    ],
)
def test_a_pattern_allows_what_it_matches_and_says_of_which_kind(
    pattern: str, ref: str, checked_out: str
) -> None:
    rule = pattern if pattern.startswith("refs/") else f"refs/heads/{pattern}"

    assert judge(ref, RefRules("main", (pattern,))) == Permission(checked_out, rule)


@pytest.mark.parametrize(
    ("pattern", "ref"),
    [
        ("release/*", "release/1/2"),
        ("release/*", "refs/tags/release/1"),
        ("release/*", "prerelease/1"),
        ("a.b", "axb"),
        ("refs/tags/v*", "refs/heads/v1"),
        ("refs/pull/*/head", "refs/pull/7/merge"),
        ("own", "other"),
    ],
)
def test_a_pattern_allows_nothing_else(pattern: str, ref: str) -> None:
    refused(ref, RefRules("main", (pattern,)))


def test_a_name_that_may_be_a_branch_or_a_tag_stays_open() -> None:
    rules = RefRules("main", ("v*", "refs/tags/v*"))

    assert judge("v1", rules) == Permission("v1", "refs/heads/v*")


def test_any_allows_every_name_and_of_a_commit_asks_the_repository() -> None:
    rules = RefRules("main", (ANY,))

    assert judge("refs/pull/7/head", rules) == Permission("refs/pull/7/head", ANY)
    assert judge("feature", rules) == Permission("feature", ANY)
    assert judge(COMMIT, rules) == Permission(COMMIT, None)


@pytest.mark.parametrize("ref", [None, "feature", "refs/heads/x", "refs/tags/x", COMMIT])
def test_a_branch_a_tag_and_their_commits_are_merged(ref: str | None) -> None:
    assert judge(ref, RefRules("main", (ANY,))).is_merged


@pytest.mark.parametrize(
    "ref",
    [
        "refs/pull/7/head",
        "refs/merge-requests/7/head",
        "refs/pull-requests/7/from",
        "refs/changes/01/1/1",
        "refs/keep-around/abc",
        "refs/headsx/a",
    ],
)
def test_whatever_is_neither_a_branch_nor_a_tag_counts_as_a_pull_request(ref: str) -> None:
    assert not judge(ref, RefRules("main", (ANY,))).is_merged


def test_a_templates_own_pull_request_is_one_too() -> None:
    assert not judge(None, RefRules("refs/pull/1/head")).is_merged
