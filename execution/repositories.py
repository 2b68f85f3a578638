"""Which repositories may be run here: the runner's rule, by the installation's settings."""

from __future__ import annotations

from collections.abc import Callable

from backend.config import Settings
from backend.errors import Invalid
from runner.errors import SourceError
from runner.job import SourcePolicy
from runner.sources.url import check_address


def policy(settings: Settings) -> SourcePolicy:
    return SourcePolicy(
        settings.local_roots, settings.allow_private_hosts, settings.allow_plain_http
    )


def check(settings: Settings) -> Callable[[str], None]:
    """What the server asks before it stores the address of a repository.

    It raises Invalid for one that a worker would refuse; where a host's name leads is left to it.
    """

    def check_repository(url: str) -> None:
        try:
            check_address(url, policy(settings))
        except SourceError as refused:
            raise Invalid(refused.message, code=refused.code, field="repository") from None

    return check_repository
