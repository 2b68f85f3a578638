"""Other runs, by way of the kernel: sockets and shared memory."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from pathlib import Path

from tests.support.hostile.attempts import GIVEN, attempt, checked, libc


@attempt("find others' sockets in /proc/net/unix")
def unix_sockets() -> object:
    return GIVEN["agent"] in Path("/proc/net/unix").read_text()


@attempt("use the SSH key of another run")
def agent() -> object:
    """By the protocol, since `ssh-add` may not be there."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(20)
        peer.connect(GIVEN["agent"])
        peer.sendall(b"\x00\x00\x00\x01\x0b")
        answer = peer.recv(4096)
    return len(answer) > 9 and answer[4] == 12 and answer[8]


@attempt("delete the SSH keys of another run")
def delete_keys() -> object:
    done = subprocess.run(
        ["ssh-add", "-D"],
        env={**os.environ, "SSH_AUTH_SOCK": GIVEN["agent"]},
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


@attempt("connect to a socket that has a path")
def path_socket() -> object:
    return _connects(GIVEN["socket"])


@attempt("connect to an abstract socket")
def abstract_socket() -> object:
    return _connects("\0" + GIVEN["abstract"])


@attempt("attach shared memory of another process")
def shared_memory() -> object:
    key = checked(libc.shmget(ctypes.c_int(GIVEN["shared memory"]), ctypes.c_size_t(0), 0o600))
    libc.shmat.restype = ctypes.c_void_p
    return libc.shmat(key, None, 0) != ctypes.c_void_p(-1).value


def _connects(address: str) -> bool:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(20)
        peer.connect(address)
    return True
