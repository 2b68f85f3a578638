"""What a token and a role allow together."""

from __future__ import annotations

import pytest
from sqlalchemy import event, select

from backend.errors import Forbidden, Unauthorised
from backend.models import Member, Project, Token, User
from backend.people import authentication, tokens
from backend.principal import ROLES, SCOPES, Principal
from backend.transactions import Caller, Installation

LOOKS = {"runs:read", "blocks:read"}
RUNS = {"runs:create", "runs:cancel", "outputs:read"}
MANAGES = {
    "runs:approve", "state:read", "state:write", "state:unlock", "keys:manage",
    "templates:manage", "blocks:write",
}  # fmt: skip
ALLOWED = {
    "guest": LOOKS,
    "task_runner": LOOKS | RUNS,
    "manager": LOOKS | RUNS | MANAGES,
    "owner": set(SCOPES),
}


def person(role: str, *scopes: str) -> Principal:
    return Principal(
        "ada", "tok_1", frozenset(scopes), user_id="usr_1", roles={"shop": ROLES[role]}
    )


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("role", ALLOWED)
def test_a_role_allows_what_it_says_and_no_more(role: str, scope: str) -> None:
    everything = person(role, "admin")
    this_alone = person(role, scope)

    allowed = scope in ALLOWED[role]
    assert everything.may(scope, "shop") is allowed
    assert this_alone.may(scope, "shop") is allowed


@pytest.mark.parametrize("role", ALLOWED)
def test_a_token_takes_away_from_every_role(role: str) -> None:
    narrow = person(role, "runs:read")

    assert [scope for scope in SCOPES if narrow.may(scope, "shop")] == ["runs:read"]


@pytest.mark.parametrize("role", ALLOWED)
def test_a_role_in_one_project_is_nothing_in_another_or_in_the_installation(role: str) -> None:
    somebody = person(role, "admin")

    assert not somebody.sees("elsewhere")
    assert not any(somebody.may(scope, "elsewhere") for scope in SCOPES)
    assert not any(somebody.may(scope, None) for scope in SCOPES)
    with pytest.raises(Forbidden):
        somebody.require_installation()


def test_an_administrator_of_the_installation_is_bounded_by_the_token_alone() -> None:
    boss = Principal("boss", "tok_1", frozenset({"admin"}), user_id="usr_1")
    reader = Principal("boss", "tok_2", frozenset({"runs:read"}), user_id="usr_1")

    assert all(boss.may(scope, "shop") and boss.may(scope, None) for scope in SCOPES)
    assert reader.may("runs:read", "shop")
    assert not reader.may("admin", "shop")


def test_a_token_of_one_project_does_nothing_in_another() -> None:
    insider = Principal("ci", "tok_1", frozenset({"admin"}), project_id="shop")

    assert insider.may("admin", "shop")
    assert not insider.may("runs:read", "elsewhere")
    assert not insider.may("admin", None)


def test_a_refusal_names_the_scope() -> None:
    with pytest.raises(Forbidden, match="state:read") as refused:
        person("guest", "admin").require("state:read", "shop")

    assert refused.value.facts == {"scope": "state:read"}
    assert refused.value.code == "scope-missing"


def issued(here: Installation, name: str = "one", **columns: str | None) -> tuple[str, str]:
    """The id and the secret of a new token."""
    with here.database.transaction() as db:
        token, secret = tokens.store(db, name=name, scopes="admin", created_by="test", **columns)
    return token.id, secret


def member(here: Installation, role: str, *, is_admin: bool = False) -> tuple[str, str]:
    """The id of a person who is this in a project, and the project's."""
    with here.database.transaction() as db:
        user, project = User(name="ada", is_admin=is_admin), Project(name="shop")
        db.add_all([user, project])
        db.flush()
        db.add(Member(project_id=project.id, user_id=user.id, role=role))
    return user.id, project.id


def let_in(here: Installation, secret: str) -> Principal:
    with here.database.reading() as db:
        return authentication.authenticate(db, secret)


def test_a_plain_token_is_let_in_by_one_statement_and_a_persons_by_two(here: Installation) -> None:
    user_id, _ = member(here, "guest")
    plain, persons = issued(here)[1], issued(here, user_id=user_id)[1]
    asked: list[str] = []
    event.listen(
        here.database.engine, "before_cursor_execute", lambda *given: asked.append(given[2])
    )

    let_in(here, plain)
    of_plain = [statement for statement in asked if statement.startswith("SELECT")]
    let_in(here, persons)
    of_both = [statement for statement in asked if statement.startswith("SELECT")]

    assert (len(of_plain), len(of_both)) == (1, 3)


def test_a_persons_token_carries_the_roles(here: Installation) -> None:
    user_id, project_id = member(here, "manager")

    who = let_in(here, issued(here, user_id=user_id)[1])

    assert (who.name, who.user_id) == ("ada", user_id)
    assert who.roles == {project_id: ROLES["manager"]}


def test_an_administrators_token_carries_none(here: Installation) -> None:
    user_id, _ = member(here, "guest", is_admin=True)

    who = let_in(here, issued(here, user_id=user_id)[1])

    assert who.roles is None
    assert who.may("admin", None)


def test_the_token_of_a_person_who_is_gone_opens_nothing(here: Installation) -> None:
    _, secret = issued(here, user_id="usr_nobody")

    with pytest.raises(Unauthorised):
        let_in(here, secret)


def test_what_is_revoked_takes_everything_below_with_it(here: Installation) -> None:
    below: list[str | None] = [None]
    for depth in range(4):
        below.append(issued(here, f"depth {depth}", parent_id=below[-1])[0])
    issued(here, "other")

    with here.itself.transaction() as tx:
        tokens.revoke(tx, str(below[2]))

    with here.database.reading() as db:
        alive = set(db.scalars(select(Token.name).where(Token.revoked_at.is_(None))))
    assert alive == {"administrator", "depth 0", "other"}


def test_a_token_that_was_revoked_meanwhile_makes_no_other(here: Installation) -> None:
    issued(here, "somebody else")
    token_id, secret = issued(here)
    who = let_in(here, secret)
    with here.itself.transaction() as tx:
        tokens.revoke(tx, token_id)

    with pytest.raises(Unauthorised), Caller(here, who).transaction() as tx:
        tokens.issue(tx, "late", ["admin"])
