from __future__ import annotations

import pytest

from backend.catalogue import variables
from runner.tools import environment


@pytest.mark.parametrize("name", variables.RESERVED)
def test_what_is_refused_here_is_what_the_runner_takes_away(name: str) -> None:
    assert environment._is_denied(name.replace("*", "X"))


def test_what_the_runner_takes_away_is_refused_here() -> None:
    prefixes = {f"{prefix}*" for prefix in environment._DENIED_PREFIXES}

    assert set(variables.RESERVED) == environment._DENIED | prefixes
