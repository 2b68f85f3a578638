"""A process that claims queued runs until there are none: `python -m tests.support.claimer`.

It reads the settings from its environment, waits until `go` exists, and prints each run it got.
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from pathlib import Path

from backend import environ
from backend.runs import claims
from backend.upkeep import installation


def main(name: str, go: Path) -> None:
    here = installation.existing(environ.load())
    print("ready", flush=True)  # noqa: T201 what it is for
    while not go.exists():
        time.sleep(0.001)
    while True:
        with here.database.reading() as db:
            waiting = claims.claimable(db, 2)
        if not waiting:
            return
        for run_id in waiting:
            with here.itself.transaction() as tx:
                run = claims.claim(tx, run_id, name, timedelta(minutes=5))
            if run is not None:
                print("claimed", run.id, run.epoch, flush=True)  # noqa: T201 as above


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
