"""Credentials of other repositories than the template's own: those of modules and submodules.

Each is for what is below a prefix, HOST, HOST:PORT or HOST/PATH, and the longest prefix wins. git
asks a helper for a login, which is a function of the shell that has it from the environment: so it
is in no URL, argument list or file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from runner.errors import SourceError
from runner.job import GitCredential, Login, SshKey
from runner.sources.url import PORTS, Address, path_of

# nothing of it means anything to a shell
_PREFIX = re.compile(r"[a-z0-9][a-z0-9.-]*(?::[0-9]{1,5})?(?:/[A-Za-z0-9_~+-][A-Za-z0-9._~+-]*)*")
_ASKED = (
    'p=; h=; q=; while IFS== read -r k v; do case "$k" in protocol) p=$v;; host) h=$v;; '
    "path) q=$v;; esac; done; q=${q%.git}"
)


@dataclass(frozen=True)
class Helper:
    """What git needs to get logins: settings, and variables of its environment."""

    settings: tuple[tuple[str, str], ...] = ()
    environment: dict[str, str] = field(default_factory=dict, repr=False)


def checked(credentials: Iterable[GitCredential]) -> list[GitCredential]:
    """The credentials, the longest prefix first. Raises SourceError `git-credential-invalid`."""
    found = list(credentials)
    for credential in found:
        if not _PREFIX.fullmatch(credential.prefix):
            raise SourceError(
                "git-credential-invalid",
                f"{credential.prefix!r} is no prefix of repositories: write HOST, HOST:PORT or "
                "HOST/PATH.",
            )
    return sorted(found, key=lambda one: len(one.prefix), reverse=True)


def helper(credentials: Iterable[GitCredential], *, plain_http: bool) -> Helper:
    """Logins for git, each for its own prefix."""
    logins = [(c.prefix, c.credential) for c in checked(credentials)]
    schemes = ("https", "http") if plain_http else ("https",)
    cases: list[str] = []
    environment: dict[str, str] = {}
    for number, (prefix, login) in enumerate(logins):
        if isinstance(login, Login):
            names = f"STATEROOM_GIT_USERNAME_{number}", f"STATEROOM_GIT_PASSWORD_{number}"
            environment |= dict(zip(names, (login.username, login.password), strict=True))
            patterns = "|".join(f"{scheme}://{prefix}/*" for scheme in schemes)
            told = f"""printf 'username=%s\\npassword=%s\\n' "${names[0]}" "${names[1]}\""""
            cases.append(f"{patterns}) {told};;")
    if not cases:
        return Helper()
    body = f'[ "$1" = get ] || exit 0; {_ASKED}; case "$p://$h/$q/" in {" ".join(cases)} esac'
    settings = (("credential.useHttpPath", "true"), ("credential.helper", f"!f() {{ {body}; }}; f"))
    return Helper(settings, environment)


def of(credentials: Iterable[GitCredential], address: Address) -> SshKey | Login | None:
    """The credential for a repository that the runner itself fetches, or None."""
    kind = SshKey if address.scheme == "ssh" else Login
    where = f"{place(address)}/{path_of(address)}/"
    for credential in checked(credentials):
        if where.startswith(f"{credential.prefix}/") and isinstance(credential.credential, kind):
            return credential.credential
    return None


def registry_tokens(credentials: Iterable[GitCredential]) -> dict[str, str]:
    """Passwords of whole hosts, as terraform and tofu take tokens for module registries."""
    return {
        f"TF_TOKEN_{c.prefix.replace('-', '__').replace('.', '_')}": c.credential.password
        for c in checked(credentials)
        if isinstance(c.credential, Login) and not {":", "/"} & set(c.prefix)
    }


def keys(credentials: Iterable[GitCredential]) -> Sequence[tuple[str, SshKey]]:
    """The SSH keys with their prefixes, the longest first."""
    found = [(c.prefix, c.credential) for c in checked(credentials)]
    return [(prefix, key) for prefix, key in found if isinstance(key, SshKey)]


def place(address: Address) -> str:
    """HOST, or HOST:PORT where the port is not the usual one."""
    usual = address.port == PORTS.get(address.scheme)
    return address.host.lower() if usual else f"{address.host.lower()}:{address.port}"
