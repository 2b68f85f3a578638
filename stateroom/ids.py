"""Ids that were typed in part: `run_01m8m3k0` is completed when only one id begins like this."""

from __future__ import annotations

import re
from urllib.parse import unquote

import click

from client.api import Api, RequestRefused, path

# The lists of the API that have ids: how theirs begin.
LISTS = {
    "aliases": "al", "keys": "key", "members": "usr", "projects": "prj", "rescued": "rw",
    "runs": "run", "templates": "tpl", "tokens": "tok", "users": "usr", "variable-sets": "set",
    "workspaces": "ws",
}  # fmt: skip
NEWEST_FIRST = {"rescued", "runs"}
NAMED = {"aliases", "keys", "projects", "templates", "users", "variable-sets", "workspaces"}
LENGTH = 26  # of what comes after the `_`
MOST = 5  # candidates that are named

_BEGINNING = re.compile(rf"([a-z]+)_[0-9a-z]{{1,{LENGTH - 1}}}")


class CompletingApi(Api):
    """An Api whose paths may have the beginning of an id where the id belongs."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, token)
        self._known: dict[tuple[str, str], str] = {}

    def completed(self, path: str) -> str:
        """The path with whole ids. Raises UsageError when several ids begin like that."""
        done = ""
        for part in path.split("/")[1:]:
            noun = done.rpartition("/")[2]
            done += "/" + (self._whole(done, part) if _may_begin_an_id(noun, part) else part)
        return done

    def _whole(self, where: str, part: str) -> str:
        if (where, part) not in self._known:
            self._known[where, part] = part  # for the requests that find out
            self._known[where, part] = _whole(self, where, part)
        return self._known[where, part]


def whole(api: Api, project: str, noun: str, reference: str | None) -> str | None:
    """A name or id for the body of a request: `reference`, completed when it begins an id."""
    if reference is None:
        return None
    return unquote(api.completed(project + path(noun, reference)).rpartition("/")[2])


def latest_run(api: Api, project: str, run: str, workspace: str | None) -> str:
    """The id of a run: of the newest one for `latest`, in the workspace when one is named.

    Raises RequestRefused when there is no run.
    """
    if run != "latest":
        return str(whole(api, project, "runs", run))
    only = whole(api, project, "workspaces", workspace)
    found = api.get(f"{project}/runs", workspace=only, limit=1)["items"]
    if not found:
        where = f"workspace {workspace}" if workspace else f"project {project.rpartition('/')[2]}"
        raise RequestRefused(f"There is no run in the {where} yet.")
    return str(found[0]["id"])


def _may_begin_an_id(noun: str, part: str) -> bool:
    found = _BEGINNING.fullmatch(part)
    return found is not None and found[1] == LISTS.get(noun)


def _whole(api: Api, where: str, beginning: str) -> str:
    """The only id in the list that begins so; the text itself when there is none, or a name."""
    noun = where.rpartition("/")[2]
    # a page begins after its cursor: the ids that begin so are the first ones on it
    cursor = beginning + "z" * LENGTH if noun in NEWEST_FIRST else beginning
    listed = api.get(where, cursor=cursor[:40], limit=MOST + 1)["items"]
    ids = [str(item["user_id" if noun == "members" else "id"]) for item in listed]
    candidates = [one for one in ids if one.startswith(beginning)]
    if not candidates or (noun in NAMED and _is_a_name(api, where, beginning)):
        return beginning
    if len(candidates) > 1:
        more = " …" if len(candidates) > MOST else ""
        raise click.UsageError(
            f"Several ids begin with {beginning}: {', '.join(candidates[:MOST])}{more}"
        )
    return candidates[0]


def _is_a_name(api: Api, where: str, text: str) -> bool:
    try:
        api.get(where + path(text))
    except RequestRefused as refusal:
        if refusal.status != 404:
            raise
        return False
    return True
