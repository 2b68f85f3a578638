"""The repositories and refs that an installation allows: the runner's rules with its settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from backend.config import Settings
from backend.errors import Forbidden, Invalid
from backend.transactions import Installation
from execution import host_keys, tool_versions
from execution.previews import Previews
from runner.errors import SourceError
from runner.job import RefRules, SourcePolicy
from runner.sources import refs
from runner.sources.host_keys import shipped
from runner.sources.url import check_address


def knowing_the_rules(here: Installation) -> Installation:
    """The installation of a server, which refuses what its workers would refuse."""
    return replace(
        here,
        check_repository=check(here.settings),
        rule_of_ref=rule_of_ref,
        check_tool_version=tool_versions.check,
        tool_fits=tool_versions.fits,
        scan_host=host_keys.scanner(policy(here.settings)),
        published_host_keys=tuple(shipped()),
        look_at=Previews(here.settings.data_dir / "previews", policy(here.settings)).look,
    )


def rule_of_ref(ref: str | None, own: str | None, allowed: Sequence[str]) -> str | None:
    """The rule of a template that allows a ref; None for a commit, which only a worker can check.

    Raises Forbidden for one that no rule allows.
    """
    try:
        return refs.judge(ref, RefRules(own, tuple(allowed))).rule
    except SourceError as refused:
        raise Forbidden(refused.message, code=refused.code, field="ref") from None


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
