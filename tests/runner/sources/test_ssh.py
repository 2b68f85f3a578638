"""The ssh agent of a run: it opens keys of every kind, and nothing of it is left."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from runner.errors import SourceError
from runner.job import SshKey
from runner.processes.process import Captured, capture
from runner.sources import ssh
from runner.sources.ssh_key import open_key
from tests.support.ssh_keys import Form, Kind, ssh_key


def asked(agent: ssh.Agent, *argv: str) -> Captured:
    """What a command of the run gets from the agent."""
    environment = {"PATH": os.environ["PATH"], **agent.environment}
    return capture(argv, env=environment, cwd=agent.folder, deadline=30)


def held_by(agent: ssh.Agent) -> str:
    """What the agent offers: public lines."""
    done = asked(agent, "ssh-add", "-L")
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def command_lines() -> str:
    """Of everything that this test has started and that still runs."""
    return str([one.cmdline() for one in psutil.Process().children(recursive=True)])


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("passphrase", [None, "correct horse"])
def test_an_openssh_key_of_any_kind_is_held(kind: Kind, passphrase: str | None, work: Path) -> None:
    key, public = ssh_key(kind, "openssh", passphrase)

    with ssh.agent(key, work=work) as agent:
        held = held_by(agent)

    assert public in held


@pytest.mark.parametrize(("kind", "form"), [("rsa", "pem"), ("ecdsa", "pem"), ("rsa", "pkcs8")])
@pytest.mark.parametrize("passphrase", [None, "correct horse"])
def test_a_pem_key_is_held_too(kind: Kind, form: Form, passphrase: str | None, work: Path) -> None:
    key, public = ssh_key(kind, form, passphrase)

    with ssh.agent(key, work=work) as agent:
        held = held_by(agent)

    assert public in held


def test_a_key_pasted_from_windows_without_its_last_newline_is_held(work: Path) -> None:
    key, public = ssh_key()
    pasted = SshKey("  " + key.private_key.strip().replace("\n", "\r\n"))

    with ssh.agent(pasted, work=work) as agent:
        held = held_by(agent)

    assert public in held


def test_a_passphrase_that_is_not_needed_does_no_harm(work: Path) -> None:
    key, public = ssh_key()

    with ssh.agent(SshKey(key.private_key, "not needed"), work=work) as agent:
        held = held_by(agent)

    assert public in held


def test_several_keys_are_offered_in_their_order(work: Path) -> None:
    first, first_public = ssh_key()
    second, second_public = ssh_key("ecdsa")

    with ssh.agent(first, second, work=work) as agent:
        held = held_by(agent)
        command = agent.environment["GIT_SSH_COMMAND"]

    assert first_public in held
    assert second_public in held
    assert command.index("key-0.pub") < command.index("key-1.pub")


@pytest.mark.parametrize("form", ["openssh", "pem"])
@pytest.mark.parametrize("passphrase", ["wrong", None, ""])
def test_a_wrong_passphrase_is_said_without_telling_it(
    form: Form, passphrase: str | None, work: Path
) -> None:
    key, _ = ssh_key("rsa", form, "correct horse")

    with (
        pytest.raises(SourceError) as refused,
        ssh.agent(SshKey(key.private_key, passphrase), work=work),
    ):
        pass

    assert refused.value.code == "ssh-key-passphrase"
    assert "wrong" not in str(refused.value)
    assert list(work.iterdir()) == []


def test_a_curve_that_ssh_does_not_have_is_refused(work: Path) -> None:
    key = ec.generate_private_key(ec.SECP256K1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    with pytest.raises(SourceError) as refused, ssh.agent(SshKey(pem), work=work):
        pass

    assert refused.value.code == "ssh-key-invalid"
    assert "not supported" in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----",
        "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none",
        "hunter2",
    ],
)
def test_what_is_not_a_private_key_is_refused(text: str, work: Path) -> None:
    with pytest.raises(SourceError) as refused, ssh.agent(SshKey(text), work=work):
        pass

    assert refused.value.code == "ssh-key-invalid"


def test_a_private_key_is_never_on_disk_nor_in_an_argument(work: Path) -> None:
    key, _ = ssh_key(passphrase="correct horse")

    with ssh.agent(key, work=work) as agent:
        held_by(agent)
        files = [path for path in agent.folder.iterdir() if path.is_file()]
        content = "".join(path.read_text() for path in files)
        arguments = command_lines()

    assert "PRIVATE" not in content
    assert files
    assert "correct horse" not in arguments
    assert "PRIVATE" not in arguments


def test_a_key_does_not_tell_itself_to_a_log(work: Path) -> None:
    key, _ = ssh_key()

    told = repr(open_key(key))

    assert "PRIVATE" not in told
    assert "Ed25519PrivateKey" not in told


def test_the_agents_folder_is_for_its_owner_only(work: Path) -> None:
    key, _ = ssh_key()

    with ssh.agent(key, work=work) as agent:
        mode = agent.folder.stat().st_mode & 0o777
        door = (agent.folder / "agent").stat().st_mode & 0o777

    assert (mode, door) == (0o700, 0o600)


def test_the_agent_ends_with_its_block_even_when_that_fails(work: Path) -> None:
    key, _ = ssh_key()
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - their names are numbers
    peer = socket.socket(socket.AF_UNIX)

    def fail() -> None:
        with ssh.agent(key, work=work, admits=lambda _: True) as agent:
            peer.connect(agent.environment["SSH_AUTH_SOCK"])
            raise RuntimeError(held_by(agent))

    with peer, pytest.raises(RuntimeError, match="ssh-ed25519"):
        fail()

    assert peer.fileno() == -1
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above
    assert list(work.iterdir()) == []


def test_without_a_key_there_is_no_agent(work: Path) -> None:
    with ssh.agent(work=work) as agent:
        files = {path.name for path in agent.folder.iterdir()}

    assert "agent" not in files
    assert "SSH_AUTH_SOCK" not in agent.environment
    assert "IdentityAgent=none" in agent.environment["GIT_SSH_COMMAND"]


def test_a_work_folder_deeper_than_a_sockets_address_may_be_long_works(tmp_path: Path) -> None:
    key, public = ssh_key()
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)

    with ssh.agent(key, work=deep) as agent:
        held = held_by(agent)

    assert public in held
    assert not agent.folder.exists()


def test_a_machine_without_an_ssh_client_is_told_what_to_install(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SourceError) as refused, ssh.agent(work=work):
        pass

    assert refused.value.code == "ssh-not-installed"
    assert "OpenSSH's client" in str(refused.value)


def test_known_hosts_with_control_characters_are_refused(work: Path) -> None:
    with pytest.raises(SourceError) as refused, ssh.agent(work=work, known_hosts="a\x1b[2Jb"):
        pass

    assert refused.value.code == "known-hosts-invalid"
