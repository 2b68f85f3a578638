from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.catalogue.addresses import Glob, glob

NAMES = st.from_regex(r"[a-z_][a-z0-9_-]{0,8}", fullmatch=True).filter(lambda name: name != "data")
KEYS = st.one_of(
    st.just(""),
    st.integers(0, 99).map(lambda number: f"[{number}]"),
    st.text(st.characters(codec="utf-8", exclude_characters='\\"', exclude_categories=["Cc"]))
    .map(lambda text: f'["{text}"]'),
)  # fmt: skip


@st.composite
def addresses(draw: st.DrawFn, modules: int = 3) -> str:
    parts = [f"module.{draw(NAMES)}{draw(KEYS)}." for _ in range(draw(st.integers(0, modules)))]
    return "".join(parts) + f"{draw(NAMES)}.{draw(NAMES)}{draw(KEYS)}"


def _depth(address: str) -> int:
    """How many modules are on the way, for addresses whose keys have no `module.` in them."""
    return address.count("module.")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("aws_db_instance.main", "aws_db_instance.main"),
        ("aws_db_instance.*", "aws_db_instance.main"),
        ("aws_*.main", "aws_db_instance.main"),
        ("*.main", "aws_db_instance.main"),
        ("*", "aws_db_instance.main"),
        ("**", "aws_db_instance.main"),
        ("**", 'module.a.module.b["x"].aws_db_instance.main[0]'),
        ("aws_db_instance.main", "aws_db_instance.main[0]"),
        ("aws_db_instance.main", 'aws_db_instance.main["a.b"]'),
        ('aws_db_instance.main["a.b"]', 'aws_db_instance.main["a.b"]'),
        ('aws_db_instance.main["eu-*"]', 'aws_db_instance.main["eu-1"]'),
        ("aws_db_instance.main[*]", 'aws_db_instance.main["]"]'),
        ("aws_db_instance.main[0]", "aws_db_instance.main[0]"),
        ('a.b["x?[y]"]', 'a.b["x?[y]"]'),
        (r'a.b["x\"y"]', r'a.b["x\"y"]'),
        ("module.prod.*", "module.prod.aws_db_instance.main"),
        ("module.prod.*", 'module.prod["eu"].aws_db_instance.main'),
        ('module.prod["eu"].*', 'module.prod["eu"].aws_db_instance.main'),
        ("module.prod.**", "module.prod.aws_db_instance.main"),
        ("module.prod.**", 'module.prod["eu"].module.db.aws_db_instance.main["a"]'),
        ("module.pro*.a.b", "module.prod.a.b"),
        ("**.aws_kms_key.*", "aws_kms_key.a"),
        ("**.aws_kms_key.*", "module.a.module.b.aws_kms_key.a"),
        ("module.a.**.x.y", "module.a.x.y"),
        ("module.a.**.module.c.x.y", "module.a.module.b.module.b.module.c.x.y"),
        ("**.**.x.y", "module.a.x.y"),
        ("data.x.y", "data.x.y"),
        ("*", "data.x.y"),
    ],
)
def test_a_glob_has_this_address(text: str, address: str) -> None:
    assert glob(text).matches(address)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("aws_db_instance.main", "aws_db_instance.main2"),
        ("aws_db_instance.*", "aws_db_instances.main"),
        ("aws_db_instance.*", "module.prod.aws_db_instance.main"),
        ("*", "module.prod.aws_db_instance.main"),
        ("*.main", "module.prod.aws_db_instance.main"),
        ("module.prod.*", "module.prod.module.db.aws_db_instance.main"),
        ("module.prod.**", "module.production.aws_db_instance.main"),
        ("module.prod.**", "aws_db_instance.main"),
        ("module.*.a.b", "module.prod.module.db.a.b"),
        ('module.prod["eu"].**', 'module.prod["us"].a.b'),
        ('module.prod["eu"].**', "module.prod.a.b"),
        ('aws_db_instance.main["a"]', "aws_db_instance.main"),
        ("aws_db_instance.main[0]", "aws_db_instance.main[10]"),
        # what is in a key is no module
        ("module.prod.**", 'a.b["module.prod.x.y"]'),
        ("a.b", 'module.x["].a.b"].c.d'),
        ("x.y", "data.x.y"),
        ("data.x.y", "x.y"),
        ('a.b["x?"]', 'a.b["xy"]'),
    ],
)
def test_a_glob_does_not_have_this_address(text: str, address: str) -> None:
    assert not glob(text).matches(address)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no glob"),
        ("aws_db_instance", "TYPE.NAME"),
        ("module", "TYPE.NAME"),
        ("module.prod", "module.prod.** is everything in it"),
        ('module.prod["eu"]', 'module.prod["eu"].** is everything'),
        ("module.**", "stands alone"),
        ("a**.b", "stands alone"),
        ("***", "stands alone"),
        ("*.aws_db_instance.main", "** is any number of them"),
        ("prod.aws_db_instance.main", "Modules are written module.NAME"),
        ("**.module.prod", "is everything in it"),
        ("aws_db_instance.main.id", "TYPE.NAME"),
        ("aws_db_instance.mai?", "* is any text"),
        ("aws_db_instance[0].main", "TYPE.NAME"),
        ("aws_db_instance.", "is no glob"),
        ("a..b", "is no glob"),
        ("a b.c", "is no glob"),
        ('a.b["x', "is no glob"),
        ("a.b[]", "is no glob"),
        ('a.b"x"', "is no glob"),
        ("a." + "b" * 500, "at most 500"),
    ],
)
def test_a_glob_that_could_match_nothing_is_refused_with_what_to_write(
    text: str, says: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        glob(text)


@given(addresses())
def test_every_address_has_itself_as_a_glob_unless_it_has_a_wildcard(address: str) -> None:
    if "*" not in address and len(address) <= 500:
        assert glob(address).matches(address)


@given(addresses(modules=4).filter(lambda address: "module." not in "".join(_keys(address))))
def test_a_glob_without_two_stars_never_crosses_the_border_of_a_module(address: str) -> None:
    deep = [glob(".".join(["module.*"] * depth + ["*"])) for depth in range(6)]

    assert [one.matches(address) for one in deep] == [
        depth == _depth(address) for depth in range(6)
    ]


@given(addresses())
def test_two_stars_alone_have_every_address(address: str) -> None:
    assert glob("**").matches(address)


@given(st.text(max_size=40))
def test_any_text_is_a_glob_or_is_refused_and_any_text_can_be_held_against_one(text: str) -> None:
    try:
        found: Glob | None = glob(text)
    except ValueError:
        found = None
    if found is not None:
        found.matches("module.a.b.c")

    assert glob("**.a.b").matches(text) in (True, False)


def test_what_is_no_address_slips_through_no_glob() -> None:
    assert glob("aws_db_instance.main").matches("aws_db_instance.main is new")


def test_a_glob_with_many_stars_is_held_against_a_long_address_in_no_time() -> None:
    many = glob("**.module.*." * 20 + "a*" * 100 + ".b")
    long = "module.a." * 200 + "a" * 20_000 + ".c"

    assert not many.matches(long)  # the naive way would take for ever


def _keys(address: str) -> list[str]:
    return [part.split("]")[0] for part in address.split("[")[1:]]
