"""The state protocol, as real terraform and tofu speak it. No answer here is ever a redirect.

`address` is what the URL says of a state: its alias, or its project and workspace.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from backend import audit, errors
from backend.documents.intake import Received
from backend.models import State
from backend.people import tokens
from backend.states import aliases, archive, locks, refusals, rescued, states, trash
from backend.states.locks import MAX_INFO_BYTES, LockInfo
from backend.web import documents, problems
from backend.web.current import installation, log_in, principal, reading, transaction

bp = Blueprint("protocol", __name__, url_prefix="/api/terraform")

Address = dict[str, str]

ADDRESSES = ("/<alias>", "/state/<project>", "/state/<project>/<workspace>")
METHODS = ["GET", "POST", "PUT", "DELETE", "LOCK", "UNLOCK"]


@bp.before_request
def let_in() -> None:
    """Before anything of the body is read, and before a transaction: to note the use is one too."""
    address: Address = request.view_args or {}
    if "alias" in address:
        log_in(address["alias"])
    principal()


def answer(**address: str) -> ResponseReturnValue:
    verbs = {
        "GET": read,
        "HEAD": read,
        "POST": write,
        "PUT": write,
        "DELETE": delete,
        "LOCK": lock,
        "UNLOCK": unlock,
    }
    return verbs[request.method](address)


def lock_answer(**address: str) -> ResponseReturnValue:
    """GitLab's form of the lock: POST or PUT takes it, DELETE frees it."""
    verbs = {"POST": lock, "PUT": lock, "LOCK": lock, "DELETE": unlock, "UNLOCK": unlock}
    return verbs[request.method](address)


def read(address: Address) -> ResponseReturnValue:
    _refuse_redirected_write()
    with reading() as db:
        state = _state(db, address, "state:read")
        archive.refuse(state)
        version = states.current(db, state)
    if version is None:
        return problems.problem(404, "never-written", "This state was never written.")
    here = installation()
    body = states.content(version, here.keyring, here.blobs)
    _note_read(state, version.number)
    return documents.respond(version, body)


def _note_read(state: State, number: int) -> None:
    """A state is full of secrets: who read it is kept before the first byte goes out."""
    if principal().run_id is not None:
        return  # the run itself is in the audit log
    with transaction() as db:
        audit.record(
            db, principal(), "state.read", state.id, project_id=state.project_id, number=number
        )


def write(address: Address) -> ResponseReturnValue:
    with reading() as db:
        state = _state(db, address, _writing_scope())
        quota = refusals.largest_document(db, state)
    document = documents.received(quota)
    try:
        _store(state, document)
    except (errors.Conflict, errors.Gone) as refusal:
        refusal.facts["rescued"] = _rescue(state, document, refusal.code)
        raise
    return "", 200


def _rescue(state: State, document: Received, reason: str) -> str | None:
    here = installation()
    with transaction() as db:
        kept = rescued.keep(
            db,
            principal(),
            state,
            document,
            here.keyring,
            reason=reason,
            most_bytes=here.settings.max_rescued_bytes,
        )
    return None if kept is None else kept.id


def delete(address: Address) -> ResponseReturnValue:
    with transaction() as db:
        state = _state(db, address, "state:delete")
        trash.delete(db, principal(), state)
    return "", 200


def lock(address: Address) -> ResponseReturnValue:
    info = LockInfo.parse(_lock_body())
    with transaction() as db:
        state = _state(db, address, "state:write")
        states.fence(db, principal())
        locks.acquire(db, principal(), state, info)
    return "", 200


def unlock(address: Address) -> ResponseReturnValue:
    body = _lock_body()
    if not body:
        return _force_unlock(address)
    info = LockInfo.parse(body)
    with transaction() as db:
        state = _state(db, address, "state:write")
        locks.release(db, principal(), state, info.id)
    return "", 200


def _force_unlock(address: Address) -> ResponseReturnValue:
    """Terraform's force-unlock is an UNLOCK without a body: the ID that was typed is not sent."""
    with transaction() as db:
        state = _state(db, address, "state:unlock")
        if locks.for_update(db, state).held:
            locks.break_lock(db, principal(), state, "force-unlock")
    return "", 200


def _state(db: Any, address: Address, scope: str) -> State:
    state = _at(db, address)
    principal().require(scope, state.project_id)
    return state


def _at(db: Any, address: Address) -> State:
    if "alias" in address:
        return aliases.state_at(db, principal(), address["alias"])
    return states.at(db, principal(), address["project"], address.get("workspace"))


def _writing_scope() -> str:
    return tokens.RESCUE if tokens.RESCUE in principal().scopes else "state:write"


def _store(state: State, document: Received) -> None:
    here = installation()
    with transaction() as db:
        states.write(
            db,
            principal(),
            db.merge(state, load=False),
            document,
            here.keyring,
            lock_id=request.args.get("ID") or None,
            refuse_unlocked=here.settings.refuse_unlocked_writes,
        )


def _lock_body() -> bytes:
    body = request.stream.read(MAX_INFO_BYTES + 1)
    if len(body) > MAX_INFO_BYTES:
        raise errors.TooLarge(MAX_INFO_BYTES)
    expected = documents.content_md5()
    if expected not in {None, hashlib.md5(body, usedforsecurity=False).digest()}:
        raise errors.Invalid("The body was changed on its way.", code="md5-mismatch")
    return body


def _refuse_redirected_write() -> None:
    """Some proxy turned a write into this GET; a 200 would say "saved" to terraform."""
    written = "Content-MD5" in request.headers or "ID" in request.args or request.is_json
    if written:
        raise errors.Invalid(
            "This GET was a write until a proxy redirected it: let the proxy pass it on unchanged.",
            code="redirected-write",
        )


def _not_found(error: errors.NotFound) -> Response:
    """404 says "no state yet" to terraform, which then plans to create everything: never here."""
    return problems.problem(403, "forbidden", error.message)


@bp.app_errorhandler(404)
def _mistyped(error: HTTPException) -> Response:
    """The same for an address that nobody serves, but that was meant to be one of ours."""
    if "terraform" not in request.path.split("/"):
        return problems.from_http(error)
    try:
        principal()
    except errors.Unauthorised as stranger:
        return problems.from_error(stranger)
    return problems.problem(403, "forbidden", "There is no state at this address: is it mistyped?")


def _invalid(error: errors.Invalid) -> Response:
    if isinstance(error, errors.TooLarge):
        return problems.from_error(error)
    return problems.problem(400, error.code, error.message, **error.facts)


def _locked(error: errors.Locked) -> Response:
    """The holder's LockInfo is the body: the only one that clients show."""
    return Response(json.dumps(error.holder), 423, content_type="application/json")


bp.register_error_handler(errors.NotFound, _not_found)
bp.register_error_handler(errors.Invalid, _invalid)
bp.register_error_handler(errors.Locked, _locked)
for path in ADDRESSES:
    bp.add_url_rule(path, view_func=answer, methods=METHODS, provide_automatic_options=False)
    bp.add_url_rule(
        f"{path}/lock",
        view_func=lock_answer,
        methods=["POST", "PUT", "DELETE", "LOCK", "UNLOCK"],
        provide_automatic_options=False,
    )
