"""What a plan is made from: everything that a run does differently for."""

from __future__ import annotations

from sqlalchemy import inspect

from backend.models import Template
from backend.runs import inputs

# these say who, when and where, or what a plan may do: they change no plan
NO_INPUT = {
    "name", "project_id", "key_id", "default_workspace_id", "created_at", "auto_approve", "rules",
    "queue", "survey", "free_variables", "timeouts",
}  # fmt: skip


def test_every_field_of_a_template_is_an_input_of_its_plans_or_said_to_be_none() -> None:
    columns = {column.key for column in inspect(Template).columns}

    assert columns - NO_INPUT == set(inputs.OF_TEMPLATE)
