"""Finds where each field of a deployment is written: in its document, in an overlay, or in controller.yaml.

The `queries` package calls it for the page of a deployment. It merges documents as `overlays` does, without validation.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from controller.manifests.overlays import render
from controller.manifests.project_file import read_project
from controller.manifests.yaml.loader import load
from controller.model.snapshots import ManifestFile, RefusedFile, is_json

_ALIASES = {"flow": ("flow_location", "flow_name"), "schedules": ("schedule",)}
"""Fields of an applied document that may be written under other keys, with those keys."""


class SourceLocation(NamedTuple):
    """A line, from 1, of a file given by its path from the repository root."""

    file: str
    line: int


def field_places(
    content: bytes,
    file: str,
    name: str,
    *,
    project: ManifestFile | RefusedFile | None,
    environment: str | None,
    now: datetime,
) -> Mapping[str, SourceLocation]:
    """Return the location of each field of the document `name` in `file`; empty if it has none. Never raises."""
    settings = read_project(project, now)
    for document in load(content, json=is_json(file)).documents:
        value = document.root.value
        if isinstance(value, dict) and value.get("name") == name:
            keys = render(document.root, settings, environment).keys
            locations = {key: SourceLocation(place.file or file, place.line) for key, place in keys.items()}
            for key, aliases in _ALIASES.items():
                written = [locations[alias] for alias in aliases if alias in locations]
                locations.update({key: written[0]} if written and key not in locations else {})
            return locations
    return {}
