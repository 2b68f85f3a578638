"""How a job reaches registries of providers, and which caches it may therefore read."""

from __future__ import annotations

from runner.job import Job, Login
from runner.providers import cache
from runner.providers.cache import Cache

_PROXIES = frozenset(
    (
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR"),
    )
)


def access(job: Job) -> dict[str, str]:
    """The workspace's variables that lead to registries: tokens and proxies."""
    return {
        v.name: v.value
        for v in job.variables
        if v.kind == "environment" and (v.name in _PROXIES or v.name.startswith("TF_TOKEN_"))
    }


def caches(job: Job) -> tuple[Cache, ...]:
    """The caches of providers that a job may read. What it fetches goes into the last one.

    What was fetched with a login, or through what the project has set, is only for its runs that
    have the same: the registry would refuse it to others, or may not be the one of that name.
    """
    place = job.provider_cache
    if place is None or not place.most_bytes:
        return ()
    hosts = [c.prefix for c in job.git_credentials if isinstance(c.credential, Login)]
    own = " ".join(sorted([*access(job), *(host for host in hosts if not {":", "/"} & set(host))]))
    return (cache.shared(place), *((cache.owned(place, own),) if own else ()))
