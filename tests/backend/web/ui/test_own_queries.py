"""Pages with queries of their own, on both databases."""

from __future__ import annotations

from tests.support.caller import Caller
from tests.support.visitor import Visitor, words

SHOP = "/projects/shop"


def test_what_is_counted_and_found_is_the_same_on_both(
    administrator: Visitor, boss: Caller, app_workspace: str
) -> None:
    boss.made(f"{SHOP}/keys", {"kind": "ssh", "generate": True, "name": "deploy"})
    boss.patch(f"{SHOP}/templates/app", {"key": "deploy"})
    boss.made(f"{SHOP}/git-credentials", {"prefix": "git.example.com", "key": "deploy"})
    for name in ("first", "second"):
        boss.made(f"{SHOP}/variable-sets", {"name": name})
    boss.made(f"{SHOP}/variable-sets/second/variables", {"name": "x", "value": "1"})
    boss.patch(app_workspace, {"variable_sets": ["first", "second"], "module_key": "deploy"})
    made = boss.made(f"{SHOP}/tokens", {"name": "parent", "scopes": ["admin", "state:read"]})
    parent = Caller(boss.client, made["secret"])
    parent.made(f"{SHOP}/tokens", {"name": "the-child", "scopes": ["runs:read"]})

    told = {
        f"{SHOP}/keys": "1 template, 1 workspace, 1 git credential",
        f"{SHOP}/keys/deploy": "Templates app Workspaces app Git credentials git.example.com",
        f"{SHOP}/variable-sets": "second 1 1",
        f"{SHOP}/variable-sets/second": "app as set 2 of 2",
        f"{SHOP}/tokens/{made['id']}": "1 token: the-child",
        f"{SHOP}/settings": "With it go 1 key, 2 variable sets, 2 tokens and 1 membership",
        "/users/visitor-owner-true": "0 tokens, 1 session",
        "/audit?action=key.&since=2020-01-01": "name: deploy",
        "/installation": "Encrypts with",
    }
    for path, said in told.items():
        assert said in words(administrator.read(path)), path
    administrator.done("/audit/verify")
    assert "entries are right" in words(administrator.read("/audit"))
