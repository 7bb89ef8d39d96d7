"""Bytes of manifests to documents, findings and the desired state: the only package that knows YAML and JSON Schema.

The way of the data: `load` (with `tree`, `scalars`, `syntax`) -> `overlays` (with `merging`, `project`) -> `schema`
(with `accept`, `wording`) -> `build` (with `targets`, `rules`, `schedules`, `policies`) -> `reader`. Called by the
reconciler, by runs, and by the commands that look at files. Nothing here reads files, the clock, the environment or the
network, and no bad input raises.
"""

from controller.manifests.build import build_deployment
from controller.manifests.canonical import digest
from controller.manifests.dump import as_yaml
from controller.manifests.excerpts import Excerpt, excerpt
from controller.manifests.parsed import ParsedFiles
from controller.manifests.project import project_document
from controller.manifests.reader import DesiredState, ManifestReader
from controller.manifests.rendered import NOT_RENDERED
from controller.manifests.rules import looks_secret
from controller.manifests.schema import deployment_schema_text, schema_text
from controller.manifests.tree import MAX_DEPTH
from controller.manifests.whereabouts import Whereabouts, field_places

__all__ = [
    "MAX_DEPTH",
    "NOT_RENDERED",
    "DesiredState",
    "Excerpt",
    "ManifestReader",
    "ParsedFiles",
    "Whereabouts",
    "as_yaml",
    "build_deployment",
    "deployment_schema_text",
    "digest",
    "excerpt",
    "field_places",
    "looks_secret",
    "project_document",
    "schema_text",
]
