"""Why init could not install a provider, from what the tool says about it."""

from __future__ import annotations

import re

from runner.errors import ToolError
from runner.providers.package import own_platform

THROTTLED = "registry-throttled"
_LACKING = frozenset(
    (
        *("provider-version-unavailable", "provider-checksum-missing", "provider-unknown"),
        "provider-platform-missing",
    )
)
AWAY = frozenset(("provider-unavailable", THROTTLED))

_ABOUT_PROVIDERS = re.compile(
    r"Failed to (?:query available provider|install provider|resolve provider)|Provider not avail"
    r"|Provider release not available|Cannot download provider release|Invalid provider package"
    r"|Required plugins are not installed|Inconsistent dependency lock file"
)
_UPGRADE = "Run `{tool} init -upgrade` and commit .terraform.lock.hcl."
_NO_CHECKSUM = (
    "The lock file has no checksum of this package for {platform}. If it was made on another "
    "platform, run `{tool} providers lock -platform={platform}` and commit .terraform.lock.hcl. "
    "Else the package is not the one that was locked: find out why."
)
_KNOWN = (
    (
        re.compile(r"does not match configured version constraint|no longer matches? the"),
        "provider-lock-outdated",
        f"The lock file selects a version that the sources do not allow. {_UPGRADE}",
    ),
    (
        re.compile(r"does ?n[o']t match any of the checksums"),
        "provider-checksum-missing",
        _NO_CHECKSUM,
    ),
    (
        # the tools do not always say what it was that they gave up after several attempts
        re.compile(r"429 Too Many|response code: 429|giving up after \d+ attempt\(s\)(?!:)"),
        THROTTLED,
        "The registry answered that it was asked too often, or failed: queue the run again later.",
    ),
    (
        re.compile(r"previously-selected version \S+ is no longer available"),
        "provider-version-unavailable",
        f"The registry does not have the locked version any more. {_UPGRADE}",
    ),
    (
        re.compile(r"no (?:available )?releases match the given constraints"),
        "provider-version-unavailable",
        "Choose a version that there is in required_providers.",
    ),
    (
        re.compile(r"does not have a provider named"),
        "provider-unknown",
        "Name its source in required_providers.",
    ),
    (
        re.compile(r"(?:is not available for|does not have a package available for) "),
        "provider-platform-missing",
        "Workers are {platform}: choose a version that is published for it.",
    ),
)
CODES = frozenset({"provider-unavailable", *(code for _, code, _ in _KNOWN)})


def is_lacking(error: ToolError) -> bool:
    """Whether what is needed may be had elsewhere: the mirror lacks it."""
    return error.code in _LACKING or "not found in any of the search locations" in error.said


def explain(said: str, tool: str) -> tuple[str, str] | None:
    """A stable code and what to do, or None when it is not about the installation of a provider."""
    if not _ABOUT_PROVIDERS.search(said):
        return None
    for sign, code, hint in _KNOWN:
        if sign.search(said):
            return code, hint.format(tool=tool, platform=own_platform())
    return "provider-unavailable", "Check the network of the worker, the registry or the mirror."
