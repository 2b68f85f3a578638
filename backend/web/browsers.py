"""Requests that a page made a browser send, with the login that the browser remembers.

A browser adds the username and password that a person once typed for an address to every later
request there, also to those that pages of other sites make. It says of them where they come from:
`Origin` with every request that may write, `Sec-Fetch-Site` wherever the address is https or the
machine itself. No client of the state protocol and no program sends either.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.wrappers import Request

from backend.errors import Forbidden

OWN = {"none", "same-origin"}  # typed by the person, or a page of this server
READING = {"GET", "HEAD", "OPTIONS"}
USUAL = "application/json"  # the type as terraform and tofu send it


def refuse(request: Request) -> None:
    """Refuse what a page sends to the address of a state, of whatever site. Raises Forbidden.

    What a person opens by typing the address is no page's request.
    """
    if "HTTP_ORIGIN" in request.environ or _site(request) not in OWN:
        raise Forbidden(
            "A web page sent this request: the addresses of states are for terraform, tofu and "
            "programs, which send no Origin and no Sec-Fetch-Site. Open the address itself, or "
            "use the API under /api/v1.",
            code="browser-request",
        )


def refuse_writes_of_other_sites(request: Request, own_url: str) -> None:
    """Refuse what a page of another site would change with the API. Raises Forbidden."""
    if request.method in READING:
        return
    origin = request.headers.get("Origin")
    ours = {request.host, urlsplit(own_url).netloc}
    if _site(request) not in OWN or (origin is not None and urlsplit(origin).netloc not in ours):
        raise Forbidden(
            "A page of another site sent this request, so nothing was changed. Behind a proxy "
            "that changes the Host header set STATEROOM_PUBLIC_URL.",
            code="browser-request",
        )


def demand_json(request: Request) -> None:
    """Refuse a body that is not said to be JSON: any page may send those without asking.

    Raises UnsupportedMediaType.
    """
    if request.environ.get("CONTENT_TYPE") != USUAL and not request.is_json:
        raise UnsupportedMediaType(
            "Send the header Content-Type: application/json, as terraform and tofu do (curl: "
            "-H 'Content-Type: application/json')."
        )


def _site(request: Request) -> str:
    # from the environment: on the way of every state, reading it as a header takes ten times longer
    site: str = request.environ.get("HTTP_SEC_FETCH_SITE", "none")
    return site
