"""Sign in with the OpenID provider: there, and back.

What speaks with it is imported when somebody does: its libraries would take a tenth of a second of
every start, and few servers have a provider.
"""

from __future__ import annotations

from flask import make_response, redirect, request
from flask.typing import ResponseReturnValue

from backend.people.oidc import begun
from backend.web.current import client_address, cookies, installation
from backend.web.ui.door import open_pages
from backend.web.ui.sign_in import device, inside, let_in

bp = open_pages("single-sign-on")


@bp.get("/sign-in/oidc")
def begin() -> ResponseReturnValue:
    """To the provider, with a cookie that knows the browser again."""
    from backend.people.oidc import sign_in  # noqa: PLC0415 see above

    there, kept = sign_in.begin(installation(), inside(request.args.get("next", "/")))
    response = make_response(redirect(there, 303))
    jar = cookies()
    jar.put(response, jar.begun, kept, begun.LIFE_SECONDS)
    return response


@bp.get(begun.BACK)
def back() -> ResponseReturnValue:
    """Back from the provider, with a code for the tokens."""
    from backend.people.oidc import sign_in  # noqa: PLC0415 see above

    jar, browser = cookies(), device(request.user_agent.string)
    kept = request.cookies.get(jar.begun, "")
    done = sign_in.finish(installation(), request.args, kept, client_address(), browser)
    response = let_in(done.token, done.secret, inside(done.page))
    jar.drop(response, jar.begun)
    return response
