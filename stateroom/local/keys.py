"""`stateroom keys`: the keyring of the installation on this machine, beside running servers."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from stateroom.groups import group
from stateroom.local import shared

if TYPE_CHECKING:
    from backend.transactions import Installation

SHOW_EVERY_SECONDS = 1.0

_json = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
_wait = click.option(
    "--wait", is_flag=True, help="Re-wrap everything now, and return when it is done."
)


@group("keys")
def command() -> None:
    """The keys that encrypt everything: show, rotate and verify them.

    These commands run on the server's machine, while servers and workers run.
    """


@command.command("status")
@shared.data_dir
@_json
def status_command(*, as_json: bool, **given: Any) -> None:
    """Show which key encrypts, since when, and how many objects each key wraps."""
    from backend.upkeep import rotation

    with shared.installation_at_hand(**given) as here, here.database.reading() as db:
        counts = rotation.counts(db)
        since = rotation.activated_at(db)
    ids = [*here.keyring.keys, *(key_id for key_id in counts if key_id not in here.keyring.keys)]
    rows = [_row(here, key_id, counts.get(key_id, Counter()), since) for key_id in ids]
    if as_json:
        click.echo(json.dumps({"keys": rows}))
        return
    for row in rows:
        click.echo(_as_text(row))


def _row(here: Installation, key_id: str, wraps: Counter[str], since: datetime) -> dict[str, Any]:
    seals = key_id == here.keyring.current
    return {
        "key_id": key_id,
        "seals": seals,
        "seals_since": since.isoformat() if seals else None,
        "in_keyring": key_id in here.keyring.keys,
        "wraps": dict(wraps),
    }


def _as_text(row: dict[str, Any]) -> str:
    wraps = ", ".join(f"{number} {table}" for table, number in row["wraps"].items()) or "nothing"
    if row["seals"]:
        days = (datetime.now(UTC) - datetime.fromisoformat(row["seals_since"])).days
        what = f"seals since {row['seals_since'][:19]} ({days} days)"
    else:
        what = "opens" if row["in_keyring"] else "IS MISSING FROM THE KEYRING"
    return f"{row['key_id']:20} {what}, wraps {wraps}"


@command.command("rotate")
@shared.data_dir
@_wait
def rotate_command(*, wait: bool, **given: Any) -> None:
    """Make a new key, encrypt with it from now on, and re-wrap everything else in the background.

    For a keyring that all processes share. For machines with copies: `stage`, copy, `activate`.
    """
    with shared.installation_at_hand(**given) as here:
        key_id = _staged(here)
        _activate(here, key_id)
        _rest(here, wait=wait)


@command.command("stage")
@shared.data_dir
def stage_command(**given: Any) -> None:
    """Add a key that does not encrypt yet: the first step of a rotation on several machines."""
    with shared.installation_at_hand(**given) as here:
        key_id = _staged(here)
        click.echo(f"{key_id} is in {here.keyring.path} and seals nothing yet.")
        click.echo("Put this keyring on every machine, then run on one of them:")
        click.echo(f"  stateroom keys activate {key_id}")


@command.command("activate")
@click.argument("key_id")
@shared.data_dir
@_wait
def activate_command(*, key_id: str, wait: bool, **given: Any) -> None:
    """Encrypt with this key from now on, and re-wrap everything else in the background.

    Every server and worker must have the key by now: they need it to open what it encrypts.
    """
    with shared.installation_at_hand(**given) as here:
        _activate(here, key_id)
        _rest(here, wait=wait)


@command.command("drop")
@click.argument("key_id")
@shared.data_dir
def drop_command(*, key_id: str, **given: Any) -> None:
    """Remove a key that nothing needs any more from the keyring file, for good.

    An older backup needs the keyring of its time.
    """
    from backend.upkeep import rotation

    with shared.installation_at_hand(**given) as here:
        rotation.drop(here.itself, key_id)
        click.echo(f"{key_id} is no longer in {here.keyring.path}.")


@command.command("new")
def new_command() -> None:
    """Print a line with a fresh key, for a keyring that is kept elsewhere."""
    from backend.sealing import keyring_file

    click.echo(keyring_file.new_line({}), nl=False)


@command.command("verify")
@shared.data_dir
@click.option(
    "--keys-only", is_flag=True, help="Check only the wrapped keys: quick, but reads no states."
)
@_json
def verify_command(*, keys_only: bool, as_json: bool, **given: Any) -> None:
    """Decrypt everything, compare the hash of every state, and examine the rows that decide.

    Exit with 1 and name each object that cannot be decrypted, and each row that somebody changed in
    the database or put back from an older copy (by the audit log).
    """
    from backend.upkeep import verification
    from backend.upkeep.examination import Examination

    check = verification.verify_keys if keys_only else verification.verify
    opened: Counter[str] = Counter()
    failed: list[dict[str, str]] = []
    with shared.installation_at_hand(**given) as here:
        examination = Examination(here)
        rows = () if keys_only else (one for page in examination.run() for one in page)
        seen: set[tuple[str, str]] = set()
        for one in chain(check(here, opened), rows):
            if (one.table, one.id) in seen:
                continue
            seen.add((one.table, one.id))
            row = {
                "table": one.table,
                "id": one.id,
                "where": verification.where(here, one),
                "reason": one.reason,
            }
            failed.append(row)
            if not as_json:
                click.echo("{table} {id} {where}: {reason}".format(**row), err=True)
        examined = examination.examined
    if as_json:
        told = {"opened": dict(opened), "examined": dict(examined), "failed": failed}
        click.echo(json.dumps(told))
    else:
        if examined:
            click.echo(f"{_listed(examined)} are as Stateroom wrote them.")
        click.echo(f"{_listed(opened)} open; {len(failed)} objects do not.")
    sys.exit(1 if failed else 0)


@command.command("accept")
@click.argument("table")
@click.argument("row")
@shared.data_dir
def accept_command(*, table: str, row: str, **given: Any) -> None:
    """Accept a row that was changed in the database, as it is now. The audit log notes it.

    TABLE and ROW are as `stateroom keys verify` names them. Look at the row first.
    """
    from backend.upkeep import proving

    with shared.installation_at_hand(**given) as here, here.itself.transaction() as tx:
        proving.accept(tx, table, row)
    click.echo(f"{table} {row} is accepted as it is now.")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {table}" for table, number in counts.items())


def _staged(here: Installation) -> str:
    from backend.sealing import keyring_file

    if here.keyring.path is None:
        raise shared.CommandRefused(
            "The keyring is in STATEROOM_KEYRING, which no command can change. Add the line that "
            "`stateroom keys new` prints to it on every machine and restart; then run "
            "`stateroom keys activate KEY_ID`."
        )
    return keyring_file.add(here.keyring.path)


def _activate(here: Installation, key_id: str) -> None:
    from backend.upkeep import rotation

    with here.itself.transaction() as tx:
        rotation.activate(tx, key_id)
    seconds = here.settings.poll_seconds
    click.echo(f"{key_id} seals from now on; running processes follow within {seconds:g} s.")
    if here.keyring.path is not None:
        click.echo(f"Back up the keyring now: {here.keyring.path}")


def _rest(here: Installation, *, wait: bool) -> None:
    """What is left to re-wrap is left to the servers, or done here."""
    from backend.upkeep.rotation import Rewrapper, left

    if not wait:
        click.echo("What older keys wrap is re-wrapped in the background: stateroom keys status")
        return
    rewrapper = Rewrapper(here.database, here.keyring)
    show_at = time.monotonic() + SHOW_EVERY_SECONDS
    while rewrapper.step():
        if time.monotonic() > show_at:
            click.echo(f"{rewrapper.rewrapped} objects re-wrapped", err=True)
            show_at = time.monotonic() + SHOW_EVERY_SECONDS
    with here.database.reading() as db:
        rest = left(db, here.keyring).total()
    if rest:
        raise shared.CommandRefused(
            f"{rest} objects are not under {here.keyring.current}: stateroom keys verify"
        )
    click.echo(f"Everything is under {here.keyring.current}.")
