"""One document to one deployment, or to everything that is wrong with it.

`reader` calls `build` for what was loaded from files; whoever reads back the state calls `build_deployment`.
Nothing here raises for a bad document but `build_deployment`, whose documents were good once.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.errors import StateError
from controller.manifests.canonical_json import digest
from controller.manifests.command_checks import check_command_files
from controller.manifests.field_rules import check_rules
from controller.manifests.flow_references import Flows, check_flow, check_working_directory
from controller.manifests.policy_fields import check_queue, read_policies
from controller.manifests.run_targets import read_target, read_working_directory
from controller.manifests.schedule_fields import read_duration, read_schedules
from controller.manifests.schema_validation import check_shape
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Document, Node, Position, Problem, shorten
from controller.model.deployments import CommandTarget, Deployment, FlowTarget, Target
from controller.model.findings import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What became of a document: a deployment, unless there is an error in `problems`.

    `name` is what it calls itself, `identity` the same if nothing is wrong with that name. `place` is where the name
    is written, or where the document begins; `renamed` the same for `renamed_from`.
    """

    name: str | None
    identity: str | None
    place: Position
    renamed: Position
    deployment: Deployment | None
    problems: tuple[Problem, ...]


def build(
    document: Document,
    file: str,
    now: datetime | None,
    *,
    queues: Collection[str] | None = None,
    flows: Flows | None = None,
) -> Built:
    """Check everything that can be checked in one document.

    `now` None leaves out whether schedules ever fire, `queues` None whether the queue is one of them, `flows` None
    whether the flow is there and takes the parameters.
    """
    root = document.root
    draft = ValidationContext(root, ())
    known = {problem.place[:3] for problem in document.problems}
    shape = (problem for problem in check_shape(root) if problem.place[:3] not in known)
    draft.problems += [*document.problems, *shape]
    if queues is not None:
        check_queue(draft, queues)
    deployment = _deployment(draft, file, now, flows) if isinstance(root.value, dict) else None
    name = draft.value.get("name")
    identity = draft.get("name")
    return Built(
        name=name if isinstance(name, str) else None,
        identity=identity if isinstance(identity, str) else None,
        place=root.at(("name",)).place,
        renamed=root.at(("renamed_from",)).place,
        deployment=deployment,
        problems=tuple(draft.problems),
    )


def build_deployment(document: Mapping[str, Any], file: str, line: int) -> Deployment:
    """The deployment that a stored document describes. Raises StateError if it is not valid (any more)."""
    built = build(Document(root=Node(dict(document), Position(line, 1))), file, None)
    if built.deployment is None:
        first = next(problem for problem in built.problems if problem.severity is Severity.ERROR)
        name = shorten(built.name or "without a name")
        raise StateError(
            f"the stored deployment {name} of {file} is not valid: {first.message}",
            hint="it was stored by another version of the controller, or damaged",
        )
    return built.deployment


def check_parts(
    root: Node, problems: Iterable[Problem], queues: Collection[str], now: datetime | None
) -> tuple[Problem, ...]:
    """Everything that is wrong with a partial deployment, beginning with these problems of its shape."""
    draft = ValidationContext(root, tuple(problems))
    check_queue(draft, queues)
    _parts(draft, "", now)
    return tuple(draft.problems)


def _parts(draft: ValidationContext, file: str, now: datetime | None) -> tuple[Target | None, dict[str, Any]]:
    """What it runs, and the other fields of a Deployment that are more than copied."""
    target = read_target(draft, file)
    check_rules(draft)
    schedules = read_schedules(draft, now)
    said = draft.get("timeout")
    timeout = None if said is None else read_duration(draft, ("timeout",), said)
    policies = read_policies(draft)
    directory = read_working_directory(draft)
    return target, {"schedules": schedules, "timeout": timeout, "working_directory": directory, **policies}


def _deployment(draft: ValidationContext, file: str, now: datetime | None, flows: Flows | None) -> Deployment | None:
    target, parts = _parts(draft, file, now)
    if flows is not None and isinstance(target, FlowTarget):
        check_flow(draft, target, flows)
    elif flows is not None and isinstance(target, CommandTarget):
        check_command_files(draft, target, parts["working_directory"], flows)
    if flows is not None:
        check_working_directory(draft, parts["working_directory"], flows)
    if target is None or any(problem.severity is Severity.ERROR for problem in draft.problems):
        return None
    document = {key: value for key, value in draft.value.items() if key != "environments"}
    return Deployment(
        name=document["name"],
        target=target,
        file=file,
        line=_first_line(draft.root),
        document=document,
        spec_digest=digest(document),
        description=document.get("description", ""),
        tags=tuple(dict.fromkeys(document.get("tags", ()))),
        version=document.get("version"),
        parameters=document.get("parameters", {}),
        suspend=document.get("suspend", False),
        env=document.get("env", {}),
        **parts,
    )


def _first_line(root: Node) -> int:
    """Where the document begins; what was merged into it doesn't count."""
    own = (place.line for place in root.keys.values() if not place.file and not place.within)
    return min(own, default=root.place.line)
