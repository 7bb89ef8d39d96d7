"""Hints for keys of the format that a document has at its top, but that belong elsewhere.

`schema_messages` calls it for unknown keys. Keys of a schedule are in `foreign_keys`.
"""

from collections.abc import Mapping
from typing import Any

from controller.manifests.foreign_keys import entry_hint
from controller.text import join_or

_OF_THE_PROJECT = frozenset({"queues", "defaults", "project"})
_SECTIONS_OF_SEVERAL_TYPES = {"any": "after", "to": "notify"}
"""Sections that can also be a list, so that their schemas do not list their keys as those of the others do."""


def misplaced_key_hint(key: str, document: Mapping[str, Any], properties: Mapping[str, Any]) -> str | None:
    """Return where an unknown key at the top of a deployment belongs; None if no part of the format has it.

    `properties` are the schemas of the keys of a deployment.
    """
    if key in _OF_THE_PROJECT:
        return "write it in controller.yaml, at the root of the repository"
    sections = [name for name, schema in properties.items() if key in schema.get("properties", ())]
    if key in _SECTIONS_OF_SEVERAL_TYPES:
        sections.append(_SECTIONS_OF_SEVERAL_TYPES[key])
    if not sections:
        return None
    if sections == ["after"]:
        upstreams = document.get("after", "NAME")
        names = upstreams if isinstance(upstreams, list) else [upstreams]
        return entry_hint("after", lambda value: {key: value, "deployments": names}, document[key])
    if len(sections) > 1 or sections[0] in document or sections == ["matrix"]:
        return f"write it under {join_or(sections)}"
    return entry_hint(sections[0], lambda value: {key: value}, document[key]) or f"write it under {sections[0]}"
