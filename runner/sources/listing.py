"""The branches and tags of a repository, for who has mistyped one."""

from __future__ import annotations

import difflib
from pathlib import Path
from time import monotonic

from runner.errors import SourceError, Stopped
from runner.job import Login, Source
from runner.processes.ladder import go_on
from runner.sources import ssh
from runner.sources.permission import Remote
from runner.sources.refs import BRANCHES, TAGS
from runner.sources.repository import Calls, GitError, Limits, environment
from runner.sources.url import admit

SHOWN = 8
_LONGEST = 255


def close_to(source: Source, work: Path, seconds: float) -> list[str]:
    """Names of branches and tags like the one that was asked for, or some of them; none in doubt.

    `work` is the folder for git's home and ssh's files, as in source.clone.
    """
    try:
        names = _names(source, work, seconds)
    except (SourceError, GitError, Stopped):
        return []
    near = difflib.get_close_matches(source.ref or "", names, n=SHOWN, cutoff=0.4)
    return near or names[:SHOWN]


def _names(source: Source, work: Path, seconds: float) -> list[str]:
    address = admit(source.url, source.policy)
    login = source.credential if isinstance(source.credential, Login) else None
    with ssh.agent_of(source, address, work) as agent:
        known = agent.environment if agent else {}
        limits = Limits(monotonic() + seconds, go_on)
        calls = Calls({**environment(work, address, login), **known}, limits)
        listed = Remote(address, calls, work).listed()
    short = (name.removeprefix(BRANCHES).removeprefix(TAGS) for name in listed)
    return sorted({name for name in short if name.isprintable() and len(name) <= _LONGEST})
