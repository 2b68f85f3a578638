"""`python -m bench`: every bench, one after the other. `python -m bench NAME [OPTION...]`: one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHES = (
    *(
        "in_process",
        "states",
        "memory",
        "runs",
        "providers",
        "detection",
        "sealing",
        "diff",
        "listing",
        "rewrap",
        "viewers",
        "pages",
        "pages_log",
    ),
)


def main() -> None:
    name, *rest = sys.argv[1:] or [""]
    if name and name not in BENCHES:
        sys.exit(f"There is no bench {name!r}. The benches are {', '.join(BENCHES)}.")
    for bench in [name] if name else BENCHES:
        print(f"--- {bench}", flush=True)
        subprocess.run([sys.executable, str(HERE / f"{bench}.py"), *rest], check=True)


if __name__ == "__main__":
    main()
