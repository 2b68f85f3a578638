from __future__ import annotations

import pytest

# for what is decided before the database is asked
one_database = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
