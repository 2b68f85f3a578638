"""The ssh command that git is given: one for every repository, or one that chooses a key by it."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

HostKeyChecking = Literal["yes", "accept-new"]

_OPTIONS = (
    *("IdentitiesOnly=yes", "BatchMode=yes", "PreferredAuthentications=publickey"),
    *("GlobalKnownHostsFile=/dev/null", "UpdateHostKeys=no", "CheckHostIP=no"),
    *("ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes"),
    # a network that went away must not hold a run until its deadline
    *("ConnectTimeout=30", "ServerAliveInterval=15", "ServerAliveCountMax=4"),
)
_SSH_RSA = ("HostKeyAlgorithms=+ssh-rsa", "PubkeyAcceptedAlgorithms=+ssh-rsa")
# the host, its port if it is not 22, and the repository, of what git calls ssh with:
# [-o OPTION] [-p PORT] [USER@]HOST "git-upload-pack 'PATH'"
_ASKED = (
    'h=; p=22; n=; c=; for a; do if [ "$n" ]; then [ "$n" != p ] || p=$a; n=; continue; fi; '
    'case "$a" in -p) n=p;; -o) n=o;; -*) ;; *) if [ "$h" ]; then c=$a; else h=${a##*@}; fi;; '
    "esac; done; c=${c#*\\'}; c=${c%\\'*}; c=${c#/}; c=${c%.git}; "
    '[ "$p" = 22 ] || h=$h:$p'
)


def command(known_hosts: Path, keys: Sequence[Path], checking: HostKeyChecking) -> str:
    """The same keys for every repository. IdentitiesOnly: none of the agent's but these."""
    return shlex.join(["ssh", *_base(known_hosts, checking), *_offering(keys)])


def choosing(
    known_hosts: Path,
    keys: Sequence[Path],
    reserved: Sequence[tuple[str, Path]],
    ssh_rsa_hosts: Collection[str],
    checking: HostKeyChecking,
) -> str:
    """A function of the shell that offers a reserved key below its prefix, else the other keys.

    The first prefix that fits counts.
    """
    offered = [
        *(f"{prefix}/*) {_put_before(_offering([key]))}" for prefix, key in reserved),
        f"*) {_put_before(_offering(keys))}",
    ]
    old = "".join(f"{host}) {_put_before(_options(_SSH_RSA))} " for host in sorted(ssh_rsa_hosts))
    body = (
        f'{_ASKED}; case "$h/$c/" in {" ".join(offered)} esac; case "$h" in {old}*) ;; esac; '
        f'exec ssh {shlex.join(_base(known_hosts, checking))} "$@"'
    )
    return f"f() {{ {body}; }}; f"


def _base(known_hosts: Path, checking: HostKeyChecking) -> list[str]:
    file = f"UserKnownHostsFile={_quoted(known_hosts)}"
    return ["-F", "none", *_options((*_OPTIONS, f"StrictHostKeyChecking={checking}", file))]


def _offering(keys: Sequence[Path]) -> list[str]:
    if not keys:
        return _options(("IdentityFile=none", "IdentityAgent=none"))
    return _options([f"IdentityFile={_quoted(key)}" for key in keys])


def _options(options: Sequence[str]) -> list[str]:
    return [word for option in options for word in ("-o", option)]


def _put_before(words: Sequence[str]) -> str:
    return f'set -- {shlex.join(words)} "$@";;'


def _quoted(path: Path) -> str:
    """A path as ssh reads it in an option: blanks separate words, % begins a token."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
