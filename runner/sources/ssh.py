"""An ssh agent for one use of one run, and the ssh command that knows it and no other.

A private key stays in the memory of this process, which signs with it (ssh_agent.py); on disk there
are public keys only. The ssh command reads no configuration, asks nobody, offers only the keys it
was given, and trusts only the host keys in its own known_hosts file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.errors import SourceError
from runner.job import Source, SshKey
from runner.processes import proc, starter
from runner.sources import host_keys, ssh_agent, ssh_command
from runner.sources.ssh_agent import Admits
from runner.sources.ssh_command import HostKeyChecking
from runner.sources.ssh_key import open_key
from runner.sources.url import Address

__all__ = ["Agent", "HostKeyChecking", "agent", "agent_of", "installed"]

_SOCKET_PATH_BYTES = 107  # a unix socket's address holds 108, the last of them a NUL


@dataclass(frozen=True)
class Agent:
    """`environment` lets git, and what calls git, use the keys; `folder` has to be open to them."""

    environment: Mapping[str, str]
    folder: Path

    def learned_host_keys(self) -> str:
        """The known_hosts lines that ssh has added, where new host keys are accepted."""
        lines = (self.folder / "known_hosts").read_text().splitlines()
        given = (self.folder / "given_hosts").read_text().splitlines()
        return "".join(f"{line}\n" for line in lines[len(given) :])


@contextlib.contextmanager
def agent(  # noqa: PLR0913 - each is a promise that the caller has to choose
    *keys: SshKey,
    work: Path,
    known_hosts: str = "",
    checking: HostKeyChecking = "yes",
    admits: Admits | None = None,
    owner: int | None = None,
    reserved: Sequence[tuple[str, SshKey]] = (),
    ssh_rsa_hosts: Collection[str] = (),
) -> Iterator[Agent]:
    """Hold the keys in an agent for as long as the block runs; without keys there is no agent.

    `known_hosts`: the project's lines; host_keys.py adds the shipped ones. `admits` says of a pid
    whether it may use the keys: by default the commands may that this process starts with the
    agent's environment, and what they start. `owner` is their user, if not this one.
    `reserved`: prefixes of repositories, the longest first, each with the key for them alone.
    `ssh_rsa_hosts` may use signatures with SHA-1.
    Raises SourceError: `ssh-not-installed`, `ssh-key-invalid`, `ssh-key-passphrase`,
    `known-hosts-invalid`.
    """
    prefixes = [prefix for prefix, _ in reserved]
    opened = [open_key(key) for key in (*keys, *(key for _, key in reserved))]
    if not installed():
        raise SourceError(
            "ssh-not-installed", "The worker has no ssh on its PATH: install OpenSSH's client."
        )
    with _private_folder(work) as folder, contextlib.ExitStack() as stack:
        _write_known_hosts(folder, known_hosts)
        command = _command(folder, len(keys), prefixes, ssh_rsa_hosts, checking)
        given = {"GIT_SSH_COMMAND": command, "GIT_SSH_VARIANT": "ssh"}
        for number, key in enumerate(opened):
            _public_file(folder, number).write_text(key.line + "\n")
        if owner is not None:
            _open_to(owner, folder, len(opened))
        if opened:
            door = folder / "agent"
            given["SSH_AUTH_SOCK"] = str(door)
            which = admits or _commands_with(f"SSH_AUTH_SOCK={door}")
            stack.enter_context(ssh_agent.listening(door, opened, which, owner))
        yield Agent(given, folder)


@contextlib.contextmanager
def agent_of(source: Source, address: Address, work: Path) -> Iterator[Agent | None]:
    """The agent of a repository with its key, or None if it is not read over ssh. See agent."""
    if address.scheme != "ssh":
        yield None
        return
    keys = [source.credential] if isinstance(source.credential, SshKey) else []
    checking: HostKeyChecking = "accept-new" if source.accept_new_host_keys else "yes"
    with agent(
        *keys,
        work=work,
        known_hosts=source.known_hosts,
        checking=checking,
        ssh_rsa_hosts=source.policy.ssh_rsa_hosts,
    ) as opened:
        yield opened


def _commands_with(variable: str) -> Admits:
    """Admit commands of this process by what they were given, and their descendants.

    Their own environment cannot be written by a run: they are outside of its sandbox.
    """
    sought = os.fsencode(variable)

    def admits(pid: int) -> bool:
        parent = starter.pid()
        line = proc.ancestry(pid)
        command = next((one for one, found in line if found.parent == parent), None)
        return command is not None and sought in proc.environment(command)

    return admits


def _open_to(owner: int, folder: Path, keys: int) -> None:
    """Let another user go through the folder and read what is there for ssh, but replace nothing.

    Raises OSError.
    """
    folder.chmod(0o711)
    for path in (folder / "known_hosts", *(_public_file(folder, n) for n in range(keys))):
        os.chown(path, owner, -1)


def installed() -> bool:
    """Whether this machine has what `agent` needs."""
    return shutil.which("ssh") is not None


@contextlib.contextmanager
def _private_folder(work: Path) -> Iterator[Path]:
    parent = work.resolve()
    if len(os.fsencode(parent)) + len("/ssh-12345678/agent") > _SOCKET_PATH_BYTES:
        parent = Path(tempfile.gettempdir()).resolve()
    with tempfile.TemporaryDirectory(prefix="ssh-", dir=parent) as folder:
        yield Path(folder)


def _write_known_hosts(folder: Path, own: str) -> None:
    """Two copies: ssh appends to one when it accepts new keys."""
    text = "".join(f"{line}\n" for line in host_keys.trusted(own))
    for name in ("known_hosts", "given_hosts"):
        (folder / name).write_text(text)


def _command(
    folder: Path,
    general: int,
    prefixes: Sequence[str],
    ssh_rsa_hosts: Collection[str],
    checking: HostKeyChecking,
) -> str:
    """The ssh command for git. The public files tell it which of the agent's keys to use."""
    files = [_public_file(folder, number) for number in range(general + len(prefixes))]
    keys, known_hosts = files[:general], folder / "known_hosts"
    if not prefixes and not ssh_rsa_hosts:
        return ssh_command.command(known_hosts, keys, checking)
    reserved = list(zip(prefixes, files[general:], strict=True))
    return ssh_command.choosing(known_hosts, keys, reserved, ssh_rsa_hosts, checking)


def _public_file(folder: Path, number: int) -> Path:
    return folder / f"key-{number}.pub"
