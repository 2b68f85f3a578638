"""What a worker asks the server: whether it answers, and whether it misses the database too."""

from __future__ import annotations

import requests

SECONDS = 10.0


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=SECONDS, allow_redirects=False).ok
    except requests.RequestException:
        return False


def misses_the_database(url: str) -> bool:
    """Whether the server at this URL says that it cannot reach the database."""
    try:
        answer = requests.get(f"{url}/readyz", timeout=SECONDS, allow_redirects=False)
        return bool(answer.status_code == 503 and answer.json()["parts"]["database"] == "failed")
    except (requests.RequestException, ValueError, TypeError, KeyError):
        return False
