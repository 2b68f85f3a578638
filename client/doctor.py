"""`stateroom doctor`: check whether a deployment works, as seen from this machine."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from client import scratch
from client.conformance import suite
from client.conformance.check import Check
from client.conformance.suite import CHECKS, Outcome
from client.conformance.target import Target
from client.conformance.wire import Broken, Wire
from client.scratch import USERNAME, Kept, Left, NoScratch

SETUP = Check(lambda _: None, "scratch", "a state can be made for the checks")
CLEANUP = Check(lambda _: None, "scratch", "nothing is left behind")


@dataclass(frozen=True)
class Thoroughness:
    slow: bool = True
    size_limit: int = 16_000_000  # bytes
    stall_seconds: float = 3.0


@dataclass(frozen=True)
class Deployment:
    """A server on which the doctor may create a workspace for the checks."""

    url: str
    token: str = field(repr=False)
    project: str = ""  # empty: a new project, or the only one that the token sees

    def site(self) -> Target:
        nowhere = f"{urlsplit(self.url).path.rstrip('/')}/api/terraform/state/doctor/none"
        return Target(Wire(self.url), nowhere, USERNAME, self.token)

    def state(self) -> AbstractContextManager[Target]:
        return scratch.workspace(self.url, self.token, self.project)


@dataclass(frozen=True)
class Address:
    """The address or alias of a state that was created for the checks."""

    url: str
    username: str
    password: str = field(repr=False)

    def site(self) -> Target:
        return Target.at(self.url, self.username, self.password)

    def state(self) -> AbstractContextManager[Target]:
        return scratch.at_address(self.url, self.username, self.password)


def examine(
    patient: Deployment | Address,
    how: Thoroughness,
    say: Callable[[Outcome], None],
    asked: Sequence[Check] = CHECKS,
) -> list[Outcome]:
    """Run these checks, and call `say` with each outcome. It cleans up, also after Ctrl-C."""
    outcomes: list[Outcome] = []

    def note(outcome: Outcome) -> None:
        outcomes.append(outcome)
        say(outcome)

    checks = suite.ordered(asked, slow=how.slow)
    for outcome in suite.ask([check for check in checks if check.site], patient.site()):
        note(outcome)
    rest = [check for check in checks if not check.site]
    if any(outcome.check.gate and outcome.ending == "FAIL" for outcome in outcomes):
        _skip(rest, "the server does not answer", note)
    else:
        _ask_of_a_state(patient, how, rest, note)
    return outcomes


def version(url: str) -> str:
    """The version of the server; empty if unknown."""
    try:
        answer = Wire(url).send("GET", f"{_prefix(url)}/healthz")
    except Broken:
        return ""
    return str(answer.fields.get("version", ""))


@contextmanager
def stopped_once() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the checks once, and not disturb the clean-up afterwards."""

    def stop(*_: object) -> None:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ask_of_a_state(
    patient: Deployment | Address,
    how: Thoroughness,
    checks: Sequence[Check],
    note: Callable[[Outcome], None],
) -> None:
    try:
        with patient.state() as state:
            target = replace(state, size_limit=how.size_limit, stall_seconds=how.stall_seconds)
            for outcome in suite.ask(checks, target):
                note(outcome)
    except NoScratch as none:
        note(Outcome(SETUP, "FAIL", none.seen, none.means, none.do))
        _skip(checks, "there is no state for the checks", note)
    except Broken as broken:
        note(Outcome(SETUP, "FAIL", broken.message, "There is no state for the checks.", broken.do))
        _skip(checks, "there is no state for the checks", note)
    except Left as left:
        note(
            Outcome(
                CLEANUP,
                "warn" if isinstance(left, Kept) else "FAIL",
                f"{left}.",
                "Something that was created for the checks is still there.",
                "Delete it by hand.",
            )
        )


def _skip(checks: Sequence[Check], why: str, note: Callable[[Outcome], None]) -> None:
    for check in checks:
        note(Outcome(check, "skip", why, blocked=True))


def _prefix(url: str) -> str:
    return urlsplit(url).path.partition("/api/terraform/")[0].rstrip("/")
