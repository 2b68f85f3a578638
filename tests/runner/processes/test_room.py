"""The sandbox of a run, in each layer that this machine has. docs/security.md has the table."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from runner.errors import ToolError
from runner.job import RoomLimits, SandboxMode
from runner.processes import landlock, process, room, sandbox
from runner.processes.limits import CPU, DISK, MEMORY, PROCESSES
from runner.processes.process import Captured, capture
from runner.processes.room import Terms
from runner.processes.sandbox import Sandbox
from tests.support import rooms
from tests.support.processes import wait_until
from tests.support.project import ROOT
from tests.support.required import missing
from tests.support.rooms import LAYERS, PREFIXES, shell

Confined = Callable[..., Captured]


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder: a keyring, and another run's work folder."""
    with TemporaryDirectory(prefix="d") as made:
        folder = Path(made)
        folder.chmod(0o755)
        (folder / "keyring").write_text("the key")
        (folder / "other").mkdir()
        (folder / "other" / "plan").write_text("a plan")
        yield folder


@pytest.fixture(params=LAYERS)
def mode(request: pytest.FixtureRequest, data: Path) -> SandboxMode:
    found: SandboxMode = request.param
    rooms.need(found, data / "work")
    return found


@pytest.fixture
def confined(data: Path, mode: SandboxMode) -> Confined:
    def run(script: str, *readable: Path, hidden: tuple[Path, ...] = ()) -> Captured:
        with rooms.opened(data, mode, *readable, hidden=hidden) as made:
            return shell(made, script, DATA=str(data))

    return run


def at_work(seconds: str) -> list[int]:
    """The processes that sleep for so long."""
    found = psutil.process_iter(["cmdline"])
    return [process.pid for process in found if seconds in (process.info["cmdline"] or ())]


@pytest.mark.parametrize(
    "script",
    [
        "cat $DATA/keyring",
        "cat ../../../keyring",
        "cat /proc/self/root$DATA/keyring",
        "cat /proc/self/cwd/../../../keyring",
        "ln -s $DATA/keyring link && cat link",
        "ln $DATA/keyring hard && cat hard",
        "cp $DATA/other/plan .",
        "ls $DATA",
        "mv $DATA/keyring .",
        "chmod 644 $DATA/keyring",
        "chmod 777 $DATA",
        "chown 1 $DATA/keyring",
    ],
)
def test_a_run_cannot_reach_what_is_beside_its_work_folder(
    data: Path, confined: Confined, mode: SandboxMode, script: str
) -> None:
    if mode == "landlock" and script.startswith("ch"):
        pytest.skip("Landlock does not govern modes and owners: docs/security.md says so")
    facts = (data.stat().st_mode, (data / "keyring").stat())

    done = confined(script)

    assert done.returncode != 0
    assert b"the key" not in done.stdout
    assert (data / "keyring").read_text() == "the key"
    assert (data.stat().st_mode, (data / "keyring").stat().st_mode) == (facts[0], facts[1].st_mode)


@pytest.mark.parametrize(
    "target", ["$DATA/keyring", "$DATA/new", "/etc/passwd", "/usr/new", "/new"]
)
def test_a_run_writes_only_into_its_work_folder(
    data: Path, confined: Confined, target: str
) -> None:
    passwd = Path("/etc/passwd").read_bytes()

    done = confined(f"echo x >> {target}")

    assert done.returncode != 0
    left = {path.name for path in data.iterdir()} - {"work.locks"}  # there with a run's own user
    assert left == {"keyring", "other", "work"}
    assert Path("/etc/passwd").read_bytes() == passwd


def test_a_run_works_in_its_work_folder_as_ever(confined: Confined) -> None:
    script = "mkdir -p a/b; echo '#!/bin/sh\necho hi' >a/x; chmod +x a/x; mv a/x a/b/y; ./a/b/y"

    done = confined(f"{script}; rm -r a; echo gone >/dev/null; head -c 1 /etc/passwd")

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"hi\n")


def test_what_is_given_to_read_can_be_read_and_not_written(data: Path, confined: Confined) -> None:
    done = confined("cat $DATA/other/plan; echo x > $DATA/other/plan", data / "other")

    assert done.stdout == b"a plan"
    assert (data / "other" / "plan").read_text() == "a plan"


def test_a_path_that_does_not_exist_hinders_nobody(data: Path, confined: Confined) -> None:
    assert confined("echo hi", data / "nowhere", data / "keyring" / "x").stdout == b"hi\n"


def test_a_run_cannot_read_the_environment_of_its_worker(confined: Confined) -> None:
    done = confined(f"cat /proc/{os.getpid()}/environ /proc/$PPID/environ; cat /proc/self/environ")

    assert b"PYTEST" not in done.stdout
    assert b"DATA=" in done.stdout


def test_a_run_cannot_signal_or_limit_its_worker(confined: Confined, mode: SandboxMode) -> None:
    if mode == "landlock" and landlock.version() < 6:
        pytest.skip("this Landlock does not know signals")
    us = psutil.Process()
    before = us.rlimit(psutil.RLIMIT_NOFILE)
    # Landlock does not govern limits: docs/security.md says so
    limit = "" if mode == "landlock" else f"prlimit --pid {us.pid} --nofile=2000:2000;"

    done = confined(f"{limit} kill -0 {us.pid} || kill -0 $PPID || exit 7")

    assert done.returncode == 7
    assert us.rlimit(psutil.RLIMIT_NOFILE) == before


def test_a_run_sees_only_its_own_processes(data: Path) -> None:
    with rooms.opened(data, "required") as made:
        done = shell(made, "ls /proc | grep -c '^[0-9]'; hostname")

    assert int(done.stdout.split()[0]) <= 5
    assert done.stdout.split()[1] == b"stateroom"


def test_a_run_as_root_cannot_make_itself_a_disk(confined: Confined) -> None:
    assert confined("mknod disk b 8 0").returncode != 0


def test_a_data_folder_inside_a_system_folder_is_hidden(confined: Confined) -> None:
    inside = Path("/usr/share/zoneinfo")

    done = confined("ls /usr/share/zoneinfo | wc -l; ls /usr/share/doc | wc -l", hidden=(inside,))

    hidden, beside = map(int, done.stdout.split())
    assert hidden == 0
    assert beside > 1


def test_a_file_inside_a_system_folder_is_hidden(confined: Confined) -> None:
    file = Path("/etc/ssl/openssl.cnf")
    if not file.exists():
        missing(f"{file} is not there")

    done = confined(f"cat {file} | wc -c; ls /etc/ssl/certs | wc -l", hidden=(file,))

    hidden, beside = map(int, done.stdout.split())
    assert hidden == 0
    assert beside > 1


def test_what_is_given_to_read_does_not_bring_a_data_folder_inside_of_it_along(
    data: Path, confined: Confined
) -> None:
    (data / "stateroom").mkdir()
    (data / "stateroom" / "keyring").write_text("another key")
    script = "cat $DATA/other/plan $DATA/stateroom/keyring"

    done = confined(script, data, hidden=(data / "stateroom",))

    assert (done.returncode, done.stdout) == (1, b"a plan")


def test_a_hidden_name_wins_only_over_what_is_given_around_it(
    data: Path, confined: Confined
) -> None:
    done = confined("cat $DATA/other/plan $DATA/keyring", data / "other", hidden=(data,))

    assert (done.returncode, done.stdout) == (1, b"a plan")


def test_what_left_its_session_and_environment_ends_with_its_command(
    data: Path, mode: SandboxMode
) -> None:
    with rooms.opened(data, mode) as made:
        done = shell(made, "env -i setsid sh -c 'sleep 7013.5 & sleep 7013.5' & sleep 0.2")

        assert done.returncode == 0
        assert not at_work("7013.5")


def test_who_ends_the_first_process_of_a_sandbox_ends_everything_in_it(data: Path) -> None:
    with rooms.opened(data, "required") as made:
        killed = made.pid

        def kill(_said: bytes) -> None:
            os.kill(killed, signal.SIGKILL)

        done = process.run(
            ["sh", "-c", "echo ready; setsid sleep 7014.5 & sleep 7014.5"],
            env={"PATH": os.defpath},
            cwd=made.seen.checkout,
            output=kill,
            deadline=60,
            room=made,
        )
        with pytest.raises(ToolError) as refused:
            shell(made, "true")

    assert done.returncode == -signal.SIGKILL
    assert refused.value.code == "sandbox-ended"
    assert not at_work("7014.5")


HOG = "perl -e '$n = 110 << 20; $x = q(a) x $n; sleep 9'"
# a worker whose command was canceled, and heard that, is killed
KILLED_AFTER_A_CANCEL = """
import os, signal, sys
from pathlib import Path
from runner.processes import process
from tests.support import rooms

heard = Path(sys.argv[1], "work", "run-1.1", "tmp", "heard")

def stop():
    if heard.exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return process.StopLevel.INTERRUPT if ready else process.StopLevel.GO_ON

ready = []
count = 'trap "echo x >> $0" INT; echo ready; for i in $(seq 30); do sleep 0.1; done; touch $0.end'
with rooms.opened(Path(sys.argv[1]), sys.argv[2], grace=20) as made:
    process.run(
        ["sh", "-c", count, str(made.seen.tmp / "heard")],
        env={"PATH": os.defpath},
        cwd=made.seen.checkout,
        output=ready.append,
        deadline=60,
        stop=stop,
        stop_grace=20,
        room=made,
    )
"""


def test_a_command_that_was_interrupted_hears_no_second_signal_when_its_worker_dies(
    data: Path, mode: SandboxMode
) -> None:
    argv = [sys.executable, "-c", KILLED_AFTER_A_CANCEL, str(data), mode]
    tmp = data / "work" / "run-1.1" / "tmp"

    killed = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False, timeout=60)
    wait_until((tmp / "heard.end").exists, "the command to end by itself")

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp / "heard").read_text() == "x\n"


LIMITS = RoomLimits(memory=300 << 20, processes=100, files=64, disk=50 << 20, cpu=2)


@pytest.mark.parametrize(
    ("script", "exceeded"),
    [
        ("for i in 1 2 3 4; do " + HOG + " & done; wait; exit 1", MEMORY),
        ("for i in $(seq 150); do sleep 9 & done; wait; exit 1", PROCESSES),
        ("head -c 90000000 /dev/zero > big; exit 1", DISK),
        ("for i in 1 2 3 4 5 6 7 8; do head -c 10000000 /dev/zero > f$i; done; sleep 20", DISK),
        ("head -c 90000000 /dev/zero > /dev/shm/big; exit 1", DISK),
        ("while :; do :; done", CPU),
    ],
)
def test_what_takes_more_than_it_may_ends_and_is_named(
    data: Path, mode: SandboxMode, script: str, exceeded: int
) -> None:
    if "/dev/shm" in script and mode != "required":
        pytest.skip("it cannot be written at all")

    with rooms.opened(data, mode, limits=LIMITS) as made:
        done = shell(made, script)
        after = shell(made, "echo fine")

    assert done.returncode != 0
    assert done.exceeded == exceeded
    assert (after.stdout, after.exceeded) == (b"fine\n", 0)


@pytest.mark.parametrize(
    "script",
    [
        "perl -e '$x = q(a) x (400<<20)'",
        "perl -e 'open my $f[$_], q(<), q(/dev/null) or die for 0..99'",
    ],
)
def test_one_process_gets_no_more_than_a_run_may_take(
    data: Path, mode: SandboxMode, script: str
) -> None:
    with rooms.opened(data, mode, limits=LIMITS) as made:
        assert shell(made, script).returncode != 0


def test_a_program_of_ours_works_in_it(confined: Confined, mode: SandboxMode) -> None:
    if mode == "user" and not Path("/root").stat().st_mode & 1:
        pytest.skip("another user may not be able to reach our Python")
    script = f"{sys.executable} -c 'print(6 * 7)'"

    assert confined(script, *PREFIXES).stdout == b"42\n"


def test_a_socket_of_the_machine_is_out_of_reach(data: Path) -> None:
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(data / "agent"))
        agent.listen()
        connect = f"import socket; socket.socket(socket.AF_UNIX).connect('{data}/agent')"

        with rooms.opened(data, "required", *PREFIXES) as made:
            done = capture(
                [sys.executable, "-c", connect],
                env={"PATH": os.defpath},
                cwd=made.seen.checkout,
                deadline=60,
                room=made,
            )

    assert b"FileNotFoundError" in done.stderr


def test_every_run_finds_its_folder_at_the_same_place(data: Path) -> None:
    seen = []
    for _ in range(2):
        with rooms.opened(data, "required") as made:
            seen.append(shell(made, "pwd; echo $HOME", HOME=str(made.seen.home)).stdout)

    assert seen == [b"/stateroom/checkout\n/stateroom/home\n"] * 2


def test_a_path_that_a_run_cannot_see_is_known(data: Path, mode: SandboxMode) -> None:
    with rooms.opened(data, mode, data / "other") as made:
        hidden = [made.hides(str(path)) for path in (data / "keyring", data / "nowhere")]
        shown = [made.hides(str(path)) for path in (data / "other" / "plan", Path("/usr/bin"))]

    assert hidden == [True, False]
    assert shown == [False, False]


def test_a_sandbox_that_is_required_and_not_there_is_refused() -> None:
    with pytest.raises(ToolError) as refused:
        sandbox.check("required", Sandbox("landlock", 7, "namespaces: forbidden here."))

    assert refused.value.code == "sandbox-unavailable"
    assert "forbidden here" in refused.value.message


def test_no_sandbox_at_all_is_refused_unless_it_is_asked_for_by_name() -> None:
    with pytest.raises(ToolError, match="STATEROOM_SANDBOX=none"):
        sandbox.check("auto", Sandbox("none", 0, "the kernel has no Landlock."))

    sandbox.check("none", Sandbox("none"))


def test_a_worker_without_bubblewrap_takes_the_next_layer_and_says_why(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(data))
    if not landlock.version():
        pytest.skip("this kernel has no Landlock")

    chosen = room.chosen("auto", data / "work", Terms().users)

    assert chosen.layer in ("user", "landlock")
    assert "bubblewrap (bwrap) is not installed" in chosen.why


@pytest.mark.parametrize("abi", [2, 3, 4, 5, 6, 7])
def test_older_kernels_get_what_they_know(
    data: Path, abi: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if landlock.version() < abi:
        pytest.skip(f"this kernel has no Landlock {abi}")
    monkeypatch.setattr(landlock, "version", lambda: abi)
    script = "cat $DATA/keyring; echo hi > file; mkdir d; mv file d; cat d/file"

    with rooms.opened(data, "landlock") as made:
        done = shell(made, script, DATA=str(data))

    assert done.stdout == b"hi\n"
    assert b"Permission denied" in done.stderr


def test_nothing_of_a_sandbox_stays_open_in_the_worker(data: Path, mode: SandboxMode) -> None:
    with rooms.opened(data, mode):
        pass
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - their names are numbers

    with rooms.opened(data, mode) as made:
        shell(made, "true")

    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above


def test_a_shell_without_a_sandbox_would_have_read_it(data: Path) -> None:
    done = subprocess.run(["cat", str(data / "keyring")], capture_output=True, check=True)

    assert done.stdout == b"the key"
