"""What the git that terraform init calls for modules may reach, and with which credentials."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from runner.errors import SourceError, ToolError
from runner.events import StopLevel
from runner.job import Job, SourcePolicy
from runner.processes import proc
from runner.processes.process import child_environment
from runner.processes.room import Room
from runner.sources import credentials, redirects, ssh
from runner.sources.repository import Calls, Limits, module_environment
from runner.sources.url import admit

_ADDRESS = re.compile(r"unable to access '(\S+?)/?'")
_SECONDS = 60.0


@dataclass(frozen=True)
class ModuleAccess:
    """`environment` is for init alone, with paths as the worker sees them."""

    environment: dict[str, str]


@contextmanager
def access(job: Job, work: Path, room: Room) -> Iterator[ModuleAccess]:
    """Access to modules for as long as the block runs, for the commands of this room.

    The workspace's module key opens every host; a credential with a prefix only what is below it,
    and comes first. Raises SourceError with the codes of ssh.agent and `git-credential-invalid`.
    """
    policy, given = job.source.policy, job.git_credentials
    helper = credentials.helper(given, plain_http=policy.plain_http)
    environment = {
        **credentials.registry_tokens(given),
        **module_environment(policy, helper),
        **_of_local_repositories(policy, work, room),
    }
    general = () if job.module_key is None else (job.module_key,)
    reserved = credentials.keys(given)
    if not general and not reserved and not ssh.installed():
        yield ModuleAccess(environment)
        return
    with ssh.agent(
        *general,
        work=work,
        known_hosts=job.source.known_hosts,
        reserved=reserved,
        ssh_rsa_hosts=policy.ssh_rsa_hosts,
        admits=proc.descends_from(room.pid),
        owner=room.user,
    ) as agent:
        yield ModuleAccess({**environment, **agent.environment})


def _of_local_repositories(policy: SourcePolicy, work: Path, room: Room) -> dict[str, str]:
    """Let git read repositories on the machine, which are not the run's user's own.

    It reads that from a file only, not from the variables that say the rest.
    """
    if not policy.local_roots or room.user is None:
        return {}
    file = work / "gitconfig"
    file.write_text("[safe]\n\tdirectory = *\n", encoding="utf-8")
    room.hand_over(file)
    return {"GIT_CONFIG_GLOBAL": str(file)}


def explain(
    error: ToolError, job: Job, given: ModuleAccess, work: Path, stop: Callable[[], StopLevel]
) -> ToolError:
    """The error of an init, with the new address of a module that was redirected.

    Raises Stopped.
    """
    found = _ADDRESS.search(error.said)
    if error.code != "module-redirected" or not found:
        return error
    path = os.environ.get("PATH", os.defpath)
    environment = child_environment(work, work, path, given.environment)
    calls = Calls(environment, Limits(monotonic() + _SECONDS, stop))
    try:
        to = redirects.destination(calls, admit(found[1], job.source.policy), work)
    except SourceError:  # an address that may not be asked
        to = None
    if to:
        error.message += f" {found[1]} is now {to}: write that in the module's source."
    return error
