"""In which fields do two documents differ? Pure. `preview` and `project_changes` ask."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.manifests import looks_secret

HIDDEN = "(hidden)"
MOST = 50
"""Fields of one change that are named; a document can have thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field by its JSON path, such as `$.schedules[0].cron`; None is where it is not there."""

    path: str
    before: Any
    after: Any


def differences(before: Any, after: Any, path: str = "$", name: str = "") -> Iterator[FieldChange]:
    """The smallest fields that differ, in the order in which they are declared; lists item by item.

    What looks like a secret is not shown: a plan ends up in the comments of a pull request.
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
        yield FieldChange(path=path, before=shown(before, name), after=shown(after, name))


def shown(value: Any, name: str = "") -> Any:
    """The value of the key `name`, with everything in it that looks like a secret hidden."""
    if isinstance(value, Mapping):
        return {key: shown(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [shown(inner, name) for inner in value]
    return HIDDEN if isinstance(value, str) and looks_secret(name, value) else value


def _are_lists_of_mappings(before: Any, after: Any) -> bool:
    both = (before, after)
    return all(isinstance(one, list) for one in both) and any(isinstance(item, Mapping) for one in both for item in one)
