"""Renders a document for an environment: defaults < environment defaults < document < the document's overlay.

A document with a `matrix` is expanded after that, into one document per combination of its values.
The calendars of controller.yaml that its schedules use become a part of the document.

`reader` calls it for every document. Merged values keep their positions, so a finding points at the place where a value
was written, in the document, its overlay or controller.yaml.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from controller.manifests.build import BuildResult, build, unexpanded
from controller.manifests.calendar_fields import with_calendars
from controller.manifests.flow_references import Flows
from controller.manifests.matrix import MATRIX, MAX_COMBINATIONS, expand
from controller.manifests.merge import drop_null_keys, relocate, without_keys
from controller.manifests.project_file import ProblemKey, Project, problem_key
from controller.manifests.short_forms import merge_defaults, merge_overlay, shorten_overlap, with_long_forms
from controller.manifests.yaml.nodes import Document, Node, Problem
from controller.model.findings import Severity
from controller.records import dataclass

ENVIRONMENTS = "environments"
_FIXED = ("name", ENVIRONMENTS)
_VALUES = ("parameters",)
"""Keys below which null is a value unless it removes a default."""
_OF_COMMANDS = "skip_exit_code"
"""A default for commands, which flows don't get."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """How to build documents: with which project, for which environment, and whether to check all others too.

    Without `flows`, missing flows and wrong parameters are not reported. `is_stored` as for `build`.
    """

    project: Project
    environment: str | None
    all_environments: bool
    flows: Flows | None = None
    is_stored: bool = True


def build_in_environments(
    document: Document, file: str, now: datetime, options: BuildOptions, limit: int = MAX_COMBINATIONS
) -> tuple[list[BuildResult], dict[str, tuple[BuildResult, ...]]]:
    """Build the document for the chosen environment. With `all_environments`, add its problems in all others.

    Returns one result, or one for each of at most `limit` combinations of its matrix. A problem that several of them
    have is in the first of these results only. The second value has the results of each other environment, without
    these changes.
    """
    project = options.project
    chosen = _build_all(document, file, now, options, options.environment, limit)
    environments = _other_environments(document.root, project) if options.all_environments else ()
    built = {each: _build_all(document, file, now, options, each, limit) for each in environments}
    others = {environment: there.results for environment, there in built.items()}
    invalid = list(_invalid_overlays(document.root))
    if invalid or any(each.has_problems for each in (chosen, *built.values())):
        return _with_problems(chosen, built, invalid, project), others
    return list(chosen.results), others


def _with_problems(
    chosen: "_Built", others: Mapping[str, "_Built"], invalid: Iterable[Problem], project: Project
) -> list[BuildResult]:
    """Return the results of the chosen environment with the problems of the document in all of them."""
    results = chosen.results
    reported = {problem_key(problem) for problem in project.problems}
    shared = [*chosen.problems, *invalid]
    problems = [[each for each in result.problems if problem_key(each) not in reported] for result in results]
    reported |= {problem_key(problem) for each in (shared, *problems) for problem in each}
    index_of = {result.name: index for index, result in enumerate(results)}
    for environment, built in others.items():
        for index, there in [
            (0, built.problems),
            *((index_of.get(result.name, 0), result.problems) for result in built.results),
        ]:
            more = (problem for problem in there if problem_key(problem) not in reported)
            problems[index] += (_with_environment(problem, environment) for problem in more)
    deployments = [
        None if _fails((*shared, *own)) else result.deployment for result, own in zip(results, problems, strict=True)
    ]
    merged = _merge_problems([result.name for result in results], problems)
    merged[0] = (*merged[0], *shared)
    if not any(merged) and not any(result.problems for result in results):
        return list(results)
    return [
        replace(result, problems=own, deployment=deployment)
        if deployment is not None
        else replace(result, problems=own, deployment=None, renamed_from=None, matrix={})
        for result, own, deployment in zip(results, merged, deployments, strict=True)
    ]


def declared_environments(root: Node) -> Iterable[str]:
    """Return the environments for which the document declares an overlay."""
    overlays = root.child(ENVIRONMENTS)
    return overlays.fields if overlays else ()


def render(root: Node, project: Project, environment: str | None) -> Node:
    """Return the document as it is in this environment. It keeps `environments`, so that its shape can be checked."""
    if not isinstance(root.value, dict):
        return root
    overlays = root.child(ENVIRONMENTS)
    defaults = project.defaults_in(environment)
    document = with_long_forms(root) if defaults is None else merge_defaults(defaults, root)
    if project.removable is not None:
        document = drop_null_keys(project.removable, document, values=_VALUES)
    patch = overlays.child(environment) if overlays and environment is not None else None
    if environment is not None and patch is not None and isinstance(patch.value, dict):
        document = merge_overlay(document, without_keys(relocate(patch, within=(ENVIRONMENTS, environment)), *_FIXED))
    document = shorten_overlap(document)
    is_default = _OF_COMMANDS in document.value and document.keys[_OF_COMMANDS].file
    return without_keys(document, _OF_COMMANDS) if is_default and "command" not in document.value else document


def find_rendered(documents: Iterable[Document], name: str, project: Project, environment: str | None) -> Node | None:
    """Return the first document that declares this name, as it is in this environment; None if there is none."""
    for document in documents:
        value = document.root.value
        if isinstance(value, dict) and (value.get("name") == name or _has_matrix(value)):
            for root in expand(render(document.root, project, environment)).roots:
                if root.value.get("name") == name:
                    return with_calendars(with_long_forms(root), project.calendars)
    return None


def _has_matrix(value: Mapping[str, Any]) -> bool:
    """Return whether a document has a matrix in some environment."""
    overlays = value.get(ENVIRONMENTS)
    patches = overlays.values() if isinstance(overlays, dict) else ()
    return MATRIX in value or any(isinstance(patch, dict) and MATRIX in patch for patch in patches)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Built:
    """The results of one document in one environment, at least one, and the problems that concern all of them."""

    results: tuple[BuildResult, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def has_problems(self) -> bool:
        """Whether the document or any of its results has a problem."""
        return bool(self.problems) or any(result.problems for result in self.results)


def _build_all(
    document: Document, file: str, now: datetime, options: BuildOptions, environment: str | None, limit: int
) -> _Built:
    project = options.project
    root = render(document.root, project, environment)
    expansion = expand(root, limit)
    if not expansion.roots:
        return _Built(results=(unexpanded(root, (*document.problems, *expansion.problems)),))
    results = (
        build(
            Document(root=each, problems=document.problems),
            file,
            now,
            queues=project.queues,
            flows=options.flows,
            is_used=environment == options.environment,
            is_stored=options.is_stored,
        )
        for each in (
            with_calendars(each if each is root else with_long_forms(each), project.calendars)
            for each in expansion.roots
        )
    )
    return _Built(results=tuple(results), problems=expansion.problems)


def _other_environments(root: Node, project: Project) -> Iterator[str]:
    """Yield the environments in which the document differs from that without an environment."""
    own = set(declared_environments(root))
    for environment in sorted({*own, *project.environments}):
        if environment in own or project.defaults_in(environment) is not project.defaults:
            yield environment


def _merge_problems(names: Sequence[str | None], problems: Sequence[Sequence[Problem]]) -> list[tuple[Problem, ...]]:
    """Return the problems of each result, each problem only once, with the names that it concerns if not all."""
    if len(problems) == 1:
        return [tuple(problems[0])]
    owners: dict[ProblemKey, dict[int, None]] = {}
    for index, own in enumerate(problems):
        for problem in own:
            owners.setdefault(problem_key(problem), {})[index] = None
    merged: list[tuple[Problem, ...]] = []
    for index, own in enumerate(problems):
        concerned = [(problem, list(owners[problem_key(problem)])) for problem in own]
        merged.append(
            tuple(_with_names(problem, names, indexes) for problem, indexes in concerned if indexes[0] == index)
        )
    return merged


def _with_names(problem: Problem, names: Sequence[str | None], indexes: Sequence[int]) -> Problem:
    """Return the problem, with the names of the deployments in its message unless it concerns all of the document."""
    if len(indexes) == len(names):
        return problem
    more = f" and {len(indexes) - 1} more" if len(indexes) > 1 else ""
    return replace(problem, message=f"{problem.message} (in {names[indexes[0]]}{more})")


def _invalid_overlays(root: Node) -> Iterator[Problem]:
    """Yield a problem for each overlay key that must be the same in every environment."""
    overlays = root.child(ENVIRONMENTS)
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
