"""Operations on users, their tokens and their places in projects."""

from __future__ import annotations

from backend.people import members, token_lists, tokens, users
from tests.support.operations.world import INSTALLATION, Case, case, project

ONESELF = {
    "people.token_lists.find_issued",
    "people.token_lists.what_ends",
    "people.tokens.get",
    "people.tokens.find_own",
    "people.token_lists.find_sessions",
    "people.tokens.parent",
    "people.tokens.revoke",
    "people.users.oneself",
    "people.users.change_own_password",
}

PARTS = {"people.logins.begin_session", "people.oidc.groups.give"}

CASES: dict[str, Case] = {
    "people.members.find_all": case(
        "runs:read", call=lambda tx, w: members.find_all(tx, project(tx, w))
    ),
    "people.members.put": case(
        "admin", call=lambda tx, w: members.put(tx, project(tx, w), "ann", "guest")
    ),
    "people.members.remove": case(
        "admin", call=lambda tx, w: members.remove(tx, project(tx, w), "ann")
    ),
    "people.tokens.issue": case(
        INSTALLATION, call=lambda tx, _w: tokens.issue(tx, "ci", ["runs:read"])
    ),
    "people.tokens.issue_within": case(
        "runs:create",
        call=lambda tx, w: tokens.issue_within(tx, "ci", ["runs:create"], project_id=w.project_id),
    ),
    "people.tokens.issue_for_project": case(
        "admin",
        call=lambda tx, w: tokens.issue_for_project(tx, project(tx, w), "ci", ["runs:read"]),
    ),
    "people.tokens.get_of_project": case(
        "admin", call=lambda tx, w: tokens.get_of_project(tx, project(tx, w), "tok_x")
    ),
    "people.tokens.find_all": case(INSTALLATION, call=lambda tx, _w: tokens.find_all(tx)),
    "people.tokens.find_of_project": case(
        "admin", call=lambda tx, w: tokens.find_of_project(tx, project(tx, w))
    ),
    "people.tokens.revoke_of_project": case(
        "admin", call=lambda tx, w: tokens.revoke_of_project(tx, project(tx, w), "tok_x")
    ),
    "people.token_lists.find_in_project": case(
        "admin", call=lambda tx, w: token_lists.find_in_project(tx, project(tx, w))
    ),
    "people.token_lists.find_everywhere": case(
        INSTALLATION, call=lambda tx, _w: token_lists.find_everywhere(tx)
    ),
    "people.token_lists.what_ends_in_project": case(
        "admin", call=lambda tx, w: token_lists.what_ends_in_project(tx, project(tx, w), "tok_x")
    ),
    "people.users.belongings": case(
        INSTALLATION, call=lambda tx, _w: users.belongings(tx, users.named(tx.db, "ann"))
    ),
    "people.users.hash_password": case(
        INSTALLATION, call=lambda c, _w: users.hash_password(c, "long enough"), by_caller=True
    ),
    "people.users.create": case(INSTALLATION, call=lambda tx, _w: users.create(tx, "bob")),
    "people.users.get": case(INSTALLATION, call=lambda tx, _w: users.get(tx, "ann")),
    "people.users.find_all": case(INSTALLATION, call=lambda tx, _w: users.find_all(tx)),
    "people.users.update": case(
        INSTALLATION, call=lambda tx, _w: users.update(tx, "ann", disabled=True)
    ),
    "people.users.delete": case(INSTALLATION, call=lambda tx, _w: users.delete(tx, "ann")),
}
