"""Where is each field of a deployment written? In its document, in an overlay of it, or in controller.yaml.

`queries` asks for the page of a deployment. It reads what `overlays` reads, and judges nothing.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from controller.manifests.overlays import render
from controller.manifests.project_file import read_project
from controller.manifests.yaml.loader import load
from controller.model.snapshots import ManifestFile, RefusedFile, is_json

_OTHER_NAMES = {"flow": ("flow_location", "flow_name"), "schedules": ("schedule",)}
"""Fields of a document as it is in force, and by which keys else they may be written."""


class SourceLocation(NamedTuple):
    """A line, from 1, of a file from the repository root."""

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
    """The places of the fields of the document of this name in `file`; empty if it has none. Never raises."""
    settings = read_project(project, now)
    for document in load(content, json=is_json(file)).documents:
        value = document.root.value
        if isinstance(value, dict) and value.get("name") == name:
            keys = render(document.root, settings, environment).keys
            found = {key: SourceLocation(place.file or file, place.line) for key, place in keys.items()}
            for key, others in _OTHER_NAMES.items():
                written = [found[other] for other in others if other in found]
                found.update({key: written[0]} if written and key not in found else {})
            return found
    return {}
