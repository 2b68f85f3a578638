"""What is shown of values: nothing that is marked, no secret, and not too much."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import ToolError
from runner.plans.hiding import HIDDEN, LONGEST, MOST
from runner.plans.values import Values
from tests.support.plans import counts, plan_json, read_plan, resource, values_of

CANARY = "canary-3f9a1c77"


def shown(secrets: tuple[str, ...] = (), **change: Any) -> Values:
    return values_of(read_plan(plan_json(resource(**change)), secrets=secrets), "a.b")


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.text(max_size=12), st.just(CANARY)
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def all_canaries(value: Any) -> Any:
    """The marks of a value, as the tools write them, of every canary in it."""
    if isinstance(value, dict):
        return {key: marks for key, part in value.items() if (marks := all_canaries(part))}
    if isinstance(value, list):
        return [all_canaries(part) or False for part in value]
    return value == CANARY


@given(before=values, after=values)
def test_what_is_marked_is_never_shown(before: Any, after: Any) -> None:
    found = shown(
        actions=["update"],
        before={"x": before},
        after={"x": after},
        before_sensitive={"x": all_canaries(before)},
        after_sensitive={"x": all_canaries(after)},
    )

    assert CANARY not in repr(found)


@given(value=values, key=st.booleans())
def test_a_secret_of_the_run_is_never_shown(value: Any, *, key: bool) -> None:
    value = {CANARY: value} if key else value

    found = shown((CANARY,), after={"x": value}, after_unknown={"x": {CANARY: True}})

    assert CANARY not in repr(found)


@given(mark=values)
def test_marks_that_do_not_fit_the_value_hide_it(mark: Any) -> None:
    found = shown(after={"x": {"y": CANARY}}, after_sensitive={"x": [mark, True]})

    assert found.after == {"x": HIDDEN}
    assert found.sensitive == (("x",),)


CONTENT = plan_json(
    resource(actions=["delete"], before={"x": "100", "y": ["a", "b"]}),
    resource("a.c", actions=["create", "delete"]),
    resource("a.d", actions=["forget"]),
    variables={"size": {"value": "100"}},
    output_changes={"o": {"actions": ["create"], "before": None, "after": "1"}},
)
COUNTED = {"destroy": 2, "add": 1, "replace": 1, "forget": 1, "outputs": 1}


@settings(max_examples=300)
@given(place=st.integers(0, len(CONTENT)))
def test_a_plan_that_was_cut_anywhere_has_the_same_counts_or_an_error(place: int) -> None:
    try:
        found: object = counts(read_plan(CONTENT[:place]))
    except ToolError as refused:
        found = refused.code

    assert found == ("plan-json-unreadable" if place < len(CONTENT) else COUNTED)


words = [word for word in set(CONTENT.decode().replace('"', " ").split()) if len(word) > 1]


@given(secrets=st.lists(st.one_of(st.text(max_size=12), st.sampled_from(sorted(words)))))
def test_no_secret_touches_counts_addresses_actions_or_types(secrets: list[str]) -> None:
    plain, masked = read_plan(CONTENT), read_plan(CONTENT, secrets=secrets, sensitive=["size"])

    assert masked.summary == plain.summary
    assert masked.deletions() == plain.deletions() == ("a.b", "a.c")
    assert [(r.address, r.type, r.action) for r in masked.resources] == [
        (r.address, r.type, r.action) for r in plain.resources
    ]


def test_a_long_text_is_cut_and_says_so() -> None:
    found = shown(after={"x": "a" * 10_000_000, "y": 1})

    assert len(found.after["x"]) < LONGEST + 100
    assert found.after["x"].endswith("… (cut: 10,000,000 in all)")
    assert found.after["y"] == 1
    assert [(cut.path, cut.size) for cut in found.cut] == [(("x",), 10_000_000)]


def test_a_secret_across_the_place_of_a_cut_is_not_shown_in_part() -> None:
    text = "a" * (LONGEST - 5) + CANARY + "a" * 100

    assert CANARY[:5] not in repr(shown((CANARY,), after={"x": text}))


def test_too_many_values_are_cut_and_say_so() -> None:
    found = shown(after={"x": ["word"] * 100_000, "m": {str(n): n for n in range(100_000)}})

    assert len(json.dumps(found.after)) < 4 * MOST
    assert {cut.path: cut.size for cut in found.cut}[("x",)] == 100_000


def test_a_value_that_is_nested_too_deeply_is_cut() -> None:
    deep: Any = CANARY
    for _ in range(300):
        deep = [deep]

    found = shown(after={"x": deep}, after_sensitive={"x": [[]]}, after_unknown={"x": deep})

    assert CANARY not in repr(found)
    assert found.cut


@pytest.mark.parametrize(
    ("before", "after", "unknown", "changed"),
    [
        ({"a": 1}, {"a": 1}, {}, ()),
        ({"a": 1}, {"a": 2}, {}, (("a",),)),
        ({"a": 1}, {"a": True}, {}, (("a",),)),
        ({"a": {"b": 1, "c": 1}}, {"a": {"b": 1, "c": 2}}, {}, (("a", "c"),)),
        ({"a": [1, 2]}, {"a": [1, 3]}, {}, (("a", 1),)),
        ({"a": [1, 2]}, {"a": [1]}, {}, (("a",),)),
        ({"a": 1}, {}, {"a": True}, (("a",),)),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": True}}, (("a", "b"),)),
        ({"a": None}, {}, {}, ()),
    ],
)
def test_what_differs_is_named_by_its_path(
    before: Any, after: Any, unknown: Any, changed: tuple[Any, ...]
) -> None:
    found = shown(actions=["update"], before=before, after=after, after_unknown=unknown)

    assert found.changed == changed


def test_the_path_of_a_change_ends_where_something_is_hidden() -> None:
    found = shown(
        actions=["update"],
        before={"x": {CANARY: 1}},
        after={"x": {CANARY: 2}},
        before_sensitive={"x": True},
        after_sensitive={"x": True},
        replace_paths=[["x", CANARY]],
    )

    assert found.changed == found.replace == (("x",),)
    assert CANARY not in repr(found)
