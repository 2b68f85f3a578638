"""The repositories that an installation allows: the runner's rules with its settings."""

from __future__ import annotations

from collections.abc import Callable

from backend.config import Settings
from backend.errors import Invalid
from runner.errors import SourceError
from runner.job import SourcePolicy
from runner.sources.url import check_address


def policy(settings: Settings) -> SourcePolicy:
    return SourcePolicy(
        settings.local_roots,
        settings.allow_private_hosts,
        settings.allow_plain_http,
        frozenset(host for host in settings.ssh_rsa_hosts.split(",") if host),
    )


def check(settings: Settings) -> Callable[[str], None]:
    """The check that the server makes before it stores the address of a repository.

    It raises Invalid for an address that a worker would refuse. Only the worker resolves the name
    of the host.
    """

    def check_repository(url: str) -> None:
        try:
            check_address(url, policy(settings))
        except SourceError as refused:
            raise Invalid(refused.message, code=refused.code, field="repository") from None

    return check_repository
