"""Builds a deployment from one document, or reports everything that is wrong with the document.

`overlays` calls `build` for documents of manifests. Code that reads deployments back from the state calls
`build_deployment`, which raises for an invalid document, because it was valid when it was stored. Nothing else here
raises for invalid input.
"""

import posixpath
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from controller.errors import StateError
from controller.manifests.after_fields import UpstreamPlace, read_after, upstream_places
from controller.manifests.canonical_json import digest
from controller.manifests.deadline_warnings import warn_about_deadlines
from controller.manifests.field_rules import check_rules
from controller.manifests.matrix import combination_of
from controller.manifests.notify_fields import read_notify_fields
from controller.manifests.policy_fields import check_queue, read_policies
from controller.manifests.python_settings import check_import_paths, check_python, read_import_paths, read_python
from controller.manifests.repeated_parts import read_part
from controller.manifests.run_names import check_run_names
from controller.manifests.run_targets import read_target, read_working_directory
from controller.manifests.schedule_fields import read_duration, read_schedules
from controller.manifests.schema_validation import check_shape
from controller.manifests.short_forms import as_written
from controller.manifests.trigger_fields import read_triggers, webhook_places
from controller.manifests.upstream_references import check_upstream_references
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Document, Node, Path, Position, Problem
from controller.manifests.yaml.value_nodes import ValueNode
from controller.model.deployments import CommandTarget, Deployment, FlowTarget, Target
from controller.model.findings import Severity
from controller.model.python_environments import PythonRequest
from controller.model.shared_values import share
from controller.model.snapshots import is_python
from controller.model.stored_documents import plain_document
from controller.records import dataclass
from controller.text import shorten

if TYPE_CHECKING:
    from controller.manifests.flow_references import Flows


_NOT_STORED = ("environments", "enabled")
"""Keys that have done their part when a document is built: they decide about the environment."""
_DEFAULTED = ("after", "catchup", "expect", "resources", "retention", "retries", "secrets")
"""Keys of the document that are also fields of a Deployment, with a default that is an object of its own."""
_NOTHING: Mapping[str, Any] = {}
_EMPTY = {"document": _NOTHING, "spec_digest": ""} | {
    each.name: each.default_factory() for each in fields(Deployment) if each.default_factory is not MISSING
}
"""The default values of a deployment that is not stored, shared by all of them."""
TARGET_KEYS = ("command", "flow", "flow_location", "flow_name", "skip_exit_code")
SCHEDULE_KEYS = ("schedule", "schedules", "timezone", "calendars")
SETTINGS_KEYS = (
    *("timeout", "working_directory", "python", "import_paths"),
    *("catchup", "overlap", "priority", "prune", "queue", "renamed_from", "resources", "retention", "retries"),
    *("secrets", "start_deadline", "expect", "heartbeat", "notify", "on", "executor", "on_silence"),
)
"""The keys of a document on which these fields depend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """The result for one document: a deployment, unless `problems` has an error.

    `name` is the declared name, `identity` the same if that name is valid. `place` is the position of the name, or of
    the document if it has none; `renamed` likewise for `renamed_from`. `python` is what it asks for besides the Python
    environment of the controller; None without `flows`. `upstreams` are the deployments that it names under `after`,
    and `webhooks` the names of its webhooks, with their positions and paths.
    A deployment that is not `enabled` is None without an error. `renamed_from` and `matrix` are those of a valid
    deployment, also if it is not used.
    """

    name: str | None
    identity: str | None
    place: Position
    renamed: Position
    deployment: Deployment | None
    problems: tuple[Problem, ...]
    webhooks: tuple[tuple[str, Position, Path], ...] = ()
    python: PythonRequest | None = None
    upstreams: tuple[UpstreamPlace, ...] = ()
    is_enabled: bool = True
    renamed_from: str | None = None
    matrix: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


def build(
    document: Document,
    file: str,
    now: datetime | None,
    *,
    queues: Collection[str] | None = None,
    flows: "Flows | None" = None,
    is_used: bool = True,
    is_stored: bool = True,
) -> BuildResult:
    """Check everything that can be checked in one document, and build its deployment.

    If the deployment is not used, the document is only checked, and the result has none. If it is not stored, it has
    only what findings need: its name, target, place and rules of notifications.

    Without `now`, schedules that never fire are not reported; without `queues`, unknown queues are not; without
    `flows`, missing flows and wrong parameters are not.
    """
    root = document.root
    context = ValidationContext(root, ())
    shape = check_shape(root)
    if shape or document.problems:
        reported = {problem.place[:3] for problem in document.problems}
        context.problems += [*document.problems, *(each for each in shape if each.place[:3] not in reported)]
    if queues is not None:
        check_queue(context, queues)
    fields, python = _check(context, file, now, flows) if isinstance(root.value, dict) else (None, None)
    name, identity = context.value.get("name"), context.get("name")
    is_enabled = context.get("enabled") is not False
    valid = fields if is_enabled else None
    make = _deployment if is_stored else _unstored_deployment
    return BuildResult(
        name=name if isinstance(name, str) else None,
        identity=identity if isinstance(identity, str) else None,
        place=_place_of(root, "name"),
        renamed=_place_of(root, "renamed_from"),
        deployment=None if valid is None or not is_used else make(context, file, valid),
        problems=_problems_as_written(context, file) if context.problems else (),
        webhooks=tuple(webhook_places(context)),
        python=python,
        upstreams=upstream_places(context),
        is_enabled=is_enabled,
        renamed_from=None if valid is None else valid["renamed_from"],
        matrix=_NOTHING if valid is None else combination_of(context.value) or _NOTHING,
    )


def _place_of(root: Node, key: str) -> Position:
    """Return the position of the value of a key, or of the document without it."""
    field = root.child(key)
    place = root.place if field is None else field.place
    return place if isinstance(root, ValueNode) else share(place)


def _problems_as_written(context: ValidationContext, file: str) -> tuple[Problem, ...]:
    return tuple(context.problems if is_python(file) else (as_written(each, context.root) for each in context.problems))


def unexpanded(root: Node, problems: tuple[Problem, ...]) -> BuildResult:
    """Return the result of a document whose matrix is invalid, so that its deployments are not known."""
    place, renamed = root.at(("name",)).place, root.at(("renamed_from",)).place
    return BuildResult(name=None, identity=None, place=place, renamed=renamed, deployment=None, problems=problems)


def differing_key(first: BuildResult, second: BuildResult) -> str | None:
    """Return a key of the matrix that has another value in these two documents of it; None if there is none."""
    values, others = first.matrix, second.matrix
    return next((key for key in values if key in others and values[key] != others[key]), None)


def build_deployment(document: Mapping[str, Any], file: str, line: int) -> Deployment:
    """Return the deployment of a stored document. Raises StateError if the document is not valid (any more)."""
    built = build(Document(root=Node(plain_document(document), Position(line, 1))), file, None)
    if built.deployment is None:
        first = next(problem for problem in built.problems if problem.severity is Severity.ERROR)
        name = shorten(built.name or "without a name")
        raise StateError(
            f"the stored deployment {name} from {file} is not valid: {first.message}",
            hint="another version of the controller stored it, or it is damaged",
        )
    return built.deployment


def check_parts(
    root: Node, problems: Iterable[Problem], queues: Collection[str], now: datetime | None
) -> tuple[Problem, ...]:
    """Return the problems of a partial deployment, starting with these problems of its shape."""
    context = ValidationContext(root, tuple(problems))
    check_queue(context, queues)
    _read_fields(context, "", now)
    return tuple(as_written(problem, root) for problem in context.problems)


def _read_fields(context: ValidationContext, file: str, now: datetime | None) -> tuple[Target | None, dict[str, Any]]:
    """Return the target, and the fields of a Deployment that are converted rather than copied."""
    target = read_part(context, TARGET_KEYS, read_target, posixpath.dirname(file))
    check_rules(context)
    schedules = read_part(context, SCHEDULE_KEYS, read_schedules, now)
    fields = read_part(context, SETTINGS_KEYS, _read_settings)
    return target, {"schedules": schedules, **fields, "after": read_after(context)}


def _read_settings(context: ValidationContext) -> Mapping[str, Any]:
    """Return the fields that are often the same in many documents."""
    length = context.get("timeout")
    return {
        "timeout": None if length is None else share(read_duration(context, ("timeout",), length)),
        "working_directory": read_working_directory(context),
        "python": read_python(context),
        "import_paths": read_import_paths(context),
        **read_policies(context),
        **read_notify_fields(context),
        **read_triggers(context),
    }


def _check(
    context: ValidationContext, file: str, now: datetime | None, flows: "Flows | None"
) -> tuple[dict[str, Any] | None, PythonRequest | None]:
    """Return the fields of the Deployment that are converted, and its target. None if the document has an error."""
    target, fields = _read_fields(context, file, now)
    triggers = (*fields["files"], *fields["webhooks"])
    check_run_names(context, {name for trigger in triggers for name in trigger.parameter_names} if triggers else ())
    check_upstream_references(context, fields["after"])
    if now is not None and fields["expect"]:
        warn_about_deadlines(context, fields["expect"], fields["schedules"], now)
    python = None if flows is None else _check_code(context, target, fields, file, flows)
    if target is None or (context.problems and any(problem.is_error for problem in context.problems)):
        return None, None
    return {"target": target, **fields}, python


def _unstored_deployment(context: ValidationContext, file: str, fields: Mapping[str, Any]) -> Deployment:
    own = {"target": fields["target"], "notify": fields["notify"]}
    return Deployment(name=context.value["name"], file=file, line=_first_line(context.root), **own, **_EMPTY)


def _deployment(context: ValidationContext, file: str, fields: dict[str, Any]) -> Deployment:
    document = {key: value for key, value in context.value.items() if key not in _NOT_STORED}
    fields |= {name: share(fields[name], name) for name in _DEFAULTED if name not in document}
    fields["target"] = share(fields["target"])
    return Deployment(
        name=document["name"],
        file=file,
        line=_first_line(context.root),
        document=document,
        spec_digest=digest(document),
        description=document.get("description", ""),
        tags=tuple(dict.fromkeys(document.get("tags", ()))),
        version=document.get("version"),
        parameters=document.get("parameters", _NOTHING),
        suspend=document.get("suspend", False),
        run_name=document.get("run_name"),
        timezone=document.get("timezone"),
        env=document.get("env", _NOTHING),
        matrix=combination_of(document) or _NOTHING,
        **fields,
    )


def _check_code(
    context: ValidationContext, target: Target | None, fields: Mapping[str, Any], file: str, flows: "Flows"
) -> PythonRequest | None:
    # Imported here because only manifests need the analysis of flows: a stored deployment is built without its code.
    from controller.manifests.flow_references import check_flow, check_spelling, check_working_directory

    directory, import_paths, settings = (fields[name] for name in ("working_directory", "import_paths", "python"))
    flow = None
    if isinstance(target, FlowTarget):
        flow = check_flow(context, target, import_paths, flows, has_packages=settings is not None)
    elif isinstance(target, CommandTarget):
        from controller.manifests.command_checks import check_command_files

        check_command_files(context, target, directory, flows)
    if target is not None:
        check_spelling(context, flow)
    check_working_directory(context, directory, flows)
    check_import_paths(context, import_paths, flows)
    return None if target is None else check_python(context, target, settings, file, flows)


def _first_line(root: Node) -> int:
    """Return the first line of the document itself, ignoring keys that were merged into it."""
    if isinstance(root, ValueNode):
        return root.place.line
    lines = [line for line, _, file, within in root.keys.values() if not file and not within]
    return min(lines, default=root.place.line)
