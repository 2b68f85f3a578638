"""Every operation asks for its own scope, whichever door its principal came in by.

An operation is a public function of a wing whose first parameter is a Transaction, a Caller or an
Arrival at the address of a state. Each of them stands in one table of tests/support/operations,
by its wing: a new one fails here until somebody has said there who may call it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn

import pytest

from backend.errors import Error, Forbidden, NotFound
from backend.principal import LOCK, PIN_HOSTS, REPORT, RESCUE, SCOPES
from backend.states import arrivals, serving
from backend.states.arrivals import Address, Arrival, Credential
from backend.transactions import Caller, Installation, Transaction
from tests.support.databases import one_database
from tests.support.operations import audit, catalogue, people, runs, states, upkeep
from tests.support.operations.world import AT, INSTALLATION, Case, Look, World, build

WINGS = ("audit", "people", "catalogue", "states", "runs", "upkeep")
ALL = {*SCOPES, LOCK, PIN_HOSTS, REPORT, RESCUE}

CASES: Mapping[str, Case] = {
    **audit.CASES,
    **people.CASES,
    **catalogue.CASES,
    **states.CASES,
    **runs.CASES,
    **upkeep.CASES,
}
# These do what their caller has decided, in its transaction; they let nobody in by themselves.
PARTS = {*audit.PARTS, *people.PARTS, *states.PARTS, *runs.PARTS}
# These find something for whoever belongs to its project, and nothing for a stranger.
LOOKUPS: Mapping[str, Look] = {**catalogue.LOOKUPS, **states.LOOKUPS}


class Undone(Exception):
    """Rolls back what an operation did."""


@pytest.fixture
def world(here: Installation) -> World:
    return build(here)


def test_every_operation_stands_in_one_table_and_nothing_else_does() -> None:
    tables = [*PARTS, *LOOKUPS, *people.ONESELF, *CASES]

    assert sorted(tables) == sorted(_operations())


@one_database
def test_an_operation_refuses_whoever_has_all_scopes_but_its_own(world: World) -> None:
    let_in = {
        f"{name} without {missing}": said
        for name, one in CASES.items()
        for missing in one.scopes or (one.any_of,)
        if (said := _refusal(world, one, ALL - {*_plain(missing)})) not in {*_plain(missing)}
    }

    assert let_in == {}


@one_database
def test_an_operation_asks_for_no_scope_beyond_its_own(world: World) -> None:
    refused = {
        f"{name} with {scopes}": said
        for name, one in CASES.items()
        for scopes in ([one.scopes] if one.scopes else [(scope,) for scope in one.any_of])
        if (said := _refusal(world, one, {*scopes})) is not None
    }

    assert refused == {}


@one_database
def test_nothing_is_found_by_who_belongs_to_another_project(world: World) -> None:
    stranger = world.principal(*ALL, project_id="prj_of_somebody_else")

    for look in LOOKUPS.values():
        with pytest.raises(NotFound), Caller(world.here, stranger).reading() as tx:
            look(tx, world)
    with pytest.raises(NotFound):
        serving.read(replace(_arrival(world, reads=True), principal=stranger))


def _operations() -> Iterator[str]:
    for wing in WINGS:
        package = importlib.import_module(f"backend.{wing}")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(found.name)
            for name, thing in vars(module).items():
                if _is_operation(thing, module.__name__):
                    yield f"{found.name.removeprefix('backend.')}.{name}"


def _is_operation(thing: object, module: str) -> bool:
    if not inspect.isfunction(thing) or thing.__module__ != module:
        return False
    first = next(iter(inspect.signature(thing).parameters.values()), None)
    takes = None if first is None else first.annotation
    return not thing.__name__.startswith("_") and takes in {"Transaction", "Caller", "Arrival"}


def _plain(scopes: str | tuple[str, ...]) -> tuple[str, ...]:
    """The scopes without `admin`, which includes all others and is tried on its own."""
    named = (scopes,) if isinstance(scopes, str) else scopes
    return (*named, "admin")


def _refusal(world: World, one: Case, scopes: set[str]) -> str | None:
    """The scope that the operation asks for from a principal with these, or None if it is allowed."""
    try:
        with _principal(world, one, scopes) as given:
            one.call(given, world)
            _undo()
    except Forbidden as refused:
        return str(refused.facts.get("scope", INSTALLATION))
    except (Error, Undone):
        return None


def _arrival(world: World, *, reads: bool) -> Arrival:
    """Somebody at the address of the state; who it is does not matter."""
    secret = world.here.settings.admin_token_path.read_text(encoding="utf-8").strip()
    address = Address(project=AT[0], workspace=AT[1])
    return arrivals.arrive(world.here, address, Credential(secret), with_body=reads)


def _undo() -> NoReturn:
    raise Undone


@contextmanager
def _principal(
    world: World, one: Case, scopes: set[str]
) -> Iterator[Transaction | Caller | Arrival]:
    who = world.principal(*scopes)
    if INSTALLATION in scopes:
        who = replace(who, scopes=frozenset({"admin"}), project_id=None)
    if one.as_run:
        who = replace(who, run_id=world.run_id, run_epoch=1)
    caller = Caller(world.here, who)
    if one.by_arrival:
        arrival = _arrival(world, reads=one.scopes == ("state:read",))
        yield replace(arrival, principal=who)
        return
    if one.by_caller:
        yield caller
        return
    with caller.transaction() as tx:
        yield tx
