"""Our verdict against what terraform and tofu do with the same folder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runner.detection.detect import Surroundings, inspect
from runner.detection.override import check_initialised, check_own_backend, plan_override, write
from runner.errors import DetectionError
from runner.job import Backend, ToolName
from tests.runner.detection.detection_variants import HIT, PLAIN, VARIANTS, backend
from tests.support.project import ROOT
from tests.support.tools import Tool, environment

CASES = ROOT / "tests" / "cases" / "detection"
VERSION = {"terraform": (1, 11, 4), "tofu": (1, 12, 6)}


class _Empty(BaseHTTPRequestHandler):
    """A state that was never written."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the library
        pass


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Empty)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/state"
    server.shutdown()
    thread.join()
    server.server_close()


def ours(address: str) -> Backend:
    return Backend(address, f"{address}/lock", f"{address}/unlock", "run", "secret-of-the-run")


def init(tool: Tool, folder: Path, data: Path | None = None) -> tuple[int, str]:
    """Its exit code and what it said: terraform repeats a file's bytes, so it need not be text."""
    done = subprocess.run(
        [str(tool.command), "init", "-input=false", "-no-color"],
        cwd=folder,
        env=environment(folder)
        | {"TF_DATA_DIR": str((data or folder.parent) / "data")}
        | {"TF_HTTP_USERNAME": "run", "TF_HTTP_PASSWORD": "secret-of-the-run"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def seen_by(tool: Tool, folder: Path) -> str:
    """The verdict of the tool itself, in our words, from what its init says."""
    code, said = init(tool, folder)
    words = " ".join(said.split())
    if "initialized in an empty directory" in words:
        return "empty"
    if re.search("Duplicate|Both a backend and", words):
        return "conflict"
    if re.search("Failed to read file|JSON value|block label|Missing type|Root value", words):
        return "unreadable"
    if named := re.search(r'There is no backend type named "(.+?)"\.', words):
        return f"backend:{named[1]}"
    if re.search("workspaces configuration|backend alias", words):
        return "cloud"
    return "none" if code == 0 else "error"


# a broken file: the tool stops with a diagnostic, whatever we make of it
BROKEN = (
    *("a broken file with a backend", "a broken file with a backend before the break"),
    *("a broken file without the words", "json: broken without a word"),
    *("json: text behind the value", "state_store in a primary file"),
    *("a backend with two labels", "a backend with a template as label"),
    *("a backend as an argument", "a backend on the block's line"),
)


@pytest.mark.parametrize("name", [name for name in VARIANTS if name not in BROKEN])
def test_the_tool_itself_comes_to_the_same_verdict(name: str, tool: Tool, tmp_path: Path) -> None:
    variant = VARIANTS[name]

    assert seen_by(tool, variant.create(tmp_path / "module")) == variant.expected(tool.name)


@pytest.mark.parametrize("name", BROKEN)
def test_the_tool_refuses_what_we_call_broken(name: str, tool: Tool, tmp_path: Path) -> None:
    code, said = init(tool, VARIANTS[name].create(tmp_path / "module"))

    assert code == 1
    assert "Error: " in said


@pytest.mark.parametrize("case", sorted(p.name for p in CASES.iterdir()))
def test_our_override_gives_the_tool_our_address_in_every_case_that_we_inject(
    case: str, tool: Tool, tmp_path: Path, address: str
) -> None:
    root = tmp_path / "repository"
    shutil.copytree(CASES / case / "input", root, symlinks=True)
    recorded = json.loads((CASES / case / "expected.json").read_text())
    folder, expected = root / recorded.get("path", "."), recorded["verdicts"][tool.name]
    name = _name(tool)
    verdict = inspect(folder, name, around=Surroundings(root))

    if expected in {"empty", "conflict"} or verdict.wrapper is not None:
        with pytest.raises(DetectionError):
            plan_override(folder, name, VERSION[name], verdict, "override", ours(address), None)
        return
    override = plan_override(folder, name, VERSION[name], verdict, "override", ours(address), None)
    assert override is not None
    write(folder, override)
    code, said = init(tool, folder, tmp_path)

    assert code == 0, said
    check_initialised(tmp_path / "data", ours(address))


def test_neither_the_file_nor_the_notes_of_init_hold_the_credential(
    tool: Tool, tmp_path: Path, address: str
) -> None:
    folder = tmp_path / "module"
    _injected(tool, folder, ours(address), {"main.tf": PLAIN})

    assert init(tool, folder)[0] == 0

    written = [p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()]
    assert len(written) > 2
    assert not any(b"secret-of-the-run" in content for content in written)


def test_an_address_full_of_hcl_arrives_as_it_is(tool: Tool, tmp_path: Path, address: str) -> None:
    hostile = ours(f"{address}/${{x}}/$${{y}}/$$${{z}}/a$/%25{{r}}?a='b'")
    folder = tmp_path / "module"
    _injected(tool, folder, hostile, {"main.tf": PLAIN})

    code, said = init(tool, folder)

    assert code == 0, said
    check_initialised(tmp_path / "data", hostile)


RIVALS = (
    *("zz_override.tf", "zz_override.tf.json", "zzz_override.tf", "~_override.tf"),
    *("zz_backend_override.tf.json", "zz_backend_override.tofu", "\U0010ffff_override.tf"),
)


@pytest.mark.parametrize("rival", RIVALS)
def test_no_override_file_of_the_repository_beats_ours(
    rival: str, tool: Tool, tmp_path: Path, address: str
) -> None:
    text = '{"terraform":{"backend":{"hit":{}}}}' if rival.endswith("json") else HIT
    folder = tmp_path / "module"
    _injected(tool, folder, ours(address), {"main.tf": PLAIN, rival: text})

    code, said = init(tool, folder)

    assert code == 0, said
    check_initialised(tmp_path / "data", ours(address))


def test_a_check_after_init_notices_that_the_state_would_be_local(
    tool: Tool, tmp_path: Path, address: str
) -> None:
    folder = tmp_path / "module"
    folder.mkdir()
    (folder / "main.tf").write_text(PLAIN)

    assert init(tool, folder)[0] == 0

    with pytest.raises(DetectionError) as caught:
        check_initialised(tmp_path / "data", ours(address))
    assert caught.value.code == "backend-not-ours"


def test_a_check_after_init_knows_the_repositorys_own_backend(tool: Tool, tmp_path: Path) -> None:
    folder = tmp_path / "module"
    folder.mkdir()
    (folder / "main.tf").write_text(backend("local"))
    verdict = inspect(folder, _name(tool))

    with pytest.raises(DetectionError) as caught:
        check_own_backend(tmp_path / "data", verdict)
    assert caught.value.code == "backend-not-used"

    assert init(tool, folder)[0] == 0
    check_own_backend(tmp_path / "data", verdict)


def _injected(tool: Tool, folder: Path, to: Backend, files: dict[str, str]) -> None:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    name = _name(tool)
    verdict = inspect(folder, name)
    override = plan_override(folder, name, VERSION[name], verdict, "override", to, None)
    assert override is not None
    write(folder, override)


def _name(tool: Tool) -> ToolName:
    return "tofu" if tool.name == "tofu" else "terraform"
