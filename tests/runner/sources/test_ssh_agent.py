"""The door of the agent: who may ask, what may be asked, and how much."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from runner.job import SshKey
from runner.processes import proc
from runner.processes.process import Captured, capture
from runner.sources import ssh
from runner.sources.ssh_key import string
from tests.support.processes import Process, wait_until
from tests.support.project import ROOT
from tests.support.required import missing
from tests.support.ssh_keys import ssh_key

FAILURE = b"\x00\x00\x00\x01\x05"
WHICH_KEYS = b"\x00\x00\x00\x01\x0b"
NOBODY = 65_534


@pytest.fixture
def work() -> Iterator[Path]:
    """A folder with a short name, which other users may go through."""
    with TemporaryDirectory(prefix="a") as made:
        Path(made).chmod(0o711)
        yield Path(made)


def command(agent: ssh.Agent, script: str, **more: str) -> Captured:
    """A command of the run that the agent is for."""
    environment = {"PATH": os.environ["PATH"], **agent.environment, **more}
    return capture(["sh", "-c", script], env=environment, cwd=agent.folder, deadline=30)


def stranger(agent: ssh.Agent, *argv: str) -> subprocess.CompletedProcess[str]:
    """A process of the same user that knows where the agent listens."""
    environment = {"PATH": os.environ["PATH"], **agent.environment}
    return subprocess.run(
        argv or ["ssh-add", "-L"], env=environment, capture_output=True, text=True, check=False
    )


@contextlib.contextmanager
def connected(agent: ssh.Agent) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(20)
        peer.connect(agent.environment["SSH_AUTH_SOCK"])
        yield peer


def answer_of(peer: socket.socket) -> bytes:
    """One whole answer. A socket with a time-out ignores MSG_WAITALL, so pieces are joined here."""
    answer = b""
    length = 4
    while len(answer) < length:
        piece = peer.recv(length - len(answer))
        assert piece, "the agent hung up within an answer"
        answer += piece
        length = 4 + int.from_bytes(answer[:4])
    return answer


@pytest.fixture
def open_agent(work: Path) -> Iterator[ssh.Agent]:
    """One that lets this test in."""
    key, _ = ssh_key()
    with ssh.agent(key, work=work, admits=lambda pid: pid == os.getpid()) as agent:
        yield agent


def test_a_stranger_of_the_same_user_is_hung_up_on(work: Path) -> None:
    key, public = ssh_key()

    with ssh.agent(key, work=work) as agent:
        refused = stranger(agent)
        own = command(agent, "ssh-add -L")

    assert refused.returncode != 0
    assert public not in refused.stdout
    assert own.stdout.decode().strip() == public


def test_what_a_command_starts_may_use_the_keys_and_so_on(work: Path) -> None:
    key, public = ssh_key()

    with ssh.agent(key, work=work) as agent:
        done = command(agent, "sh -c 'sh -c \"ssh-add -L; true\"; true'; setsid ssh-add -L")

    assert [line.strip() for line in done.stdout.decode().splitlines()] == [public, public]


def test_a_run_does_not_get_the_keys_of_another_one(work: Path) -> None:
    mine, my_public = ssh_key()
    other, other_public = ssh_key()

    with ssh.agent(mine, work=work) as agent, ssh.agent(other, work=work) as others:
        path = others.environment["SSH_AUTH_SOCK"]
        done = command(agent, "ssh-add -L; SSH_AUTH_SOCK=$OTHER ssh-add -L", OTHER=path)
        theirs = command(others, "ssh-add -L")

    assert done.stdout.decode().strip() == my_public
    assert done.returncode != 0
    assert theirs.stdout.decode().strip() == other_public


def test_only_descendants_of_the_named_process_are_let_in(work: Path, tmp_path: Path) -> None:
    key, public = ssh_key()
    script = "read line; SSH_AUTH_SOCK=$line ssh-add -L; read line"
    argv = ["sh", "-c", f'tail -f "$0" | sh -c "{script.replace("$", chr(92) + "$")}"']
    told = tmp_path / "told"
    told.touch()
    room = Process(
        [*argv, str(told)], env={"PATH": os.environ["PATH"]}, cwd=tmp_path, log=tmp_path / "log"
    )

    with ssh.agent(key, work=work, admits=proc.descends_from(room.pid)) as agent:
        outside = command(agent, "ssh-add -L")
        told.write_text(agent.environment["SSH_AUTH_SOCK"] + "\n")
        wait_until(lambda: public in room.said() or not room.running, "the room's answer")
        said = room.said()
    room.kill_tree()

    assert outside.returncode != 0
    assert public not in outside.stdout.decode()
    assert said.strip() == public


@pytest.mark.parametrize("change", ["ssh-add -D", "ssh-add -d $KEY.pub", "ssh-add $KEY"])
def test_the_keys_cannot_be_changed_through_the_door(
    change: str, work: Path, tmp_path: Path
) -> None:
    key, public = ssh_key()
    added, _ = ssh_key()
    (tmp_path / "id").write_text(added.private_key)
    (tmp_path / "id").chmod(0o600)

    with ssh.agent(key, work=work) as agent:
        shutil.copy(agent.folder / "key-0.pub", tmp_path / "id.pub")
        done = command(agent, change, KEY=str(tmp_path / "id"))
        after = command(agent, "ssh-add -L")

    assert done.returncode != 0
    assert after.stdout.decode().strip() == public


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(string(b"\x11" + string(b"ssh-ed25519")), id="add"),
        pytest.param(string(b"\x16" + string(b"word")), id="lock"),
        pytest.param(string(b"\x1b" + string(b"session-bind@openssh.com")), id="extension"),
        pytest.param(string(b"\x0bmore"), id="list with more"),
        pytest.param(string(b"\x0d"), id="sign nothing"),
        pytest.param(string(b"\x0d" + b"\xff" * 4), id="sign by a length"),
        pytest.param(string(b"\x0d" + string(b"no key") + string(b"x") + b"\0" * 4), id="no key"),
    ],
)
def test_other_requests_fail_and_the_connection_goes_on(
    request_: bytes, open_agent: ssh.Agent
) -> None:
    with connected(open_agent) as peer:
        peer.sendall(request_)
        answer = answer_of(peer)
        peer.sendall(WHICH_KEYS)
        listed = answer_of(peer)

    assert answer == FAILURE
    assert listed[4] == 12


@pytest.mark.parametrize("header", [b"\0\0\0\0", b"\0\1\0\1", b"\xff\xff\xff\xff"])
def test_what_is_no_request_is_hung_up_on(header: bytes, open_agent: ssh.Agent) -> None:
    with connected(open_agent) as peer, connected(open_agent) as other:
        peer.sendall(header)
        hung_up = peer.recv(100)
        other.sendall(WHICH_KEYS)
        listed = answer_of(other)

    assert hung_up == b""
    assert listed[4] == 12


def test_a_request_may_arrive_in_pieces_and_several_at_once(open_agent: ssh.Agent) -> None:
    with connected(open_agent) as peer:
        for byte in WHICH_KEYS:
            peer.sendall(bytes([byte]))
        first = answer_of(peer)
        peer.sendall(WHICH_KEYS * 2)
        both = answer_of(peer) + answer_of(peer)

    assert both == first * 2


def test_who_asks_without_listening_is_hung_up_on_and_hinders_nobody(
    open_agent: ssh.Agent,
) -> None:
    with connected(open_agent) as flood, connected(open_agent) as other:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while True:
                flood.sendall(WHICH_KEYS * 1000)
        other.sendall(WHICH_KEYS)
        listed = answer_of(other)

    assert listed[4] == 12


def test_more_connections_than_there_may_be_wait_for_one_to_end(open_agent: ssh.Agent) -> None:
    with contextlib.ExitStack() as held:
        peers = [held.enter_context(connected(open_agent)) for _ in range(16)]
        for peer in peers:
            peer.sendall(WHICH_KEYS)
            assert answer_of(peer)[4] == 12
        late = held.enter_context(connected(open_agent))
        late.sendall(WHICH_KEYS)
        late.setblocking(False)
        with pytest.raises(BlockingIOError):
            late.recv(1000)

        peers[0].close()
        late.settimeout(20)
        answered = answer_of(late)

    assert answered[4] == 12


def test_who_is_connected_when_the_block_ends_is_hung_up_on(work: Path) -> None:
    key, _ = ssh_key()

    with contextlib.ExitStack() as block, socket.socket(socket.AF_UNIX) as peer:
        agent = block.enter_context(ssh.agent(key, work=work, admits=lambda _: True))
        peer.connect(agent.environment["SSH_AUTH_SOCK"])
        peer.sendall(WHICH_KEYS)
        before = answer_of(peer)
        block.close()
        peer.settimeout(20)
        after = peer.recv(1000)

    assert before[4] == 12
    assert after == b""
    assert not agent.folder.exists()


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_openssh_itself_verifies_what_the_agent_signs(kind: str, work: Path) -> None:
    key, _ = ssh_key(kind)  # type: ignore[arg-type]
    check = "ssh-keygen -q -Y check-novalidate -n test -s signed.sig < signed"
    script = f"echo hello > signed && ssh-keygen -q -Y sign -n test -f key-0.pub signed && {check}"

    with ssh.agent(key, work=work) as agent:
        done = command(agent, script)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_the_larger_curves_sign_as_well(curve: ec.EllipticCurve, work: Path) -> None:
    private = ec.generate_private_key(curve).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    check = "ssh-keygen -q -Y check-novalidate -n test -s signed.sig < signed"
    script = f"echo hello > signed && ssh-keygen -q -Y sign -n test -f key-0.pub signed && {check}"

    with ssh.agent(SshKey(private.decode()), work=work) as agent:
        done = command(agent, script)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("flags", "name", "digest"),
    [
        (0, b"ssh-rsa", hashes.SHA1()),
        (2, b"rsa-sha2-256", hashes.SHA256()),
        (4, b"rsa-sha2-512", hashes.SHA512()),
    ],
)
def test_an_rsa_key_signs_with_the_digest_that_is_asked_for(
    flags: int, name: bytes, digest: hashes.HashAlgorithm, work: Path
) -> None:
    key, line = ssh_key("rsa")
    public = serialization.load_ssh_public_key(line.encode())
    assert isinstance(public, RSAPublicKey)

    with ssh.agent(key, work=work, admits=lambda _: True) as agent, connected(agent) as peer:
        peer.sendall(WHICH_KEYS)
        blob = answer_of(peer)[13:-4]
        peer.sendall(string(b"\x0d" + string(blob) + string(b"data") + flags.to_bytes(4, "big")))
        answer = answer_of(peer)

    assert answer[9:].startswith(string(name))
    public.verify(answer[-256:], b"data", padding.PKCS1v15(), digest)


def test_another_user_is_let_in_where_that_is_asked_for(work: Path) -> None:
    if os.geteuid():
        missing("only root may become another user")
    key, public = ssh_key()
    as_nobody = f"setpriv --reuid {NOBODY} --clear-groups"
    script = f"{as_nobody} ssh-add -L; {as_nobody} touch {{folder}}/known_hosts"
    replaced = f"{as_nobody} rm -f {{folder}}/known_hosts"

    with ssh.agent(key, work=work, owner=NOBODY) as agent:
        folder = str(agent.folder)
        used = command(agent, script.format(folder=folder))
        removed = command(agent, replaced.format(folder=folder))
    with ssh.agent(key, work=work) as closed:
        refused = command(closed, f"{as_nobody} ssh-add -L")

    assert (used.returncode, used.stdout.decode().strip()) == (0, public), used.stderr
    assert removed.returncode != 0
    assert refused.returncode != 0


def test_a_killed_worker_takes_its_agent_along(work: Path, tmp_path: Path) -> None:
    key, _ = ssh_key()
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom runner.sources import ssh\n"
        "from runner.job import SshKey\n"
        "agent = ssh.agent(SshKey(sys.argv[2]), work=Path(sys.argv[1]), admits=lambda _: True)\n"
        "with agent as opened:\n"
        "    print(opened.environment['SSH_AUTH_SOCK'], flush=True)\n    time.sleep(60)\n"
    )
    worker = Process(
        [sys.executable, "-c", program, str(work), key.private_key],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        log=tmp_path / "log",
    )
    wait_until(lambda: "agent" in worker.said() or not worker.running, "the worker's agent")
    path = worker.said().strip()

    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(20)
        peer.connect(path)
        worker.kill()
        with contextlib.suppress(ConnectionResetError):
            assert peer.recv(1) == b""

    with socket.socket(socket.AF_UNIX) as late, pytest.raises(ConnectionRefusedError):
        late.connect(path)
