"""An ssh agent for one use of one run, and the ssh command that knows it and no other.

A private key stays in the memory of this process, which signs with it (ssh_agent.py); on disk there
are public keys only. The ssh command reads no configuration, asks nobody, offers only the keys it
was given, and trusts only the host keys in its own known_hosts file.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from runner.errors import SourceError
from runner.job import SshKey
from runner.processes import proc, starter
from runner.sources import host_keys, ssh_agent
from runner.sources.ssh_agent import Admits
from runner.sources.ssh_key import open_key

HostKeyChecking = Literal["yes", "accept-new"]

_SOCKET_PATH_BYTES = 100  # a unix socket's address holds 108
_OPTIONS = (
    *("IdentitiesOnly=yes", "BatchMode=yes", "PreferredAuthentications=publickey"),
    *("GlobalKnownHostsFile=/dev/null", "UpdateHostKeys=no", "CheckHostIP=no"),
    *("ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes"),
    # a network that went away must not hold a run until its deadline
    *("ConnectTimeout=30", "ServerAliveInterval=15", "ServerAliveCountMax=4"),
)


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
def agent(
    *keys: SshKey,
    work: Path,
    known_hosts: str = "",
    checking: HostKeyChecking = "yes",
    admits: Admits | None = None,
    owner: int | None = None,
) -> Iterator[Agent]:
    """Hold the keys in an agent for as long as the block runs; without keys there is no agent.

    `known_hosts`: the project's lines; host_keys.py adds the shipped ones. `admits` says of a pid
    whether it may use the keys: by default the commands may that this process starts with the
    agent's environment, and what they start. `owner` is their user, if not this one.
    Raises SourceError: `ssh-not-installed`, `ssh-key-invalid`, `ssh-key-passphrase`,
    `known-hosts-invalid`.
    """
    opened = [open_key(key) for key in keys]
    if not installed():
        raise SourceError(
            "ssh-not-installed", "The worker has no ssh on its PATH: install OpenSSH's client."
        )
    with _private_folder(work) as folder, contextlib.ExitStack() as stack:
        _write_known_hosts(folder, known_hosts)
        command = _command(folder, len(opened), checking)
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


def _command(folder: Path, keys: int, checking: HostKeyChecking) -> str:
    """The ssh command for git. IdentitiesOnly is told by file which of the agent's keys to use."""
    options = [*_OPTIONS, f"StrictHostKeyChecking={checking}"]
    options.append(f"UserKnownHostsFile={_quoted(folder / 'known_hosts')}")
    options += [f"IdentityFile={_quoted(_public_file(folder, n))}" for n in range(keys)]
    if not keys:
        options += ["IdentityFile=none", "IdentityAgent=none"]
    words = ["ssh", "-F", "none", *(word for option in options for word in ("-o", option))]
    return shlex.join(words)


def _public_file(folder: Path, number: int) -> Path:
    return folder / f"key-{number}.pub"


def _quoted(path: Path) -> str:
    """A path as ssh reads it in an option: blanks separate words, % begins a token."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
