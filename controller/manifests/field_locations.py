"""Finds where each field of a deployment is written: in its document, in an overlay, or in controller.yaml.

The `queries` package calls it for the page of a deployment, and the modules of findings that need more than the
manifests. It merges documents as `overlays` does, without validation.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from controller.manifests.overlays import find_rendered
from controller.manifests.project_file import read_project
from controller.manifests.yaml.loader import load
from controller.manifests.yaml.nodes import Path, Position
from controller.model.deployments import Deployment
from controller.model.snapshots import PROJECT_FILE, ManifestFile, RefusedFile, is_json

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
    root = find_rendered(load(content, json=is_json(file)).documents, name, settings, environment)
    if root is None:
        return {}
    locations = {key: SourceLocation(place.file or file, place.line) for key, place in root.keys.items()}
    for key, aliases in _ALIASES.items():
        written = [locations[alias] for alias in aliases if alias in locations]
        locations.update({key: written[0]} if written and key not in locations else {})
    return locations


def declared_place(
    deployment: Deployment,
    paths: Iterable[Path],
    read: Callable[[str], bytes | None],
    environment: str | None,
    now: datetime,
) -> tuple[Position, Path]:
    """Return where the deployment declares the first of these paths that it has, as a position and that path.

    `read` returns the content of a manifest by its path. Rendered documents have only a line.
    """
    content = read(PROJECT_FILE)
    project = None if content is None else ManifestFile(path=PROJECT_FILE, content=content, digest="")
    settings = read_project(project, now)
    documents = load(read(deployment.file) or b"", json=is_json(deployment.file)).documents
    root = find_rendered(documents, deployment.name, settings, environment)
    for path in paths:
        node = None if root is None else root.find(path)
        if node is not None and node.value is not None:
            return node.place, path
    return Position(deployment.line, 1), ()
