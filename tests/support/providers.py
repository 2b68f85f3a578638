"""Providers that are on this machine, as a filesystem mirror: nothing is downloaded in tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

GIVEN = "PROVIDERS_UNDER_TEST"
# where terraform itself looks, and where images put them
_PLACES = (
    "~/.terraform.d/plugins",
    "/usr/local/share/terraform/plugins",
    "/usr/share/terraform/plugins",
    "/opt/*",
)


def mirror_of(provider: str) -> Path:
    """A folder that has the provider, such as registry.terraform.io/hashicorp/aws; or skip."""
    given = os.environ.get(GIVEN)
    for place in (given,) if given else _PLACES:
        home = Path(place).expanduser()
        for folder in sorted(home.parent.glob(home.name)):
            if (folder / provider).is_dir():
                return folder
    pytest.skip(f"{provider} is not on this machine; {GIVEN} names a folder that has it")
