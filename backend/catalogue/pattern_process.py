"""The process that matches patterns: `python -m backend.catalogue.pattern_process`.

It reads pairs of a pattern and a text as JSON, and writes for each whether the whole text matches,
or what is wrong with the pattern. A pattern may take for ever; a process of its own can be ended.
"""

from __future__ import annotations

import json
import re
import sys

END = "\0"  # as backend/apart.py wants it, which takes longer to import than matching


def main() -> None:
    pairs: list[tuple[str, str]] = json.load(sys.stdin)
    sys.stdout.write(json.dumps([_matched(pattern, text) for pattern, text in pairs]) + END)


def _matched(pattern: str, text: str) -> bool | str:
    try:
        return re.fullmatch(pattern, text) is not None
    except (re.error, OverflowError, RecursionError) as error:
        return str(error)


if __name__ == "__main__":
    main()
