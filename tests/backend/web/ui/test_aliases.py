"""Pages of aliases."""

from __future__ import annotations

import re
from collections.abc import Callable

from flask import Flask

from tests.support.alias_login import AliasLogin
from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.visitor import Visitor, words

AT = "/projects/shop/workspaces/app/aliases"
PASSWORD = re.compile(r"stateroom-alias_\w+")


def test_an_alias_made_in_the_page_opens_the_state_and_is_revoked_there(
    app: Flask, owner: Visitor, boss: Caller
) -> None:
    assert "There is no alias yet" in words(owner.read(AT))

    answer = owner.send(AT, {"name": "laptop", "access": "read-write", "expires_in_days": "90"})

    page = answer.get_data(as_text=True)
    assert answer.status_code == 200
    found = PASSWORD.search(page)
    assert found is not None
    made = boss.get(f"{AT}/laptop").json
    assert made["expires_at"] is not None
    assert made["address"] in page
    login = AliasLogin(app.test_client(), made, found[0])
    assert login.send("GET").status_code == 404  # there is no state yet
    owner.done(f"{AT}/{made['id']}/revoke")
    assert login.send("GET").status_code == 401
    assert "revoked" in words(owner.read(AT))


@one_database
def test_the_password_is_shown_once(owner: Visitor) -> None:
    answer = owner.send(AT, {"name": "laptop", "access": "read-only", "expires_in_days": ""})
    assert PASSWORD.search(answer.get_data(as_text=True))

    later = [read_within(owner, path) for path in (AT, f"{AT}/laptop")]

    assert not any(PASSWORD.search(page) for page in later)
    assert "YOUR_PASSWORD" in later[1]
    assert "plan -lock=false" in later[1]
    assert PASSWORD.search(str(answer.headers)) is None


@one_database
def test_an_alias_may_have_the_login_of_a_stored_key(
    owner: Visitor, boss: Caller, shop: str
) -> None:
    boss.made(
        f"{shop}/keys",
        {"kind": "password", "name": "team", "username": "team", "password": "correct horse"},
    )
    assert '<option value="team">' in read_within(owner, AT)

    page = owner.send(AT, {"name": "x", "access": "read-only", "key": "team"}).get_data(True)

    assert "stored key team" in words(page)
    assert not PASSWORD.search(page)


@one_database
def test_an_alias_that_cannot_be_made_is_refused(owner: Visitor) -> None:
    owner.send(AT, {"name": "laptop", "access": "read-only"})
    for fields, status in (
        ({"name": "laptop", "access": "read-only"}, 409),
        ({"name": "A B", "access": "read-only"}, 422),
        ({"name": "b", "access": "all"}, 422),
        ({"name": "b", "access": "read-only", "expires_in_days": "0"}, 422),
        ({"name": "b", "access": "read-only", "key": "none"}, 422),
    ):
        assert owner.send(AT, fields).status_code == status, fields


@one_database
def test_every_role_sees_the_buttons_that_it_may_use(visitor_of: Callable[..., Visitor]) -> None:
    manager, runner = visitor_of("manager"), visitor_of("task_runner")
    manager.send(AT, {"name": "laptop", "access": "read-only"})

    assert "Create the alias" in manager.read(AT)
    assert "Revoke the alias laptop?" in words(manager.read(AT))
    assert runner.get(AT).status_code == 403
    assert runner.send(AT, {"name": "b", "access": "read-only"}).status_code == 403
    assert runner.send(f"{AT}/laptop/revoke").status_code == 403
    assert visitor_of(None).get(AT).status_code == 404
    assert manager.get(f"{AT}/unknown").status_code == 404
