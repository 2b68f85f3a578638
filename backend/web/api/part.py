"""A part of the API, which describes its operations only when the document is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.types import ParametersTuple
from flask_openapi3.utils import parse_parameters


class Part(APIBlueprint):
    """A blueprint whose operations are described by `describe`, not when they are imported.

    Describing them, as flask-openapi3 does at the import, takes a third of the start of a server,
    and few servers are ever asked for the document.
    """

    def __init__(self, name: str, import_name: str, **given: Any) -> None:
        super().__init__(name, import_name, operation_id_callback=_name_of, **given)
        self._later: list[Callable[[], object]] = []

    def describe(self) -> None:
        """Fill `paths`, `tags` and `components_schemas`."""
        while self._later:
            self._later.pop(0)()

    def _collect_openapi_info(
        self, rule: str, func: Callable[..., Any], **told: Any
    ) -> ParametersTuple:
        describe = super()._collect_openapi_info
        self._later.append(lambda: describe(rule, func, **told))
        parameters: ParametersTuple = parse_parameters(func, doc_ui=False)
        return parameters


def _name_of(*, name: str, **_: object) -> str:
    return name
