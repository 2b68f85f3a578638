"""Looking at repositories for the server, each in a process of its own, within limits."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend import apart
from backend.errors import Conflict, Unavailable
from backend.offload import Room, off_loop
from runner.job import SourcePolicy

SECONDS = 30.0  # for fetching the sources
GRACE = 10.0  # until a process that does not end is killed
WAIT = 5.0  # for the end of others
AT_ONCE = 3  # in one process of the server; each occupies one of ten threads
MEMORY = 4 << 30  # bytes of address space, of which git maps whole packs
CPU_SECONDS = 60
LEFT_AFTER = 600.0  # seconds after which a folder is a leftover of a server that was killed
_ENVIRONMENT = (
    *("TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
_PROCESS = "execution.preview_process"


@dataclass
class _Looking:
    """A look that goes on. A newer one of the same person ends it."""

    is_old: bool = False
    tell: Callable[[int], None] | None = None
    timers: list[threading.Timer] = field(default_factory=list)

    def begin(self, tell: Callable[[int], None]) -> None:
        self.tell = tell
        self.kill_after(SECONDS + 2 * GRACE)
        if self.is_old:
            self.end()

    def end(self) -> None:
        """Ask it to end, and kill it if it does not."""
        self.is_old = True
        if self.tell is not None:
            self.tell(signal.SIGTERM)
            self.kill_after(GRACE)

    def kill_after(self, seconds: float) -> None:
        if self.tell is not None:
            timer = threading.Timer(seconds, self.tell, (signal.SIGKILL,))
            timer.daemon = True
            timer.start()
            self.timers.append(timer)

    def has_ended(self) -> None:
        self.tell = None
        for timer in self.timers:
            timer.cancel()


class Previews:
    """Looks at repositories. A person looks at one at a time: the newest."""

    def __init__(self, folder: Path, policy: SourcePolicy) -> None:
        self._folder, self._policy = folder, policy
        self._last: dict[str, _Looking] = {}
        self._room = Room(
            AT_ONCE, seconds=WAIT, refusal="Other repositories are being looked at just now."
        )

    def look(self, who: str, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the process of runner/recipes/preview.py finds: `wanted` is what it reads.

        Raises Conflict `superseded` when the same person looks again meanwhile, and Unavailable.
        """
        mine = self._newest(who)
        try:
            with self._room.enter(), self._place() as folder:
                if mine.is_old:
                    raise _superseded()
                return self._run(mine, {**wanted, **self._limits(folder)})
        finally:
            mine.has_ended()
            if self._last.get(who) is mine:
                del self._last[who]

    def _newest(self, who: str) -> _Looking:
        before, mine = self._last.get(who), _Looking()
        self._last[who] = mine
        if before is not None:
            before.end()
        return mine

    def _run(self, mine: _Looking, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            answer = apart.run(
                _PROCESS,
                [json.dumps(asked).encode()],
                memory=MEMORY,
                seconds=CPU_SECONDS,
                passed_on=_ENVIRONMENT,
                started=mine.begin,
            )
        except apart.Exceeded:
            if mine.is_old:
                raise _superseded() from None
            raise Unavailable(
                "Looking at the repository took more time or memory than it may have here. A run "
                "has more: make the template, and run it.",
                code="preview-exceeded",
            ) from None
        found: dict[str, Any] = json.loads(answer)
        return found

    def _limits(self, folder: Path) -> Mapping[str, Any]:
        policy = self._policy
        return {
            "folder": str(folder),
            "seconds": SECONDS,
            "policy": {
                "local_roots": [str(root) for root in policy.local_roots],
                "private_hosts": policy.private_hosts,
                "plain_http": policy.plain_http,
                "ssh_rsa_hosts": sorted(policy.ssh_rsa_hosts),
            },
        }

    @contextmanager
    def _place(self) -> Iterator[Path]:
        """A folder for one process. What it leaves behind goes with it."""
        off_loop(_forget_leftovers, self._folder)
        folder = self._folder / f"{time.time_ns():x}"
        folder.mkdir(mode=0o700, parents=True)
        try:
            yield folder
        finally:
            off_loop(shutil.rmtree, folder, ignore_errors=True)


def _superseded() -> Conflict:
    return Conflict("You look at something newer meanwhile.", code="superseded")


def _forget_leftovers(folder: Path) -> None:
    for old in folder.iterdir() if folder.is_dir() else ():
        if time.time() - old.stat().st_mtime > LEFT_AFTER:
            shutil.rmtree(old, ignore_errors=True)
