from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cloud import Cloud


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    made = Cloud()
    yield made
    made.stop()
