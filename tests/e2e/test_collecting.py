"""What was applied stays applied, whatever becomes of its outputs: they only inform."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.support.elsewhere import Http, give
from tests.support.repositories import Repository
from tests.support.small_disk import small_disk
from tests.support.stateroom import Stateroom
from tests.support.tools import Tool

MODULE = """\
resource "terraform_data" "x" {
  input = file("told")
}

output "told" {
  value = file("told") == "huge" ? join("", [for i in range(1024) : format("%01200d", i)]) : "little"
}
"""
# the outputs are read by a command of its own, when everything is in the state
TOOL = """\
#!/bin/sh
if [ "$1" = output ]; then
  case "$(cat told)" in
    noise) echo "A newer version is out." ;;
    full) cat /dev/zero >large || exit 1 ;;
  esac
fi
exec {command} "$@"
"""
WARNINGS = {
    "huge": "larger than the 1,048,576 bytes that are kept",
    "noise": "not JSON",
    "full": "The disk of the worker is full",
}


def test_outputs_that_cannot_be_kept_are_a_warning_on_a_run_that_is_applied(
    new_stateroom: Callable[..., Stateroom], repository: Repository, tool: Tool, slow_http: Http
) -> None:
    installation = new_stateroom(sandbox_readable=str(tool.command.parent))
    command = installation.folder / "tools" / tool.name
    installation.settings["tools_dir"] = command.parent
    command.parent.mkdir()
    command.write_text(TOOL.format(command=tool.command), encoding="utf-8")
    command.chmod(0o755)
    with small_disk(installation.work_dir, 64):
        place = installation.start().place(repository=str(repository.folder), tool=tool.name)
        give(place, slow_http)
        for told, warning in WARNINGS.items():
            repository.replace({"main.tf": MODULE, "backend.tf": slow_http.block, "told": told})

            ended = place.queue("apply").wait("applied")

            stored = json.loads(slow_http.stored() or b"")
            [made] = stored["resources"][0]["instances"]
            assert made["attributes"]["input"]["value"] == told
            [said] = [one for one in ended["warnings"] if "outputs could not be read" in one]
            assert warning in said
            assert ended["error"] is None
