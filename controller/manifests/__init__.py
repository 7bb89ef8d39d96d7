"""Turns the bytes of manifests into documents, findings and the desired state.

This is the only package that knows YAML and JSON Schema. Data flows from `yaml` through `overlays` (with `merge` and
`project_file`), `schema_validation` (with `schema_messages`) and `build` (with `run_targets`, `field_rules`,
`schedule_fields` and `policy_fields`) to `reader`. The reconciler, the `runs` package and the commands that read
manifests use it. Nothing here reads files, the clock, the environment or the network, and invalid input never raises.
"""

from controller.manifests.active_deployments import ActiveDeployments
from controller.manifests.build import build_deployment
from controller.manifests.canonical_json import digest
from controller.manifests.extract import Excerpt, excerpt
from controller.manifests.field_locations import SourceLocation, field_places
from controller.manifests.field_rules import looks_secret
from controller.manifests.parse_cache import ParsedFiles
from controller.manifests.project_file import project_document
from controller.manifests.reader import DesiredState, ManifestReader
from controller.manifests.rendered_specs import NOT_RENDERED
from controller.manifests.schema_validation import deployment_schema_text, schema_text
from controller.manifests.yaml.builder import MAX_DEPTH
from controller.manifests.yaml.dump import as_yaml

__all__ = [
    "MAX_DEPTH",
    "NOT_RENDERED",
    "ActiveDeployments",
    "DesiredState",
    "Excerpt",
    "ManifestReader",
    "ParsedFiles",
    "SourceLocation",
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
