"""Finds the fields in which two documents differ. Pure; called by `preview` and `project_changes`."""

from collections.abc import Iterator, Mapping
from typing import Any

from controller.manifests.field_rules import looks_secret
from controller.records import dataclass

HIDDEN = "(hidden)"
MAX_FIELDS = 50
"""Maximum number of fields listed for one change; a document can have thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field by its JSON path, such as `$.schedules[0].cron`; the value is None on a side that lacks the field."""

    path: str
    before: Any
    after: Any


def differences(before: Any, after: Any, path: str = "$", name: str = "") -> Iterator[FieldChange]:
    """Yield the innermost fields that differ, in the order of their declaration; lists are compared item by item.

    Values that look like secrets are hidden, since a plan ends up in the comments of a pull request.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in {**before, **after}:
            yield from differences(
                before.get(key), after.get(key), f"{path}.{key}" if key.isidentifier() else f"{path}['{key}']"
            )
    elif _are_lists_of_mappings(before, after):
        for index in range(max(len(before), len(after))):
            old = before[index] if index < len(before) else None
            new = after[index] if index < len(after) else None
            yield from differences(old, new, f"{path}[{index}]")
    elif before != after or type(before) is not type(after):
        yield FieldChange(path=path, before=without_secrets(before, name), after=without_secrets(after, name))


def without_secrets(value: Any, name: str = "") -> Any:
    """Return the value of the key `name` with `HIDDEN` in place of everything in it that looks like a secret."""
    if isinstance(value, Mapping):
        return {key: without_secrets(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_secrets(inner, name) for inner in value]
    return HIDDEN if isinstance(value, str) and looks_secret(name, value) else value


def _are_lists_of_mappings(before: Any, after: Any) -> bool:
    return (
        isinstance(before, list)
        and isinstance(after, list)
        and any(isinstance(item, Mapping) for item in (*before, *after))
    )
