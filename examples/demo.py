"""The demo of `make demo`: an installation of its own, one example, one apply, its state.

It talks to the server as any program would: through the API, with a token. `--once` ends it when
all is shown, with exit status 0 only if the state really is in the backend.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from runner.errors import ToolError
from runner.processes import room
from runner.tools import tool
from runner.tools.tool import Tool

HERE = Path(__file__).parent
DEMO = HERE.parent / ".demo"
PATIENCE_SECONDS = 600.0
POLL_SECONDS = 0.2
PR_SET_PDEATHSIG = 1
LONGEST_FOLDER = 40  # providers have unix sockets below it, which have 107 bytes for a name
ENDED = {"applied", "planned_and_finished", "errored", "canceled", "stale", "lost", "discarded"}


class Failed(Exception):
    """The demo cannot go on. The message is for the one who watches it."""


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--once"]):
        print("usage: make demo [ARGS=--once]", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell may have them ignored
        signal.signal(number, signal.default_int_handler)
    try:
        with own_folder() as folder, server(folder) as api:
            show(folder, api)
            if not arguments:
                print("\nThe server is running. Ctrl-C stops it.", flush=True)
                signal.pause()
    except Failed as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. `make demo` starts afresh.")
    return 0


def show(folder: Path, api: Api) -> None:
    chosen = choose_tool()
    repository = make_repository(folder / "repositories" / "hello")

    title("Four calls of the API: a project, a template with its workspace, a run, an approval")
    project = api.post("/projects", {"name": "demo"})
    template = api.post(
        f"/projects/{project['name']}/templates",
        {"repository": str(repository), "tool": chosen.name, "workspace": {"name": "hello"}},
    )
    run = api.post("/projects/demo/runs", {"template": template["name"], "operation": "apply"})

    path = f"/projects/demo/runs/{run['id']}"
    title(f"Run {run['id']}: its steps, and what {chosen.name} says")
    offset = follow(api, path, 0)
    run = api.get(path)
    if run["status"] == "planned":
        title("The plan waits for an approval. The fourth call gives it, and exactly it is applied")
        api.post(f"{path}/approve", {"comment": "It is what the demo wants."})
        follow(api, path, offset)
        run = api.get(path)
    if run["status"] != "applied":
        error = run["error"] or {"message": "it says no more"}
        raise Failed(f"the run is {run['status']}: {error['message']}")
    tell_detection(run["detection"])
    tell_state(api, folder, chosen)


def choose_tool() -> Tool:
    """What is on PATH, else the Terraform in the extra stateroom[terraform]. Raises Failed."""
    only_tofu = shutil.which("tofu") and not shutil.which("terraform")
    try:
        found = tool.find("tofu" if only_tofu else "terraform", None, None)
    except ToolError as error:
        raise Failed(error.message) from None
    version = ".".join(map(str, found.version))
    if found.origin == "wheel":
        print(
            f"Tool: neither terraform nor tofu is on PATH, so this is Terraform {version} from the"
        )
        print(
            "extra stateroom[terraform]. Its licence is the Business Source License 1.1 (BUSL-1.1)."
        )
    else:
        print(f"Tool: {found.name} {version}, from {found.origin}")
    return found


def make_repository(folder: Path) -> Path:
    """A git repository with the example in it, as yours would be somewhere else."""
    shutil.copytree(HERE / "hello", folder)
    nobody = ["-c", "user.name=Demo", "-c", "user.email=demo@example.com"]
    clean = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], [*nobody, "commit", "-qm", "Hi"]):
        subprocess.run(["git", *arguments], cwd=folder, env=clean, check=True)
    return folder


def follow(api: Api, path: str, offset: int) -> int:
    """Print the run's log as it grows, until the run waits or has ended; where the log ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        run = api.get(path)
        text, headers = api.get_text(f"{path}/log?offset={offset}")
        print(text, end="", flush=True)
        offset = int(headers["X-Log-Next-Offset"])
        waits = run["status"] == "planned" and run["approved_at"] is None
        if headers["X-Log-Complete"] == "true" or (waits and offset >= run["log_size"]):
            return offset
        time.sleep(POLL_SECONDS)
    raise Failed(f"the run did not end within {PATIENCE_SECONDS:g} seconds")


def tell_detection(found: dict[str, Any]) -> None:
    title("What was detected, and what was done about it")
    where = f" ({found['file']}:{found['line']})" if found["file"] else ""
    print(f"Verdict: {found['verdict']}{where}: {found['why']}")
    print(f"Written into the run's checkout as {found['override_file']}:\n")
    print(indented(found["override"]))


def tell_state(api: Api, folder: Path, chosen: Tool) -> None:
    """Print the state and how to open it. Raises Failed unless it is in the backend."""
    workspace = api.get("/projects/demo/workspaces/hello")
    version = workspace["state"]["current"]
    if version is None:
        raise Failed("the run was applied, but the backend has no state")
    document = json.loads(api.get_text("/projects/demo/workspaces/hello/states/latest/download")[0])
    outputs = api.get("/projects/demo/workspaces/hello/outputs")["outputs"]
    if document["lineage"] != version["lineage"] or not document["resources"] or not outputs:
        raise Failed("the state in the backend is not the one that the run made")

    title("The state, as the backend keeps it")
    print(f"version {version['number']}, serial {version['serial']}, lineage {version['lineage']}")
    for name, output in outputs.items():
        print(f"output {name} = {json.dumps(output['value'])}")

    title("Open it from another folder")
    print(snippet(workspace["addresses"], api.token, chosen))
    title("The server")
    print(f"URL    {api.url}\ntoken  {api.token}\ndata   {folder / 'data'}")


def snippet(addresses: dict[str, Any], token: str, chosen: Tool) -> str:
    names = ("address", "lock_address", "unlock_address", "username")
    width = max(map(len, names))
    block = "\n".join(f'    {name.ljust(width)} = "{addresses[name]}"' for name in names)
    from_wheel = f'{chosen.name}() {{ {shlex.join(chosen.argv)} "$@"; }}'
    return "\n".join(
        [
            *([from_wheel] if chosen.origin == "wheel" else []),
            'cd "$(mktemp -d)"',
            "cat > backend.tf <<'END'",
            'terraform {\n  backend "http" {\n' + block + "\n  }\n}",
            "END",
            f"export TF_HTTP_PASSWORD={token}",
            f"{chosen.name} init && {chosen.name} state pull",
        ]
    )


@contextmanager
def own_folder() -> Iterator[Path]:
    """An empty folder in .demo that no other demo uses now."""
    number = 1
    while True:
        DEMO.mkdir(exist_ok=True)
        with (DEMO / f"{number}.lock").open("w") as lock:
            if is_free(lock):
                with emptied(DEMO / str(number)) as folder:
                    (folder / "repositories").mkdir()
                    yield folder
                return
        number += 1


@contextmanager
def emptied(folder: Path) -> Iterator[Path]:
    """The folder without what was in it; a temporary one if its name is too long for sockets."""
    if len(os.fsencode(folder)) > LONGEST_FOLDER:
        with TemporaryDirectory(prefix="stateroom-") as short:
            yield Path(short)
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    yield folder


def is_free(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sandbox(folder: Path) -> dict[str, str]:
    """The setting for a machine that has no sandbox: a worker asks for it by name."""
    chosen = room.chosen("auto", folder / "tried", room.Terms().users)
    if chosen.layer != "none":
        return {}
    print(f"Nothing here can confine a run; the demo's own example runs without. {chosen.why}")
    return {"STATEROOM_SANDBOX": "none"}


@contextmanager
def server(folder: Path) -> Iterator[Api]:
    """`stateroom up` on a free loopback port; stopped when the block ends."""
    environment = {n: v for n, v in os.environ.items() if not n.startswith("STATEROOM_")} | {
        "STATEROOM_DATA_DIR": str(folder / "data"),
        "STATEROOM_LOCAL_REPOSITORIES": str(folder / "repositories"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        **sandbox(folder),
    }
    log = folder / "server.log"
    with log.open("w") as errors:
        up = subprocess.Popen(
            [sys.executable, "-P", "-m", "stateroom", "up", "--host", "127.0.0.1", "--port", "0"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for the demo, which then stops the server
            preexec_fn=die_with_the_demo,  # noqa: PLW1509 - there is one thread
        )
    try:
        url = first_url(up)
        if url is None:
            raise Failed(f"the server did not start:\n{log.read_text()}")
        print(f"Server: {url} (its log: {log})")
        yield Api(url, (folder / "data" / "admin-token").read_text().strip())
    finally:
        up.send_signal(signal.SIGINT)
        up.wait()


def die_with_the_demo() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)


def first_url(up: subprocess.Popen[str]) -> str | None:
    for line in up.stdout or ():
        if line.startswith("Stateroom is at "):
            return line.split()[-1]
    return None


@dataclass(frozen=True)
class Api:
    """The whole of a client: JSON over HTTP, with the token as Bearer."""

    url: str
    token: str

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        print(f"POST /api/v1{path} {json.dumps(body)}")
        answer: dict[str, Any] = json.loads(self._send(path, json.dumps(body).encode())[0])
        return answer

    def get(self, path: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._send(path)[0])
        return answer

    def get_text(self, path: str) -> tuple[str, dict[str, str]]:
        return self._send(path)

    def _send(self, path: str, body: bytes | None = None) -> tuple[str, dict[str, str]]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/v1{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.read().decode(errors="replace"), dict(response.headers)
        except urllib.error.HTTPError as error:
            problem = error.read().decode()
            raise Failed(
                f"{request.get_method()} {path} answered {error.code}: {problem}"
            ) from None


def title(text: str) -> None:
    print(f"\n── {text} " + "─" * max(0, 76 - len(text)), flush=True)


def indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
