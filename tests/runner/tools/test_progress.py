"""What is said of resources in the output of a plan or an apply."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.tools import progress
from runner.tools.progress import Progress

APPLY = """\
module.net["a.b: Creating..."].aws_vpc.main[0]: Creating...
terraform_data.a: Destroying... [id=0b6a]
terraform_data.old (deposed object 1234abcd): Destroying... [id=77]
data.aws_ami.x: Reading...
ephemeral.aws_secret.s: Opening...
terraform_data.a (local-exec): terraform_data.forged: Creating...
module.net["a.b: Creating..."].aws_vpc.main[0]: Still creating... [10s elapsed]
terraform_data.a: Destruction complete after 0s
terraform_data.old (deposed object 1234abcd): Destruction complete after 1s
ephemeral.aws_secret.s: Opening complete after 0s
terraform_data.a: Creating...
data.aws_ami.x: Read complete after 1s [id=ami]
terraform_data.b: Modifying... [id=1]
terraform_data.b: Modifications complete after 0s [id=1]
"""
TOLD = {"step": "apply", "total": 6, "done": 3, "unfinished": 0, "refreshed": 0, "active_count": 2}
ACTIVE = [
    ('module.net["a.b: Creating..."].aws_vpc.main[0]', "create"),
    ("terraform_data.a", "create"),
]


def told(of: Progress) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    found = of.told()
    active = [(one["address"], one["action"]) for one in found.pop("active")]
    return found, active


def test_what_is_done_and_what_is_at_work_is_told() -> None:
    apply = Progress("apply", 6)

    apply.feed(APPLY.encode())

    assert told(apply) == (TOLD, ACTIVE)


@given(st.lists(st.integers(0, len(APPLY)), max_size=12))
def test_output_that_is_cut_anywhere_tells_the_same(cuts: list[int]) -> None:
    apply = Progress("apply", 6)

    places = [0, *sorted(cuts), len(APPLY)]
    for begin, end in pairwise(places):
        apply.feed(APPLY[begin:end].encode())

    assert told(apply) == (TOLD, ACTIVE)


def test_only_news_is_news() -> None:
    plan = Progress("plan")

    news = [
        plan.feed(piece)
        for piece in (b"a.b: Refreshing", b" state... [id=1]\n", b"\n  # a.b will be", b"\nPlan\n")
    ]

    assert news == [False, True, False, False]
    assert (plan.told()["refreshed"], plan.told()["total"]) == (1, None)
    assert not plan.end()


def test_what_has_begun_and_does_not_end_is_unfinished() -> None:
    apply = Progress("apply", 2)
    apply.feed(b"a.b: Creating...\ndata.a.b: Reading...\nc.d: Creating...\n")
    apply.feed(b"a.b: Creation complete after 0s [id=1]\n")

    assert apply.end()

    found, active = told(apply)
    assert (found["done"], found["unfinished"], active) == (1, 1, [])


def test_what_is_not_heard_of_any_more_is_unfinished_until_it_is_complete(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    apply = Progress("apply", 2)
    apply.feed(b"a.b: Creating...\nc.d: Creating...\n")
    monkeypatch.setattr(progress, "UNHEARD_SECONDS", -1.0)

    apply.feed(b"other\n")
    lost = told(apply)[0]
    apply.feed(b"a.b: Creation complete after 30s [id=1]\n")

    assert (lost["unfinished"], lost["active_count"]) == (2, 0)
    assert (told(apply)[0]["done"], told(apply)[0]["unfinished"]) == (1, 1)


def test_of_many_the_first_are_named() -> None:
    apply = Progress("apply", 30)

    apply.feed(b"".join(b"a.b[%d]: Creating...\n" % number for number in range(30)))

    found, active = told(apply)
    assert (len(active), active[0][0], found["active_count"]) == (20, "a.b[0]", 30)


def test_a_line_without_an_end_takes_no_memory() -> None:
    apply = Progress("apply", 1)

    for _ in range(100):
        apply.feed(b"a" * 100_000)
    apply.feed(b"\na.b: Creating...\n")

    assert len(apply._line) <= 4096
    assert told(apply)[1] == [("a.b", "create")]
