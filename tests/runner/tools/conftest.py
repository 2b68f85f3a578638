from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pysequoia
import pytest

from tests.support.publisher import Publisher, new_key, write_public


@pytest.fixture(scope="session")
def key() -> pysequoia.Tsk:
    return new_key("Publisher <publisher@example.org>")


@pytest.fixture(scope="session")
def another_key() -> pysequoia.Tsk:
    return new_key("Somebody <somebody@example.org>")


@pytest.fixture
def key_file(key: pysequoia.Tsk, tmp_path: Path) -> Path:
    return write_public(key, tmp_path / "publisher.asc")


@pytest.fixture
def publisher(key: pysequoia.Tsk) -> Iterator[Publisher]:
    made = Publisher(key)
    yield made
    made.stop()
