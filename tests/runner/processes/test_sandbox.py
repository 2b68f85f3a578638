import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from runner.errors import ToolError
from runner.processes import sandbox
from runner.processes.process import Captured, capture
from runner.processes.sandbox import Confinement
from tests.support.required import missing


@pytest.fixture(autouse=True)
def _landlock() -> None:
    if sandbox.available() == "none":
        missing("this kernel has no Landlock")


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder: a keyring, another run's work folder, and `work`."""
    with TemporaryDirectory(prefix="d") as made:
        folder = Path(made)
        (folder / "keyring").write_text("the key")
        (folder / "other").mkdir()
        (folder / "other" / "plan").write_text("a plan")
        (folder / "work").mkdir()
        yield folder


def confined(data: Path, script: str, *readable: Path, hidden: tuple[Path, ...] = ()) -> Captured:
    return capture(
        ["sh", "-c", script],
        env={"PATH": os.defpath, "DATA": str(data)},
        cwd=data / "work",
        deadline=20,
        confine=Confinement((data / "work",), readable, hidden),
    )


@pytest.mark.parametrize(
    "script",
    [
        "cat $DATA/keyring",
        "cat ../keyring",
        "cat /proc/self/root$DATA/keyring",
        "cat /proc/self/cwd/../keyring",
        "ln -s ../keyring link && cat link",
        "ln ../keyring hard && cat hard",
        "cp $DATA/other/plan .",
        "ls $DATA",
        "mv ../keyring .",
    ],
)
def test_a_run_cannot_open_what_is_beside_its_work_folder(data: Path, script: str) -> None:
    done = confined(data, script)

    assert done.returncode != 0
    assert b"the key" not in done.stdout
    assert (data / "keyring").read_text() == "the key"


@pytest.mark.parametrize("target", ["../keyring", "../new", "/tmp/stateroom-new", "/etc/passwd"])
def test_a_run_writes_only_into_its_work_folder(data: Path, target: str) -> None:
    passwd = Path("/etc/passwd").read_bytes()

    done = confined(data, f"echo x >> {target}")

    assert done.returncode != 0
    assert sorted(path.name for path in data.iterdir()) == ["keyring", "other", "work"]
    assert Path("/etc/passwd").read_bytes() == passwd


def test_a_run_works_in_its_work_folder_as_ever(data: Path) -> None:
    script = "mkdir -p a/b; echo '#!/bin/sh\necho hi' >a/x; chmod +x a/x; mv a/x a/b/y; ./a/b/y"

    done = confined(data, f"{script}; rm -r a; echo gone >/dev/null; head -c 1 /etc/passwd")

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"hi\n")


def test_what_is_given_to_read_can_be_read_and_not_written(data: Path) -> None:
    done = confined(data, "cat ../other/plan; echo x > ../other/plan", data / "other")

    assert done.stdout == b"a plan"
    assert (data / "other" / "plan").read_text() == "a plan"


def test_a_path_that_does_not_exist_hinders_nobody(data: Path) -> None:
    assert confined(data, "echo hi", data / "nowhere", data / "keyring" / "x").stdout == b"hi\n"


def test_a_run_cannot_read_the_environment_of_its_worker(data: Path) -> None:
    done = confined(data, "cat /proc/$PPID/environ; cat /proc/self/environ")

    assert b"Permission denied" in done.stderr
    assert b"DATA=" in done.stdout


def test_a_run_cannot_kill_its_worker(data: Path) -> None:
    if sandbox.available() < "landlock 6":
        missing("this Landlock does not know signals")

    done = confined(data, "kill -0 $PPID")

    assert b"not permitted" in done.stderr


def test_a_run_as_root_cannot_make_itself_a_disk(data: Path) -> None:
    done = confined(data, "mknod disk b 8 0")

    assert done.returncode != 0
    assert not (data / "work" / "disk").exists()


def test_a_program_inside_the_sandbox_cannot_leave_it_by_another_one(data: Path) -> None:
    done = confined(data, f"{sys.executable} -c 'print(1)'; sh -c 'sh -c \"cat ../keyring\"'")

    assert b"the key" not in done.stdout


def test_a_data_folder_inside_a_system_folder_can_be_hidden(data: Path) -> None:
    inside = Path("/etc/ssl")

    done = confined(data, "ls /etc/ssl; cat /etc/hostname /etc/passwd | wc -l", hidden=(inside,))

    assert b"Permission denied" in done.stderr
    assert int(done.stdout) > 1


def test_what_is_given_to_read_does_not_bring_a_data_folder_inside_of_it_along(data: Path) -> None:
    (data / "stateroom").mkdir()
    (data / "stateroom" / "keyring").write_text("another key")
    hidden = (data / "stateroom",)
    script = "cat $DATA/other/plan $DATA/stateroom/keyring"

    done = confined(data, script, data, hidden=hidden)

    assert (done.returncode, done.stdout) == (1, b"a plan")


def test_what_is_given_to_read_inside_a_hidden_folder_can_be_read(data: Path) -> None:
    done = confined(data, "cat $DATA/other/plan $DATA/keyring", data / "other", hidden=(data,))

    assert (done.returncode, done.stdout) == (1, b"a plan")


def test_connections_over_unix_sockets_with_a_path_still_work(data: Path) -> None:
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(data / "agent"))
        agent.listen()
        script = (
            "import os, socket\n"
            "socket.socket(socket.AF_UNIX).connect(os.environ['DATA'] + '/agent')\n"
        )

        done = confined(data, f'{sys.executable} -c "{script}"', *prefixes())

    assert (done.returncode, done.stderr) == (0, b"")


def test_the_worker_itself_stays_free(data: Path) -> None:
    confined(data, "true")

    assert (data / "keyring").read_text() == "the key"


def test_a_sandbox_that_is_required_and_not_there_stops_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox, "_abi", lambda: 0)

    with pytest.raises(ToolError) as refused:
        sandbox.choose("required", Confinement(()))

    assert refused.value.code == "sandbox-unavailable"
    assert sandbox.choose("auto", Confinement(())) is None
    assert sandbox.available() == "none"


def test_a_sandbox_can_be_turned_off() -> None:
    assert sandbox.choose("off", Confinement(())) is None
    assert sandbox.choose("auto", Confinement(())) == Confinement(())


@pytest.mark.parametrize("abi", [2, 3, 4, 5, 6, 7])
def test_older_kernels_get_what_they_know(
    data: Path, abi: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "_abi", lambda: abi)

    done = confined(data, "cat ../keyring; echo hi > file; mkdir d; mv file d; cat d/file")

    assert done.stdout == b"hi\n"
    assert b"Permission denied" in done.stderr


def test_nothing_of_a_sandbox_stays_open_in_the_worker(data: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - their names are numbers

    confined(data, "true")

    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above


def prefixes() -> tuple[Path, ...]:
    return Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent.parent


def test_a_shell_without_a_sandbox_would_have_read_it(data: Path) -> None:
    done = subprocess.run(["cat", str(data / "keyring")], capture_output=True, check=True)

    assert done.stdout == b"the key"
