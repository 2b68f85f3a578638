"""What scopes and roles allow, in words."""

from __future__ import annotations

from backend.principal import ROLES, SCOPES

# a few words, and what they include
SCOPE_WORDS = {
    "runs:read": (
        "Look",
        "Runs, logs, plans without secrets, workspaces, templates, variables, members",
    ),
    "runs:create": (
        "Queue runs",
        "They plan, and wait for an approval before they change anything; comment on runs",
    ),
    "runs:approve": (
        "Approve runs",
        "Have a plan applied; queue runs that wait for no approval",
    ),
    "runs:cancel": ("Cancel and discard runs", "Stop a run, or throw its plan away"),
    "state:read": (
        "Read states",
        "Download and compare versions, with the secrets in them; see the whole plan",
    ),
    "state:write": (
        "Write states",
        "Upload and restore versions, lock states, make aliases that write",
    ),
    "state:delete": ("Delete states", "Delete versions and whole states, pin, empty the trash"),
    "state:unlock": ("Break locks", "Break the lock of somebody else; freeze workspaces"),
    "outputs:read": ("Read outputs", "The outputs of workspaces that are not sensitive"),
    "keys:manage": ("Manage keys", "Store, replace and delete keys; choose them for templates"),
    "templates:manage": (
        "Manage templates and workspaces",
        "Templates, workspaces, variables and variable sets",
    ),
    "blocks:read": ("Look at building blocks", "For meshStack"),
    "blocks:write": ("Manage building blocks", "For meshStack"),
    "admin": (
        "Everything",
        "All of the above, members, tokens, settings, the audit log, and the installation",
    ),
}
ROLE_WORDS = {
    "guest": "looks at runs, workspaces and templates",
    "task_runner": "also queues runs, which wait for an approval; cancels runs; reads outputs",
    "manager": "also approves runs, and manages states, keys, templates and variables",
    "owner": "does everything in the project: members, tokens, settings, and deleting states",
}
EXPIRIES = (("30", "in 30 days"), ("90", "in 90 days"), ("365", "in a year"), ("", "never"))


def of_roles() -> list[tuple[str, list[bool]]]:
    """A row for each scope: its words, and whether each of the roles has it."""
    return [(SCOPE_WORDS[scope][0], [scope in has for has in ROLES.values()]) for scope in SCOPES]
