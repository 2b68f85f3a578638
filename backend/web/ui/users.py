"""Users of the installation, for its administrators."""

from __future__ import annotations

from flask import redirect, request
from flask.typing import ResponseReturnValue

from backend.catalogue import projects
from backend.paging import MAX_LIMIT
from backend.people import passwords, users
from backend.web.api.users import NewUser, UserChange, shown
from backend.web.current import caller, reading, transaction
from backend.web.ui import forms, powers
from backend.web.ui.door import in_place, pages, say
from backend.web.ui.layout import page

bp = pages("users")


@bp.get("/users")
def show_all() -> ResponseReturnValue:
    with reading() as tx:
        found = users.find_all(tx, request.args.get("cursor"))
        items = [shown(user) for user in found.items]
        return page("users/users.html", items=items, cursor=found.next_cursor)


@bp.post("/users")
def create() -> ResponseReturnValue:
    """Create a user. A password that was not chosen is made, and shown this once."""
    body = forms.read(NewUser)
    password = body.password or passwords.generated()
    hashed = users.hash_password(caller(), password)
    with transaction() as tx:
        user = users.create(tx, body.name, password_hash=hashed, is_admin=body.is_admin)
        open_to = projects.find_all(tx, limit=MAX_LIMIT).items
        secret = None if body.password else password
        roles = powers.ROLE_WORDS
        html = page("users/created.html", person=user, secret=secret, projects=open_to, roles=roles)
    return in_place(html)


@bp.get("/users/<user>")
def show(user: str) -> ResponseReturnValue:
    with reading() as tx:
        found = users.get(tx, user)
        return page("users/user.html", person=shown(found), has=users.belongings(tx, found))


@bp.post("/users/<user>/password")
def set_password(user: str) -> ResponseReturnValue:
    """Set a password. One that was not chosen is made, and shown this once."""
    body = forms.read(UserChange, forms.filled())
    password = body.given().get("password") or passwords.generated()
    hashed = users.hash_password(caller(), password)
    with transaction() as tx:
        found = users.update(tx, user, password_hash=hashed)
        secret = None if "password" in body.given() else password
        return in_place(page("users/created.html", person=found, secret=secret, is_new=False))


@bp.post("/users/<user>/access")
def change_access(user: str) -> ResponseReturnValue:
    """Disable or enable somebody, or change whether they administer the installation."""
    given = forms.read(UserChange, forms.filled()).given()
    changes = {name: given[name] for name in ("disabled", "is_admin") if name in given}
    with transaction() as tx:
        found = users.update(tx, user, **changes)
        say(f"{found.name} is changed.")
    return redirect(f"/users/{user}", 303)


@bp.post("/users/<user>/delete")
def delete(user: str) -> ResponseReturnValue:
    forms.typed(user)
    with transaction() as tx:
        users.delete(tx, user)
    say(f"{user} is deleted.")
    return redirect("/users", 303)
