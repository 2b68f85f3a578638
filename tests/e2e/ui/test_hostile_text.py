"""Text from outside, on every page, in a real browser, after runs that really had it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Dialog, Page

from tests.support.api import Api
from tests.support.browsers import Window
from tests.support.documents import lock_info, state_document
from tests.support.example import addresses
from tests.support.place import Place
from tests.support.repositories import Repository
from tests.support.state_address import StateAddress

TEXT = (
    "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202etxt\u2066\x1b[31m\x07"
)
QUOTED = json.dumps(TEXT)
MODULE = f"""\
locals {{
  text = {QUOTED}
}}

resource "terraform_data" "hostile" {{
  for_each = toset([local.text])
  input    = {{ (local.text) = local.text }}

  provisioner "local-exec" {{
    command = "cat hostile.txt"
  }}
}}

output "hostile" {{
  value       = {{ (local.text) = [local.text] }}
  description = {QUOTED}
}}
"""
FAILING = f"""
resource "terraform_data" "failing" {{
  lifecycle {{
    precondition {{
      condition     = length(local.text) == 0
      error_message = {QUOTED}
    }}
  }}
}}
"""
# text nodes and attributes with raw control or bidirectional characters, and elements made of text
FINDS = """() => {
  const raw = /[\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f\\u202a-\\u202e\\u2066-\\u2069]/;
  const asItIs = new Set(["value", "data-copy", "data-must-be", "href", "action"]);
  const found = [...document.querySelectorAll("img[src=x], main script:not([src])")]
    .map(one => one.outerHTML);
  for (const one of document.querySelectorAll("*")) {
    if (one.closest("textarea")) continue;
    for (const node of one.childNodes)
      if (node.nodeType === 3 && raw.test(node.data)) found.push(JSON.stringify(node.data));
    for (const attribute of one.attributes)
      if (!asItIs.has(attribute.name) && raw.test(attribute.value))
        found.push(`${attribute.name}=${JSON.stringify(attribute.value)}`);
  }
  return found;
}"""


@pytest.mark.parametrize("tool", ["terraform"], indirect=True)
def test_text_from_outside_is_harmless_and_visible_on_every_page(
    run_place: Callable[..., Place], repository: Repository, window_of: Callable[..., Window]
) -> None:
    place = run_place({"main.tf": MODULE, "hostile.txt": TEXT * 3})
    repository.commit({}, message=TEXT.replace("\x07", ""))
    values = make_hostile(place, repository)
    # who signs in with this browser is listed with what it says of itself
    window = window_of(place, admin=True, user_agent=TEXT.replace("\x07", "").replace("\x1b", ""))

    found: dict[str, list[str]] = {}
    seen = 0

    def hear(dialog: Dialog) -> None:
        found[dialog.page.url if dialog.page else ""] = [f"a dialog: {dialog.message}"]
        dialog.dismiss()

    window.context.on("dialog", hear)
    for rule in addresses.rules():
        if rule.arguments - {*values} or rule.rule == "/sign-in":
            continue
        page = window.open(addresses.address(rule, values))
        page.wait_for_timeout(400)  # for what scripts put into the page
        if said := page.evaluate(FINDS):
            found[page.url] = said[:3]
        seen += shows_it(page)
        page.close()
    page = window.open("/")
    page.locator("h1").evaluate("(one, text) => one.append(text)", "\u202e")
    assert page.evaluate(FINDS), "it would be found"

    assert found == {}
    assert seen >= 8, "the text has to be somewhere, or nothing is tested"


def shows_it(page: Page) -> bool:
    return "alert(1)" in page.locator("body").inner_text()


def make_hostile(place: Place, repository: Repository) -> dict[str, str]:
    """Fill a project with such text, by all ways that lead there; what stands in addresses."""
    api, at = place.api, f"/projects/{place.project}"
    api.patch(at, description=TEXT)
    api.post(f"{at}/workspaces/first/variables", name="text", value=TEXT, kind="environment")
    api.post(f"{at}/variable-sets", name="set", description=TEXT)
    applied = place.queue("apply", message=TEXT)
    applied.wait("applied")
    api.post(f"{at}/runs/{applied.id}/comments", text=TEXT)
    repository.commit({"failing.tf": FAILING}, message=TEXT.replace("\x07", ""))
    place.queue("plan", message=TEXT).wait("errored")
    values = write_from_a_laptop(place, api)
    return {
        "project": place.project, "workspace": "first", "template": "module", "run": applied.id,
        "variable_set": "set", "number": "1", "cursor": "2_0", **values,
    }  # fmt: skip


def write_from_a_laptop(place: Place, api: Api) -> dict[str, str]:
    """A lock whose client says such things of itself, and a write that is refused."""
    state: StateAddress = place.state
    hostile = dict.fromkeys(("Who", "Info", "Operation", "Version", "Path"), TEXT)
    assert state.lock(lock_info("1111-2222") | hostile).status == 200
    state.write(state_document(99, lineage="another", outputs={"text": TEXT}), "another-lock")
    found = api.get(f"/projects/{place.project}/workspaces/first/rescued")["items"]
    return {"rescued_id": found[0]["id"]} if found else {}
