"""Pages of the versions of a state, and of what is different between them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.caller import Caller
from tests.support.counted import read_within
from tests.support.databases import one_database
from tests.support.documents import encrypted_document
from tests.support.resources import document, resource
from tests.support.visitor import Visitor, words

AT = "/projects/shop/workspaces/app"
STATE = "/api/terraform/state/shop/app"
SECRET = "s3cret-91b2"


def state(serial: int, *names: str, lineage: str = "l", **attributes: Any) -> bytes:
    made = [
        resource(name, number=serial, password=f"{SECRET}-{serial}", **attributes) for name in names
    ]
    return document(*made, serial=serial, lineage=lineage)


@pytest.fixture
def written(boss: Caller, shop: str) -> None:
    """Three versions."""
    for serial, names in enumerate((("a",), ("a", "b"), ("b", "c")), 1):
        assert boss.call("POST", STATE, data=state(serial, *names)).status_code == 200


def upload(visitor: Visitor, body: bytes, **fields: str) -> Any:
    return visitor.send(
        f"{AT}/versions", {"document": (io.BytesIO(body), "terraform.tfstate"), **fields}
    )


def numbers(boss: Caller, **query: str) -> list[int]:
    return [one["number"] for one in boss.get(f"{AT}/states", **query).json["items"]]


def test_versions_are_listed_newest_first_with_what_is_unusual(
    owner: Visitor, written: None
) -> None:
    page = read_within(owner, f"{AT}/versions")

    assert re.search(r"3 newest no lock .* 2 no lock .* 1 no lock", words(page))
    assert 'value="2" aria-label="Compare from version 2" checked' in page
    assert f'href="/api/v1{AT}/states/1/download"' in page


@one_database
def test_a_state_that_was_never_written_teaches_how_it_begins(owner: Visitor, shop: str) -> None:
    page = words(owner.read(f"{AT}/versions"))

    assert "This state was never written" in page
    assert "Upload it" in page


@one_database
def test_a_long_history_has_pages(owner: Visitor, written: None) -> None:
    page = owner.read(f"{AT}/versions?limit=2")

    following = re.search(r'rel="next" href="([^"]+)"', page)
    assert following is not None
    rest = owner.read(following[1].replace("&amp;", "&"))
    assert f'{AT}/versions/1"' in rest
    assert f'{AT}/versions/3"' not in rest


@one_database
def test_one_version_says_what_is_in_it_and_what_can_be_done(owner: Visitor, written: None) -> None:
    page = read_within(owner, f"{AT}/versions/2")

    assert "2 resources and 0 outputs" in words(page)
    assert "Version 4 is added: a copy of version 2" in words(page)
    assert f"{AT}/diff?from=3&amp;to=2" in page
    assert SECRET not in page
    newest = words(owner.read(f"{AT}/versions/3"))
    assert "Restore this version" not in newest
    assert "Delete the content" not in newest


def test_a_version_is_restored(owner: Visitor, written: None, boss: Caller) -> None:
    to = owner.done(f"{AT}/versions/1/restore")

    assert to == f"{AT}/versions/4"
    page = words(owner.read(to))
    assert "Version 4 is the newest state: a copy of version 1." in page
    assert "copy of 1" in page
    assert owner.done(f"{AT}/versions/1/restore") == to
    assert owner.done(f"{AT}/versions/4/restore") == to
    assert "nothing was stored" in words(owner.read(to))
    assert numbers(boss) == [4, 3, 2, 1]


@one_database
def test_a_locked_state_is_not_restored_and_the_page_says_who_has_it(
    owner: Visitor, written: None, boss: Caller
) -> None:
    assert boss.call("LOCK", STATE, json={"ID": "1", "Who": "ann"}).status_code == 200

    assert "The state is locked now by" in words(owner.read(f"{AT}/versions/1"))
    assert owner.send(f"{AT}/versions/1/restore").status_code == 423
    assert numbers(boss) == [3, 2, 1]


@one_database
def test_a_version_is_pinned_unpinned_and_deleted(
    owner: Visitor, written: None, boss: Caller
) -> None:
    owner.done(f"{AT}/versions/1/pin")
    assert "pinned" in words(owner.read(f"{AT}/versions/1"))
    assert owner.send(f"{AT}/versions/1/delete").status_code == 409
    owner.done(f"{AT}/versions/1/unpin")

    to = owner.done(f"{AT}/versions/1/delete")

    assert "removed: deleted" in words(owner.read(to))
    assert numbers(boss) == [3, 2]
    gone = words(owner.read(f"{AT}/versions/1"))
    assert "The document is gone; this record stays." in gone
    assert "Download" not in gone


@one_database
def test_a_document_is_uploaded_with_a_form(owner: Visitor, boss: Caller, shop: str) -> None:
    answer = upload(owner, state(7, "a"))

    assert answer.headers["Location"] == f"{AT}/versions/1"
    assert boss.get(f"{AT}/states/1/download").data == state(7, "a")
    assert boss.get(f"{AT}/states/1").json["operation"] == "import"


@one_database
def test_a_document_in_a_form_is_never_on_the_disk_in_clear(
    owner: Visitor, boss: Caller, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file")

    monkeypatch.setattr("werkzeug.formparser.SpooledTemporaryFile", refuse)

    heading = b'--x\r\nContent-Disposition: form-data; name="document"; filename="s"\r\n\r\n'
    whole = heading + state(7, "a", note="x" * 1_500_000) + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    token = {"X-CSRF-Token": owner.form_token()}
    answer = owner.client.post(f"{AT}/versions", data=whole, headers=kind | token)

    assert answer.headers["Location"] == f"{AT}/versions/1"


@one_database
def test_an_upload_that_fits_not_is_explained_and_accepted_by_force(
    owner: Visitor, written: None, boss: Caller
) -> None:
    other = state(1, "z", lineage="another")

    answer = upload(owner, other, force="false")

    assert answer.status_code == 409
    assert "it belongs to another state" in words(answer.get_data(as_text=True))
    assert numbers(boss) == [3, 2, 1]
    assert upload(owner, other, force="true").headers["Location"] == f"{AT}/versions/4"
    assert "forced" in words(owner.read(f"{AT}/versions/4"))


@one_database
def test_an_upload_without_a_file_or_a_state_says_so(
    owner: Visitor, boss: Caller, shop: str
) -> None:
    empty = owner.send(f"{AT}/versions", {})
    text = upload(owner, b"hello")

    assert (empty.status_code, text.status_code) == (422, 422)
    assert "No file was chosen" in words(empty.get_data(as_text=True))
    assert "not a JSON object" in words(text.get_data(as_text=True))
    whole = b'--x\r\nContent-Disposition: form-data; name="document"; filename="s"\r\n\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    large = owner.client.post(f"{AT}/versions", data=whole + b"x" * 2_000_000, headers=kind)
    assert large.status_code == 413
    assert numbers(boss) == []


@one_database
def test_a_purged_state_begins_anew_with_an_upload(
    owner: Visitor, written: None, boss: Caller
) -> None:
    boss.delete(f"{AT}/states")
    boss.post(f"{AT}/states/purge")

    assert "This state was deleted" in words(owner.read(f"{AT}/versions/new"))
    answer = upload(owner, state(1, "new"), **{"import": "true"})

    assert answer.headers["Location"] == f"{AT}/versions/4"


@one_database
def test_a_state_that_the_tool_encrypted_says_so_and_can_be_restored(
    owner: Visitor, boss: Caller, shop: str
) -> None:
    for serial in (1, 2):
        boss.call("POST", STATE, data=encrypted_document(serial, lineage="l"))

    page = words(owner.read(f"{AT}/versions/1"))

    assert "only its own passphrase opens the content" in page
    assert "Restore this version" in page
    for path in ("resources", "graph", "outputs", "diff"):
        assert "OpenTofu encrypted this state" in words(owner.read(f"{AT}/{path}")), path


@one_database
def test_a_difference_shows_what_was_added_removed_and_changed(
    owner: Visitor, written: None
) -> None:
    page = read_within(owner, f"{AT}/diff?from=1&to=3")

    said = words(page)
    assert "+2 added ~0 changed \N{MINUS SIGN}1 removed" in said
    assert "Removed \N{MINUS SIGN} aws_instance.a" in said
    changed = owner.read(f"{AT}/diff?from=2&to=3")
    assert re.search(r"number\s+2\s+3", words(changed))
    assert re.search(r"password sensitive \(sensitive\) \(sensitive\)", words(changed))
    assert SECRET not in page + changed


@one_database
def test_a_difference_is_searched_and_turned_round(owner: Visitor, written: None) -> None:
    page = owner.read(f"{AT}/diff?from=1&to=3&q=.c")

    assert "aws_instance.c" in page
    assert "aws_instance.a" not in page
    assert "from=3&amp;to=1" in page
    assert "Nothing is different" in words(owner.read(f"{AT}/diff?from=2&to=2"))
    assert owner.get(f"{AT}/diff?from=1&to=99").status_code == 404
    assert owner.get(f"{AT}/diff?from=one").status_code == 422


@one_database
def test_each_role_sees_its_buttons_and_no_others(
    visitor_of: Callable[..., Visitor], written: None
) -> None:
    manager = visitor_of("manager")
    page = words(manager.read(f"{AT}/versions/1"))

    assert "Restore this version" in page
    assert "Pin" in page
    assert "Delete the content" not in page
    assert manager.send(f"{AT}/versions/1/delete").status_code == 403
    for role in ("guest", "task_runner"):
        one = visitor_of(role)
        for path in ("versions", "versions/1", "versions/new", "diff", "resources", "graph"):
            assert one.get(f"{AT}/{path}").status_code == 403, (role, path)
    assert visitor_of(None).get(f"{AT}/versions").status_code == 404
