"""One's own account: password, and the browsers in which one is signed in."""

from __future__ import annotations

from flask import redirect
from flask.typing import ResponseReturnValue

from backend.people import token_lists, tokens, users
from backend.web.current import caller, client_address, reading, transaction
from backend.web.ui import forms
from backend.web.ui.door import pages, say
from backend.web.ui.layout import page

bp = pages("account")


@bp.get("/account")
def show() -> ResponseReturnValue:
    with reading() as tx:
        me, sessions = users.oneself(tx), token_lists.find_sessions(tx)
        return page("account/account.html", person=me, sessions=sessions)


@bp.post("/account/password")
def change_password() -> ResponseReturnValue:
    old, new = forms.text("old"), forms.text("new")
    users.change_own_password(caller(), old, new, client_address())
    say("Your password is changed, and your other sessions have ended.")
    return redirect("/account", 303)


@bp.post("/account/sessions/<token>/end")
def end_session(token: str) -> ResponseReturnValue:
    with transaction() as tx:
        tokens.revoke(tx, token)
    say("The session has ended.")
    return redirect("/account", 303)
