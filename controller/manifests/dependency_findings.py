"""Finds upstream deployments that nothing declares, and deployments that wait for each other.

Pure; `document_findings` calls it for all documents of a revision together.
"""

import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from controller.manifests.after_fields import UpstreamPlace
from controller.manifests.build import BuildResult
from controller.manifests.yaml.nodes import Problem
from controller.model.findings import Finding
from controller.text import did_you_mean, shorten

_MOST_NAMES = 10
"""The number of deployments of a cycle up to which a message names all of them."""


class _Declaration(NamedTuple):
    """A document that names upstream deployments, in `file`."""

    file: str
    document: BuildResult


def dependency_findings(
    documents: Iterable[tuple[str, BuildResult]], *, names: Iterable[str] | None, disabled: Collection[str] = ()
) -> Iterator[Finding]:
    """Yield a finding for each upstream deployment that is not declared, and at each deployment of a cycle.

    `documents` are the results of the documents, each with its file. `names` are all declared names; None if they are
    not all known, so that unknown ones can't be reported. `disabled` are those that are not enabled in the environment.
    """
    declared: dict[str, _Declaration] = {}
    new_names: dict[str, str] = {}
    for file, document in documents:
        if document.identity is not None:
            declared.setdefault(document.identity, _Declaration(file, document))
            if document.renamed_from is not None:
                new_names[document.renamed_from] = document.identity
    if names is not None:
        yield from _unknown_upstreams(declared, frozenset(names), new_names, disabled)
    yield from _cycles(declared)


def _unknown_upstreams(
    declared: Mapping[str, _Declaration],
    names: frozenset[str],
    new_names: Mapping[str, str],
    disabled: Collection[str],
) -> Iterator[Finding]:
    for name, (file, document) in declared.items():
        for upstream in document.upstreams:
            if upstream.name not in names:
                others = names - {name}
                hint = did_you_mean(upstream.name, others) or "declare it, or remove it from after"
                parts = re.split(r"[\s,]+", upstream.name)
                if len(parts) > 1 and others.issuperset(parts):
                    hint = f"write a list: [{', '.join(parts)}]"
                if upstream.name in new_names:
                    hint = f"it was renamed: write {new_names[upstream.name]}"
                message = f"there is no deployment named {shorten(upstream.name)}"
                if upstream.name in disabled:
                    message = f"{shorten(upstream.name)} is not enabled, so it can't run first"
                    hint = f"remove it from after, or write enabled: true in {shorten(upstream.name)}"
                yield _finding("UnknownUpstream", message, hint, upstream, file, name)


def _cycles(declared: Mapping[str, _Declaration]) -> Iterator[Finding]:
    """Yield a finding at each deployment of a cycle, which names the whole cycle, starting there."""
    edges = {
        name: [upstream.name for upstream in document.upstreams if upstream.name in declared and upstream.name != name]
        for name, (_, document) in declared.items()
        if document.upstreams
    }
    if not edges:
        return
    from controller.model.graph import find_cyclic_groups

    for group in find_cyclic_groups(edges):
        cycles: dict[str, list[str]] = {}
        for name in sorted(group):
            cycle = cycles.get(name) or _shortest_cycle(name, edges, group)
            cycles.update(dict.fromkeys(cycle, cycle))
            start = cycle.index(name)
            cycle = [*cycle[start:], *cycle[:start]]
            file, document = declared[name]
            message = f"deployments wait for each other: {_describe(cycle, declared)}"
            hint = "remove one of these names from after"
            yield _finding("DependencyCycle", message, hint, _place_of(cycle[1], document), file, name)


def _shortest_cycle(name: str, edges: Mapping[str, list[str]], group: frozenset[str]) -> list[str]:
    """Return the shortest cycle in `group` that begins with `name`, without the repeated first name."""
    previous: dict[str, str] = {}
    queue = deque([name])
    while queue:
        current = queue.popleft()
        for upstream in edges.get(current, ()):
            if upstream == name:
                path = [current]
                while path[-1] != name:
                    path.append(previous[path[-1]])
                return path[::-1]
            if upstream in group and upstream not in previous:
                previous[upstream] = current
                queue.append(upstream)
    raise AssertionError(f"{name} is not on a cycle")


def _describe(cycle: list[str], declared: Mapping[str, _Declaration]) -> str:
    """Return the deployments of a cycle, each with the line where it names the next one."""
    pairs = list(zip(cycle, [*cycle[1:], cycle[0]], strict=True))
    left_out = pairs[_MOST_NAMES - 1 : -1] if len(pairs) > _MOST_NAMES else []
    steps = []
    for name, next_name in (*pairs[: _MOST_NAMES - 1], pairs[-1]) if left_out else pairs:
        file, document = declared[name]
        place = _place_of(next_name, document).place
        steps.append(f"{shorten(name)} ({place.file or file}:{place.line})")
    if left_out:
        steps.insert(-1, f"{len(left_out)} more")
    return " → ".join([*steps, shorten(cycle[0])])


def _place_of(name: str, document: BuildResult) -> UpstreamPlace:
    return next(upstream for upstream in document.upstreams if upstream.name == name)


def _finding(code: str, message: str, hint: str, upstream: UpstreamPlace, file: str, name: str) -> Finding:
    problem = Problem(code=code, message=message, place=upstream.place, path=upstream.path, hint=hint)
    return problem.finding(file, name)
