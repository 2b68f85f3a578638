"""A run that has ended is queued again, and plans what its branch is now."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.place import Place
from tests.support.queued_run import QueuedRun
from tests.support.repositories import Repository

MODULE = """\
variable "word" {}

resource "terraform_data" "a" {
  input = var.word
}

resource "terraform_data" "b" {}
"""


def test_a_retry_takes_what_was_missing_and_the_newest_commit_and_keeps_its_targets(
    run_place: Callable[..., Place], repository: Repository
) -> None:
    place = run_place({"main.tf": MODULE})
    old = place.queue("apply", targets=["terraform_data.a"])
    failed = old.wait("errored")
    place.set_variable("word", "one")
    newest = repository.commit({"main.tf": MODULE + "# fixed\n"})

    made = place.api.post(f"{old.path}/retry")
    ended = QueuedRun(place.api, f"{old.path.rpartition('/')[0]}/{made['id']}").wait("applied")

    assert failed["error"]["code"] == "variable-missing"
    assert (ended["retry_of"], ended["commit"]) == (old.id, newest)
    [resource] = place.state.read().json()["resources"]
    assert resource["name"] == "a"
