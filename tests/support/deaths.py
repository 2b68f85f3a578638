"""What a campaign does to an installation: each kind of death, and how it comes back."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping

from tests.support.processes import wait_until
from tests.support.redis_server import Redis
from tests.support.small_disk import SmallDisk
from tests.support.stateroom import Stateroom


class Deaths:
    """Ways to hurt an installation. Each leaves it whole again, but for what its runs had begun."""

    def __init__(
        self,
        installation: Stateroom,
        redis: Redis | None = None,
        server_disk: SmallDisk | None = None,
        worker_disk: SmallDisk | None = None,
    ) -> None:
        """The last two are at the data folder, and at the work folder."""
        self._installation = installation
        self._silence = 1.5 * installation.configuration.lease_seconds
        ways: dict[str, Callable[[], None]] = {
            "worker": self.kill_worker,
            "server": self.kill_server,
            "both": self.kill_both,
            "paused worker": self.pause_worker,
        }
        if redis is not None:
            ways["redis"] = lambda: _restart(redis)
        if server_disk is not None:
            ways["full disk of the server"] = lambda: self._fill(server_disk)
        if worker_disk is not None:
            ways["full disk of the worker"] = lambda: self._fill(worker_disk)
        self.ways: Mapping[str, Callable[[], None]] = ways

    def kill_worker(self) -> None:
        self._installation.kill_worker()
        self._installation.start_worker()

    def kill_server(self) -> None:
        self._installation.kill_server()
        self._installation.start_server()

    def kill_both(self) -> None:
        """The tool of the dead worker can store nothing before it gives up."""
        self._installation.kill_server()
        self._installation.kill_worker()
        self._installation.start_server()
        self._installation.start_worker()

    def pause_worker(self) -> None:
        """A worker is silent for longer than its lease, and goes on."""
        worker = self._installation.workers[0]
        worker.signal(signal.SIGSTOP)
        time.sleep(self._silence)
        worker.signal(signal.SIGCONT)

    def _fill(self, disk: SmallDisk) -> None:
        disk.fill()
        time.sleep(self._silence)
        disk.free()
        wait_until(self._is_ready, "the server to answer")

    def _is_ready(self) -> bool:
        return self._installation.wire.send("GET", "/readyz").status == 200


def _restart(redis: Redis) -> None:
    redis.kill()
    redis.start()
