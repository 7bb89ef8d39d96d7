"""One document as it is in an environment: defaults < environment defaults < document < the document's overlay.

`reader` calls it for every document. What is merged keeps its places, so that a finding points at where the value was
written: into the overlay, or into controller.yaml.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from controller.manifests.build import Built, build
from controller.manifests.flow_references import Flows
from controller.manifests.merge import default, overlay, relocate, removed, without
from controller.manifests.project_file import Project, mark
from controller.manifests.yaml.nodes import Document, Node, Problem
from controller.model.findings import Severity

ENVIRONMENTS = "environments"
_FIXED = ("name", ENVIRONMENTS)
_VALUES = ("parameters",)
"""Keys below which null is a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How documents are looked at: under which project, in which environment, and whether in all others too.

    `flows` None leaves out whether their flows are there and take the parameters.
    """

    project: Project
    environment: str | None
    all_environments: bool
    flows: Flows | None = None


def build_in(document: Document, file: str, now: datetime, view: View) -> Built:
    """What becomes of the document in the view's environment, and what is wrong with it in the others."""
    project = view.project
    known = {mark(problem) for problem in project.problems}

    def built_in(environment: str | None) -> Built:
        root = render(document.root, project, environment)
        built = build(replace(document, root=root), file, now, queues=project.queues, flows=view.flows)
        return replace(built, problems=tuple(problem for problem in built.problems if mark(problem) not in known))

    chosen = built_in(view.environment)
    problems = [*chosen.problems, *_misused(document.root)]
    known |= {mark(problem) for problem in problems}
    if view.all_environments:
        own = set(declared_environments(document.root))
        for environment in sorted({*own, *project.environments}):
            if environment not in own and project.defaults_in(environment) is project.defaults:
                continue  # nothing differs
            problems += (_in(problem, environment) for problem in built_in(environment).problems)
    return replace(chosen, problems=tuple(problems), deployment=None if _fails(problems) else chosen.deployment)


def declared_environments(root: Node) -> Iterable[str]:
    """The environments that the document declares an overlay for."""
    found = root.fields.get(ENVIRONMENTS)
    return found.fields if found else ()


def render(root: Node, project: Project, environment: str | None) -> Node:
    """The document in this environment. It still has its `environments`, for its shape to be checked."""
    if not isinstance(root.value, dict):
        return root
    declared = root.fields.get(ENVIRONMENTS)
    defaults = project.defaults_in(environment)
    found = root if defaults is None else default(defaults, root)
    if project.removable is not None:
        found = removed(project.removable, found, values=_VALUES)
    patch = declared.fields.get(environment) if declared and environment is not None else None
    if environment is not None and patch is not None and isinstance(patch.value, dict):
        found = overlay(found, without(relocate(patch, within=(ENVIRONMENTS, environment)), *_FIXED))
    return found


def _misused(root: Node) -> Iterator[Problem]:
    """Overlays that change what they may not."""
    declared = root.fields.get(ENVIRONMENTS)
    for name, patch in declared.fields.items() if declared else ():
        for key in _FIXED:
            if key in patch.fields:
                yield Problem(
                    code="InvalidOverlay",
                    message=f"{key} is the same in every environment",
                    place=patch.keys[key],
                    path=(ENVIRONMENTS, name, key),
                    hint="remove it",
                )


def _in(problem: Problem, environment: str) -> Problem:
    """The problem; with the environment, where its place doesn't say it."""
    if problem.place.within[:1] == (ENVIRONMENTS,):
        return problem
    return replace(problem, message=f"{problem.message} (in the environment {environment})")


def _fails(problems: Iterable[Problem]) -> bool:
    return any(problem.severity is Severity.ERROR for problem in problems)
