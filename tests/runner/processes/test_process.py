import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from runner.errors import Stopped, ToolError
from runner.processes.ladder import Rung
from runner.processes.process import StopLevel, capture, child_environment, run
from runner.tools.tool import Tool
from tests.support.processes import dying_with_us

ENV = {"PATH": os.defpath}
SLOW = """
resource "terraform_data" "quick" {}
resource "terraform_data" "slow" {
  depends_on = [terraform_data.quick]
  provisioner "local-exec" { command = "echo going; exec sleep 3" }
}
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="p") as made:
        yield Path(made)


def said(script: str, folder: Path, **more: object) -> bytes:
    """What a shell script says."""
    heard: list[bytes] = []
    given = {"env": ENV, "deadline": 20.0, "output": heard.append} | more
    run(["sh", "-c", script], cwd=folder, **given)  # type: ignore[arg-type]
    return b"".join(heard)


def eventually(happened: Callable[[], bool], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not happened() and time.monotonic() < end:
        time.sleep(0.02)
    return happened()


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def after(event: Path, level: StopLevel) -> Callable[[], StopLevel]:
    """Asks to stop once the file exists."""
    return lambda: level if event.exists() else StopLevel.GO_ON


def test_a_command_tells_its_exit_code_and_what_it_said_on_both_streams(folder: Path) -> None:
    heard: list[bytes] = []

    done = run(
        ["sh", "-c", "echo out; echo err >&2; exit 3"],
        env=ENV,
        cwd=folder,
        output=heard.append,
        deadline=20,
    )

    assert (done.returncode, b"".join(heard)) == (3, b"out\nerr\n")


def test_a_line_is_heard_when_it_is_said_and_not_at_the_end(folder: Path) -> None:
    heard: list[bytes] = []

    def hear(chunk: bytes) -> None:
        heard.append(chunk)
        (folder / "heard").touch()

    said("echo one; while ! test -e heard; do sleep 0.02; done; echo two", folder, output=hear)

    assert heard == [b"one\n", b"two\n"]


def test_a_command_gets_the_given_environment_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATEROOM_DATABASE_URL", "postgresql://secret")

    names = said("env", folder, env={"PATH": os.defpath, "MINE": "yes"}).decode()

    assert "MINE=yes" in names
    assert "secret" not in names


def test_the_environment_of_a_command_is_an_allow_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("STATEROOM_KEYRING", "secret")

    given = child_environment(Path("/h"), Path("/t"), "/bin", {"MORE": "1"})

    assert given.items() >= {"HOME": "/h", "TMPDIR": "/t", "PATH": "/bin", "MORE": "1"}.items()
    assert given["HTTPS_PROXY"] == "http://proxy:3128"
    assert "STATEROOM_KEYRING" not in given


def test_a_command_reads_what_it_is_given_without_a_file_on_disk(folder: Path) -> None:
    content = b"x" * 3_000_000

    done = capture(["cat"], env=ENV, cwd=folder, deadline=20, stdin=content)

    assert done.stdout == content
    assert list(folder.iterdir()) == []


def test_a_command_that_is_given_nothing_reads_nothing(folder: Path) -> None:
    assert said("cat; echo end", folder) == b"end\n"


def test_the_streams_can_be_told_apart(folder: Path) -> None:
    done = capture(["sh", "-c", "echo out; echo err >&2"], env=ENV, cwd=folder, deadline=20)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"out\n", b"err\n")


def test_a_command_that_says_too_much_is_ended(folder: Path) -> None:
    with pytest.raises(ToolError) as refused:
        capture(["yes"], env=ENV, cwd=folder, deadline=20, limit=1000)

    assert refused.value.code == "output-too-large"


def test_what_a_command_says_can_be_written_into_a_file(folder: Path) -> None:
    command = ["sh", "-c", "echo out; echo err >&2"]

    with (folder / "said").open("w+b") as file:
        done = capture(command, env=ENV, cwd=folder, deadline=20, into=file)

    assert (folder / "said").read_bytes() == b"out\n"
    assert (done.stdout, done.stderr) == (b"", b"err\n")


def test_a_command_that_says_too_much_for_its_file_is_ended(folder: Path) -> None:
    with (folder / "said").open("wb") as file, pytest.raises(ToolError) as refused:
        capture(["yes"], env=ENV, cwd=folder, deadline=20, limit=100_000, into=file)

    assert refused.value.code == "output-too-large"
    assert (folder / "said").stat().st_size <= 100_000


def test_a_command_whose_file_cannot_be_written_is_ended(folder: Path) -> None:
    with open("/dev/full", "wb", buffering=0) as file, pytest.raises(ToolError) as refused:  # noqa: PTH123
        capture(["yes"], env=ENV, cwd=folder, deadline=20, into=file)

    assert refused.value.code == "output-unwritten"


def test_a_long_output_arrives_whole(folder: Path) -> None:
    assert len(said("head -c 20000000 /dev/zero", folder)) == 20_000_000


def test_a_command_that_does_not_exist_is_an_error_that_names_it(folder: Path) -> None:
    with pytest.raises(ToolError, match="no-such-tool") as refused:
        run(["no-such-tool"], env=ENV, cwd=folder, output=None, deadline=20)

    assert refused.value.code == "not-started"


def test_a_canceled_run_starts_nothing_more(folder: Path) -> None:
    with pytest.raises(Stopped) as stopped:
        said("touch started", folder, stop=lambda: StopLevel.INTERRUPT)

    assert stopped.value.code == "canceled"
    assert list(folder.iterdir()) == []


def test_cancel_lets_a_command_clean_up(folder: Path) -> None:
    heard: list[bytes] = []

    with pytest.raises(Stopped) as stopped:
        said(
            "trap 'echo saved; exit 7' INT; touch started; while :; do sleep 0.1; done",
            folder,
            output=heard.append,
            stop=after(folder / "started", StopLevel.INTERRUPT),
        )

    assert (stopped.value.code, stopped.value.returncode) == ("canceled", 7)
    assert b"saved" in b"".join(heard)


def test_a_command_that_ignores_two_interrupts_is_killed(folder: Path) -> None:
    heard: list[bytes] = []

    with pytest.raises(Stopped) as stopped:
        said(
            "trap 'echo no' INT; touch started; while :; do sleep 0.1; done",
            folder,
            output=heard.append,
            stop=after(folder / "started", StopLevel.INTERRUPT),
            stop_grace=0.5,
        )

    assert b"".join(heard) == b"no\nno\n"
    assert stopped.value.returncode == -signal.SIGKILL


def test_each_signal_is_told_with_the_one_that_follows(folder: Path) -> None:
    told: list[Rung] = []

    with pytest.raises(Stopped):
        said(
            "trap '' INT; touch ready; while :; do sleep 0.05; done",
            folder,
            stop=after(folder / "ready", StopLevel.INTERRUPT),
            stop_grace=0.5,
            told=told.append,
        )

    assert [(rung.sent.name, rung.following and rung.following.name) for rung in told] == [
        ("SIGINT", "SIGINT"),
        ("SIGINT", "SIGKILL"),
        ("SIGKILL", None),
    ]
    assert {rung.seconds for rung in told} == {0.5}


def test_force_cancel_does_not_wait(folder: Path) -> None:
    levels = iter([StopLevel.GO_ON, StopLevel.INTERRUPT, StopLevel.KILL])

    with pytest.raises(Stopped) as stopped:
        said(
            "trap '' INT; while :; do sleep 0.1; done",
            folder,
            stop=lambda: next(levels, StopLevel.KILL),
            stop_grace=3600.0,
            deadline=3600.0,
        )

    assert (stopped.value.code, stopped.value.returncode) == ("canceled", -signal.SIGKILL)


def test_a_command_that_takes_too_long_is_stopped(folder: Path) -> None:
    with pytest.raises(Stopped, match=r"0\.3 seconds") as stopped:
        said("sleep 60", folder, deadline=0.3, stop_grace=1.0)

    assert (stopped.value.code, stopped.value.returncode) == ("timed-out", -signal.SIGINT)


def test_a_process_that_is_left_behind_neither_lives_on_nor_holds_the_run_up(folder: Path) -> None:
    pid = int(said("sleep 3600 & echo $!", folder))

    assert eventually(lambda: not is_alive(pid))


def test_a_daemon_that_left_its_process_group_does_not_live_on(folder: Path) -> None:
    said("setsid sh -c 'echo $$ >pid; sleep 60' & while ! test -s pid; do sleep 0.1; done", folder)

    assert eventually(lambda: not is_alive(int((folder / "pid").read_text())))


def test_an_interrupt_reaches_the_children_of_the_command_too(folder: Path) -> None:
    with pytest.raises(Stopped):
        said(
            "sh -c 'trap \"touch child-saved; exit\" INT; touch started; sleep 60'; true",
            folder,
            stop=after(folder / "started", StopLevel.INTERRUPT),
        )

    assert (folder / "child-saved").exists()


def test_a_log_that_cannot_be_written_stops_the_command_gracefully(folder: Path) -> None:
    def disk_full(_: bytes) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        said(
            "trap 'touch saved; exit' INT; echo hello; while :; do sleep 0.1; done",
            folder,
            output=disk_full,
        )

    assert (folder / "saved").exists()


def test_a_worker_that_ignores_interrupts_does_not_make_its_commands_ignore_them(
    folder: Path,
) -> None:
    # celery's pool processes do
    script = (
        "import os, signal, sys; from pathlib import Path; from runner.processes import process\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n"
        "process.run(['sh', '-c', 'kill -INT $$; echo ignored'], env={'PATH': os.defpath},\n"
        "            cwd=Path(sys.argv[1]), deadline=20, output=sys.stdout.buffer.write)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, check=True
    )

    assert done.stdout == b""


def test_a_file_that_a_command_makes_is_open_to_nobody_else(folder: Path) -> None:
    said("touch file", folder)

    assert (folder / "file").stat().st_mode & 0o077 == 0


def start_worker(any_tool: Tool, folder: Path) -> subprocess.Popen[bytes]:
    """A process that runs an apply as a worker does; its output goes to a file."""
    (folder / "main.tf").write_text(SLOW)
    (folder / "home").mkdir()
    (folder / "log").touch()
    script = (
        "import os, sys; from pathlib import Path; from runner.processes import process\n"
        "folder, argv = Path(sys.argv[1]), sys.argv[2:]\n"
        "log = (folder / 'log').open('ab', buffering=0)\n"
        "env = process.child_environment(folder / 'home', folder, os.defpath, {\n"
        "    'CHECKPOINT_DISABLE': '1', 'TF_CLI_CONFIG_FILE': os.devnull})\n"
        "for step in (['init'], ['apply', '-auto-approve']):\n"
        "    process.run([*argv, *step, '-no-color', '-input=false'], env=env, cwd=folder,\n"
        "                output=log.write, deadline=60, stop_grace=20, stop=lambda:\n"
        "                process.StopLevel(int((folder / 'stop').exists())))\n"
    )
    argv = [sys.executable, "-c", script, str(folder), *any_tool.argv]
    worker = subprocess.Popen(dying_with_us(argv))
    assert eventually(lambda: b"(local-exec): going" in (folder / "log").read_bytes())
    return worker


def has_saved_and_unlocked(folder: Path) -> bool:
    state = folder / "terraform.tfstate"
    return (
        state.exists()
        and '"quick"' in state.read_text()
        and not (folder / ".terraform.tfstate.lock.info").exists()
    )


def processes_in(folder: Path) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(folder)]


def test_a_tool_whose_worker_is_killed_saves_and_unlocks(any_tool: Tool, folder: Path) -> None:
    worker = start_worker(any_tool, folder)

    worker.kill()
    worker.wait()

    assert eventually(lambda: has_saved_and_unlocked(folder))
    assert eventually(lambda: not processes_in(folder))


def test_a_canceled_apply_saves_and_unlocks(any_tool: Tool, folder: Path) -> None:
    worker = start_worker(any_tool, folder)

    (folder / "stop").touch()
    worker.wait()

    assert has_saved_and_unlocked(folder)
    assert b"nterrupt" in (folder / "log").read_bytes()
