"""An ssh-agent for one use of one run, and the ssh command that knows it and no other.

A private key goes from memory through stdin into the agent; on disk there are public keys only.
The ssh command reads no configuration, asks nobody, offers only the keys it was given, and trusts
only the host keys in its own known_hosts file.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from runner.errors import SourceError
from runner.job import SshKey
from runner.processes.process import background, capture, child_environment
from runner.processes.sandbox import Confinement, choose
from runner.processes.starter import Child
from runner.sources import host_keys

HostKeyChecking = Literal["yes", "accept-new"]

_PROGRAMS = ("ssh", "ssh-agent", "ssh-add")
_SOCKET_PATH_BYTES = 100  # a unix socket's address holds 108
_START_SECONDS = 10.0
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
    *keys: SshKey, work: Path, known_hosts: str = "", checking: HostKeyChecking = "yes"
) -> Iterator[Agent]:
    """Hold the keys in an agent for as long as the block runs; without keys, no agent is started.

    `known_hosts`: the project's lines; host_keys.py adds the shipped ones. The agent ends with the
    block, and when the worker dies. Raises SourceError: `ssh-not-installed`,
    `ssh-key-invalid`, `ssh-key-passphrase`, `known-hosts-invalid`, `ssh-agent-failed`.
    """
    opened = [_open(key) for key in keys]
    path = _path_of_programs()
    with _private_folder(work) as folder:
        environment = child_environment(folder, folder, path, {})
        _write_known_hosts(folder, known_hosts)
        command = _command(folder, len(opened), checking)
        given = {"GIT_SSH_COMMAND": command, "GIT_SSH_VARIANT": "ssh"}
        if not opened:
            yield Agent(given, folder)
            return
        door = folder / "agent"
        with _started(door, environment):
            given["SSH_AUTH_SOCK"] = str(door)
            for number, (private, public) in enumerate(opened):
                _public_file(folder, number).write_text(public + "\n")
                _add(private, {**environment, **given}, folder)
            yield Agent(given, folder)


def _open(key: SshKey) -> tuple[bytes, str]:
    """The private key without its passphrase, and its public line: both in OpenSSH form."""
    text = key.private_key.replace("\r\n", "\n").strip() + "\n"
    private = _load(text.encode(), key.passphrase)
    if not isinstance(private, RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey):
        raise SourceError(
            "ssh-key-invalid", "This kind of SSH key is not supported: use Ed25519, ECDSA or RSA."
        )
    opened = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return opened, public.decode()


def _loader(text: bytes) -> Callable[[bytes, bytes | None], object]:
    if b"BEGIN OPENSSH PRIVATE KEY" in text:
        return serialization.load_ssh_private_key
    return serialization.load_pem_private_key


def _load(text: bytes, passphrase: str | None) -> object:
    try:
        return _loader(text)(text, None)
    except TypeError:  # it is encrypted
        return _decrypted(text, passphrase)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SourceError(
            "ssh-key-invalid",
            "The SSH key is not a private key in PEM or OpenSSH form: store the whole file, with "
            "its BEGIN and END lines, and not the public key.",
        ) from error


def _decrypted(text: bytes, passphrase: str | None) -> object:
    if not passphrase:
        raise SourceError(
            "ssh-key-passphrase", "The SSH key is encrypted: store its passphrase with it."
        )
    try:
        return _loader(text)(text, passphrase.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SourceError(
            "ssh-key-passphrase", "The passphrase does not open the SSH key."
        ) from error


def installed() -> bool:
    """Whether this machine has what `agent` needs."""
    return all(shutil.which(name) for name in _PROGRAMS)


def _path_of_programs() -> str:
    path = os.environ.get("PATH", os.defpath)
    missing = [name for name in _PROGRAMS if not shutil.which(name, path=path)]
    if missing:
        raise SourceError(
            "ssh-not-installed",
            f"The worker has no {' and no '.join(missing)} on its PATH: install OpenSSH's client.",
        )
    return path


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


@contextlib.contextmanager
def _started(door: Path, environment: Mapping[str, str]) -> Iterator[None]:
    argv = ["ssh-agent", "-D", "-a", str(door)]
    # Debian's ssh-agent is setgid, and the kernel forgets the signal at the parent's death for such
    # a program, except where no_new_privs is on: a confined command has it
    confine = choose("auto", Confinement(writable=(door.parent,)))
    with background(argv, env=environment, cwd=door.parent, confine=confine) as child:
        _wait_for(door, child)
        yield


def _wait_for(door: Path, child: Child) -> None:
    """Wait until it answers. Its socket is there a moment earlier, and refuses then."""
    until = monotonic() + _START_SECONDS
    while not _answers(door):
        if child.has_ended() or monotonic() > until:
            raise SourceError("ssh-agent-failed", "The ssh-agent of this run did not start.")
        sleep(0.002)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asking, contextlib.suppress(OSError):
        asking.connect(os.fspath(path))
        return True
    return False


def _add(private: bytes, environment: Mapping[str, str], folder: Path) -> None:
    argv = ["ssh-add", "-q", "-"]
    added = capture(argv, env=environment, cwd=folder, deadline=_START_SECONDS, stdin=private)
    if added.returncode:
        said = added.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise SourceError("ssh-key-invalid", f"ssh does not take the key: {said[-1]}")
