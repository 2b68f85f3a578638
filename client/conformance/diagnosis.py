"""Find out from an answer who sent it: Stateroom, another server, or a proxy on the way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from client.conformance.wire import Answer


@dataclass(frozen=True)
class Diagnosis:
    means: str
    do: str


SHOWN = 160  # characters shown of text from others
REDIRECTED = (
    "terraform follows a 301, 302 or 303 with a GET, takes its 200 for success and exits with 0, "
    "but nothing was stored; with a 307 or 308 the ID of the lock is lost."
)
NOBODY_ELSE = (
    "This is the answer of the server itself. If the server is this version of Stateroom, please "
    "report it with these lines."
)
BY_HEART = {  # explanations of statuses that a proxy sent
    401: Diagnosis(
        "The proxy requires its own login, but terraform has only one, for the state.",
        "Remove the proxy's authentication from /api/terraform and /api/v1.",
    ),
    403: Diagnosis(
        "A rule of the proxy (a firewall for web applications, limit_except, allowed verbs) "
        "refuses this: terraform cannot work.",
        "Allow GET, POST, PUT, DELETE, LOCK and UNLOCK below /api/terraform.",
    ),
    404: Diagnosis(
        "terraform takes a 404 for an empty state and plans to create everything again.",
        "Let the proxy pass every path below /api unchanged.",
    ),
    405: Diagnosis(
        "The proxy does not let this method pass: terraform cannot work.",
        "Allow GET, POST, PUT, DELETE, LOCK and UNLOCK below /api/terraform.",
    ),
    411: Diagnosis(
        "The proxy refuses requests without Content-Length, such as terraform's force-unlock.",
        "Let chunked requests pass (nginx: proxy_http_version 1.1).",
    ),
    413: Diagnosis(
        "The proxy limits the size of bodies: a state that grows beyond it cannot be saved, and "
        "terraform leaves errored.tfstate behind.",
        "Raise the limit to STATEROOM_MAX_STATE_BYTES (nginx: client_max_body_size 100m).",
    ),
    429: Diagnosis(
        "The proxy limits the rate of requests: terraform tries three times and gives up.",
        "Remove /api/terraform from the rate limit.",
    ),
    501: Diagnosis(
        "The proxy does not know this method: terraform cannot work.",
        "Allow LOCK and UNLOCK, or use another proxy.",
    ),
    502: Diagnosis(
        "The proxy does not reach the server, or the server closed the connection.",
        "Look at the proxy's log, and at /readyz on the server itself.",
    ),
    503: Diagnosis(
        "The proxy has no server that it can reach.",
        "Look at the proxy's log, and at /readyz on the server itself.",
    ),
    504: Diagnosis(
        "The proxy did not wait for the server: large states and slow uploads are cut.",
        "Raise its time-outs (nginx: proxy_read_timeout 300s) and let it stream bodies "
        "(nginx: proxy_request_buffering off).",
    ),
}


def by_somebody_else(answer: Answer) -> bool:
    """Whether a state server would never give this answer."""
    kind = answer.headers.get("content-type", "")
    return answer.is_redirect or kind.startswith("text/html") or answer.status in {502, 504}


def of(answer: Answer) -> Diagnosis | None:
    """The explanation of an answer that is not the server's, or None if it is."""
    if answer.is_redirect:
        return Diagnosis(REDIRECTED, _of_redirect(answer))
    if not by_somebody_else(answer):
        return None
    if answer.status in BY_HEART:
        return BY_HEART[answer.status]
    if answer.status == 400 and "http request was sent to https" in _title(answer).lower():
        return Diagnosis("This port uses TLS, but the address has http.", "Use https://.")
    return Diagnosis(
        "This page is not from a state server: a login page, an error page, or another site.",
        "Let the proxy pass /api to Stateroom unchanged, and also answers with an error status "
        "(nginx: proxy_intercept_errors off).",
    )


def described(answer: Answer) -> str:
    """An answer as text for people: the status, who seems to have sent it, and its message."""
    phrase = HTTPStatus(answer.status).phrase if answer.status in {*HTTPStatus} else ""
    said = [f"{answer.status} {phrase}".strip()]
    if answer.is_redirect:
        said.append(f"to {clean(answer.headers.get('location', 'nowhere'))}")
    if answer.code:
        said.append(f"from Stateroom ({clean(answer.code)}: {clean(answer.fields.get('detail'))})")
    elif by_somebody_else(answer):
        server = clean(answer.headers.get("server", "")) or "a proxy"
        title = _title(answer)
        said.append(f"from {server}" + (f" ({title})" if title else ""))
    return " ".join(said)


def clean(text: object) -> str:
    """Text from elsewhere, made safe for a terminal: short, one line, no control characters."""
    plain = "".join(c if c.isprintable() else " " for c in str(text or ""))
    return " ".join(plain.split())[:SHOWN]


def _title(answer: Answer) -> str:
    found = re.search(rb"<title>([^<]{1,200})</title>", answer.body[:4096], re.IGNORECASE)
    return clean(found.group(1).decode(errors="replace")) if found else ""


def _of_redirect(answer: Answer) -> str:
    target = urlsplit(answer.headers.get("location", ""))
    if target.scheme == "https":
        return (
            "If the address begins with http://, use https:// everywhere, also in "
            "STATEROOM_PUBLIC_URL. And let the proxy refuse state addresses over http (nginx: "
            "return 403) instead of redirecting them."
        )
    if target.path.endswith("/"):
        return (
            "The proxy adds a slash: let it pass paths below /api unchanged (nginx: no "
            "`location /…/` with a slash for them, no try_files, no rewrite)."
        )
    return "Let the proxy pass everything below /api to Stateroom, and never redirect it."
