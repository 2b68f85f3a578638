"""An ssh server that serves git repositories: the real sshd, or asyncssh where there is none."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.support.processes import Process, free_port, wait_until
from tests.support.required import missing

_PRIVILEGE_SEPARATION = Path("/run/sshd")
# keys of clients cannot be old too: a new sshd announces newer signatures even if it takes none
_SSH_RSA = "HostKeyAlgorithms ssh-rsa"
_SERVED = ("git-upload-pack", "git-receive-pack", "git-upload-archive")


@dataclass(frozen=True)
class HostKey:
    private: str
    public: str


def host_key(*, is_rsa: bool = False) -> HostKey:
    key = rsa.generate_private_key(65537, 2048) if is_rsa else Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return HostKey(private.decode(), public.decode())


@dataclass(frozen=True)
class Sshd:
    """A server on a loopback port. `known_hosts_line` is what a client has to know of it."""

    folder: Path
    port: int
    key: HostKey
    host: str = "127.0.0.1"
    user: str = field(default_factory=lambda: pwd.getpwuid(os.geteuid()).pw_name)

    @property
    def known_hosts_line(self) -> str:
        return self.known_as(self.key)

    @property
    def fingerprint(self) -> str:
        """Of its key, as its owner would publish it."""
        listed = subprocess.run(
            ["ssh-keygen", "-l", "-f", "-"],
            input=self.key.public,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return listed.stdout.split()[1]

    def known_as(self, key: HostKey) -> str:
        return f"[{self.host}]:{self.port} {key.public}\n"

    def authorize(self, public_key: str) -> None:
        """Let the owner of a key use git here, and nothing else."""
        options = 'restrict,command="git-shell -c \\"$SSH_ORIGINAL_COMMAND\\""'
        with (self.folder / "authorized_keys").open("a") as authorized:
            authorized.write(f"{options} {public_key.strip()}\n")

    def url(self, repository: Path) -> str:
        return f"ssh://{self.user}@{self.host}:{self.port}{repository}"


def prepared(folder: Path, *, is_rsa: bool = False) -> Sshd:
    folder.mkdir(parents=True)
    (folder / "authorized_keys").touch(mode=0o600)
    return Sshd(folder, free_port(), host_key(is_rsa=is_rsa))


@contextlib.contextmanager
def real_sshd(folder: Path, *, only_ssh_rsa: bool = False) -> Iterator[Sshd]:
    """The sshd of this machine, which ends the test when it is missing (it fails in CI).

    `only_ssh_rsa`: as servers of before 2016 are.
    """
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None:
        missing("sshd is not installed")
    if os.geteuid() == 0:
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    server = prepared(folder, is_rsa=only_ssh_rsa)
    process = _start(program, server, _SSH_RSA if only_ssh_rsa else "")
    try:
        yield server
    finally:
        process.stop()


@contextlib.contextmanager
def any_sshd(folder: Path) -> Iterator[Sshd]:
    """The real sshd; outside of CI asyncssh will do."""
    in_ci = os.environ.get("CI", "").lower() == "true"
    here = shutil.which("sshd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    serve = real_sshd if here or in_ci else python_sshd
    with serve(folder) as server:
        yield server


def _start(program: str, server: Sshd, more: str) -> Process:
    key, settings = server.folder / "host_key", server.folder / "sshd_config"
    key.write_text(server.key.private)
    key.chmod(0o600)
    settings.write_text(
        f"""
        ListenAddress {server.host}
        Port {server.port}
        HostKey {key}
        AuthorizedKeysFile {server.folder / "authorized_keys"}
        PidFile none
        StrictModes no
        UsePAM no
        PasswordAuthentication no
        KbdInteractiveAuthentication no
        PermitRootLogin yes
        UseDNS no
        {more}
        """
    )
    log = server.folder / "log"
    argv = [program, "-D", "-e", "-f", str(settings)]
    process = Process(argv, env={"PATH": os.environ["PATH"]}, cwd=server.folder, log=log)
    wait_until(lambda: "Server listening" in process.said() or not process.running, "sshd")
    assert process.running, process.said()
    return process


@contextlib.contextmanager
def python_sshd(folder: Path) -> Iterator[Sshd]:
    """The same server with asyncssh, in a thread."""
    server = prepared(folder)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listening = asyncio.run_coroutine_threadsafe(_listen(server), loop).result(10)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_close(listening), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _listen(server: Sshd) -> asyncssh.SSHAcceptor:
    class Door(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return bool(username)

        def public_key_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, _: str, key: asyncssh.SSHKey) -> bool:
            public = key.export_public_key().decode().split()[1]
            return public in (server.folder / "authorized_keys").read_text()

    return await asyncssh.listen(
        server.host,
        server.port,
        server_factory=Door,
        server_host_keys=[asyncssh.import_private_key(server.key.private)],
        process_factory=_serve,
        encoding=None,
    )


async def _close(listening: asyncssh.SSHAcceptor) -> None:
    """Stop listening, and let the connections end by themselves."""
    listening.close()
    await listening.wait_closed()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=5)


async def _serve(process: asyncssh.SSHServerProcess[bytes]) -> None:
    words = shlex.split(process.command or "")
    if not words or words[0] not in _SERVED:
        process.exit(128)
        return
    pipe = subprocess.PIPE
    child = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=pipe)
    # not process.redirect: it leaves a coroutine behind when the other end hangs up first
    asked = asyncio.create_task(_pump(process.stdin, child.stdin))
    await asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
    code = await child.wait()
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    process.exit(code)


async def _pump(reader: Any, writer: Any) -> None:
    while chunk := await reader.read(1 << 16):
        writer.write(chunk)
        await writer.drain()
