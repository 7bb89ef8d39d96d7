"""The types that several packages share: deployments, schedules, findings, runs, conditions and events.

They are frozen, slotted, keyword-only dataclasses and enums. The package also has pure functions on them: `queues`
decides which run starts next, and `task_runs` and `artifacts` parse the events of a flow. Nothing here does I/O or
blocks.

`store` loads these types, `queries` returns them, and their fields are the keys of the JSON, except those that are
marked as `INTERNAL`. `controller.queries.serialization` converts them.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

Value = TypeVar("Value")

INTERNAL: Mapping[str, bool] = {"exclude": True}
"""The metadata of a field that is not in the JSON. Pydantic, which derives the OpenAPI document, knows this key too."""


def json_key(key: str) -> Mapping[str, str]:
    """Return the metadata of a field whose key in the JSON is `key`. Pydantic knows it too."""
    return {"serialization_alias": key}


def extend(of: type[Value], value: Any, **more: Any) -> Value:
    """Return an object of the dataclass `of` with the fields of `value`, whose type `of` extends, and with `more`."""
    return of(**{field.name: getattr(value, field.name) for field in fields(value)}, **more)
