from __future__ import annotations

from typing import Any

import pytest

from stateroom.tables import Plain, cell


def test_columns_are_aligned_and_numbers_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    items = [
        {"name": "a", "size": 5, "by": {"name": "ann"}, "at": "2026-01-02T03:04:05.678Z"},
        {"name": "longer", "size": 1234, "by": None, "at": None},
    ]

    Plain().rows(items, {"name": "name", "size": "size", "by": "by.name", "at": "at"})

    assert capsys.readouterr().out == (
        "NAME    SIZE  BY   AT\na          5  ann  2026-01-02 03:04:05Z\nlonger  1234  -    -\n"
    )


def test_an_empty_list_has_its_titles(capsys: pytest.CaptureFixture[str]) -> None:
    Plain().rows([], {"name": "name", "in all": lambda item: item["x"]})

    assert capsys.readouterr().out == "NAME  IN ALL\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        ("", "-"),
        (0, "0"),
        (False, "no"),
        (True, "yes"),
        (["a", "b"], "a b"),
        ("tab\there", "tab\\there"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("naïve 値", "naïve 値"),
        ("2026-01-02T03:04:05+00:00", "2026-01-02 03:04:05Z"),
        ("2026-01-02", "2026-01-02"),
    ],
)
def test_a_value_is_shown_in_one_line_that_moves_no_cursor(value: Any, shown: str) -> None:
    assert cell(value) == shown
