"""Renders a document for an environment: defaults < environment defaults < document < the document's overlay.

`reader` calls it for every document. Merged values keep their positions, so a finding points at the place where a value
was written, in the document, its overlay or controller.yaml.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from controller.manifests.build import BuildResult, build
from controller.manifests.flow_references import Flows
from controller.manifests.merge import drop_null_keys, relocate, without_keys
from controller.manifests.project_file import Project, problem_key
from controller.manifests.short_forms import expand, merge_defaults, merge_overlay, shorten_overlap
from controller.manifests.yaml.nodes import Document, Node, Problem
from controller.model.findings import Severity

ENVIRONMENTS = "environments"
_FIXED = ("name", ENVIRONMENTS)
_VALUES = ("parameters",)
"""Keys below which null is a value unless it removes a default."""
_OF_COMMANDS = "skip_exit_code"
"""A default for commands, which flows don't get."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """How to build documents: with which project, for which environment, and whether to check all others too.

    Without `flows`, missing flows and wrong parameters are not reported.
    """

    project: Project
    environment: str | None
    all_environments: bool
    flows: Flows | None = None


def build_in_environments(document: Document, file: str, now: datetime, options: BuildOptions) -> BuildResult:
    """Build the document for the chosen environment. With `all_environments`, add its problems in all others."""
    project = options.project
    reported = {problem_key(problem) for problem in project.problems}

    def build_with(environment: str | None) -> BuildResult:
        root = render(document.root, project, environment)
        result = build(replace(document, root=root), file, now, queues=project.queues, flows=options.flows)
        problems = tuple(problem for problem in result.problems if problem_key(problem) not in reported)
        return replace(result, problems=problems)

    chosen = build_with(options.environment)
    problems = [*chosen.problems, *_invalid_overlays(document.root)]
    reported |= {problem_key(problem) for problem in problems}
    if options.all_environments:
        own = set(declared_environments(document.root))
        for environment in sorted({*own, *project.environments}):
            if environment not in own and project.defaults_in(environment) is project.defaults:
                continue  # same as without an environment
            problems += (_with_environment(problem, environment) for problem in build_with(environment).problems)
    return replace(chosen, problems=tuple(problems), deployment=None if _fails(problems) else chosen.deployment)


def declared_environments(root: Node) -> Iterable[str]:
    """Return the environments for which the document declares an overlay."""
    overlays = root.fields.get(ENVIRONMENTS)
    return overlays.fields if overlays else ()


def render(root: Node, project: Project, environment: str | None) -> Node:
    """Return the document as it is in this environment. It keeps `environments`, so that its shape can be checked."""
    if not isinstance(root.value, dict):
        return root
    overlays = root.fields.get(ENVIRONMENTS)
    defaults = project.defaults_in(environment)
    document = expand(root) if defaults is None else merge_defaults(defaults, root)
    if project.removable is not None:
        document = drop_null_keys(project.removable, document, values=_VALUES)
    patch = overlays.fields.get(environment) if overlays and environment is not None else None
    if environment is not None and patch is not None and isinstance(patch.value, dict):
        document = merge_overlay(document, without_keys(relocate(patch, within=(ENVIRONMENTS, environment)), *_FIXED))
    document = shorten_overlap(document)
    is_default = _OF_COMMANDS in document.fields and document.keys[_OF_COMMANDS].file
    return without_keys(document, _OF_COMMANDS) if is_default and "command" not in document.fields else document


def _invalid_overlays(root: Node) -> Iterator[Problem]:
    """Yield a problem for each overlay key that must be the same in every environment."""
    overlays = root.fields.get(ENVIRONMENTS)
    for name, patch in overlays.fields.items() if overlays else ():
        for key in _FIXED:
            if key in patch.fields:
                yield Problem(
                    code="InvalidOverlay",
                    message=f"an overlay can't change {key}",
                    place=patch.keys[key],
                    path=(ENVIRONMENTS, name, key),
                    hint="remove it",
                )


def _with_environment(problem: Problem, environment: str) -> Problem:
    """Return the problem, with the environment in its message unless its position is in an overlay."""
    if problem.place.within[:1] == (ENVIRONMENTS,):
        return problem
    return replace(problem, message=f"{problem.message} (in environment {environment})")


def _fails(problems: Iterable[Problem]) -> bool:
    return any(problem.severity is Severity.ERROR for problem in problems)
