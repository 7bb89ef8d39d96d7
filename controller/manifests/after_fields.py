"""Reads what a document says about its upstream deployments: the value of `after`.

`build` calls `read_after`. Whether the deployments exist, and whether they form a cycle, is checked by
`dependency_findings`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path, Position
from controller.model.triggers import After, OnRedo, Upstream, UpstreamOutcome
from controller.text import shorten

AFTER = "after"
_NOTHING = After()


class UpstreamPlace(NamedTuple):
    """The name of an upstream deployment as a document declares it, and where."""

    name: str
    place: Position
    path: Path


def read_after(context: ValidationContext) -> After:
    """Return the upstream deployments. Invalid ones are left out; one that is listed twice is a problem."""
    if AFTER not in context.value:
        return _NOTHING
    upstreams: dict[str, Upstream] = {}
    own_name = context.value.get("name")
    for path, value in upstream_values(context.value.get(AFTER)):
        if not context.is_clean(path):
            continue
        upstream = _upstream(value)
        name = shorten(upstream.deployment)
        if upstream.deployment == own_name:
            hint = "remove it, or name another deployment"
            context.add("DependencyCycle", f"{name} can't wait for itself", path, hint=hint)
        elif upstream.deployment in upstreams:
            context.add("DuplicateUpstream", f"{name} is listed twice", path, hint="remove one of them")
        else:
            upstreams[upstream.deployment] = upstream
    declared = context.value.get(AFTER)
    is_any = isinstance(declared, Mapping) and declared.get("any") is True
    return After(upstreams=tuple(upstreams.values()), any=is_any and bool(upstreams))


def upstream_places(context: ValidationContext) -> tuple[UpstreamPlace, ...]:
    """Return where the document declares its upstream deployments, without those that have an error."""
    if AFTER not in context.value:
        return ()
    places = []
    for path, value in upstream_values(context.value.get(AFTER)):
        if context.is_clean(path):
            path, name = (path, value) if isinstance(value, str) else ((*path, "deployment"), value["deployment"])
            places.append(UpstreamPlace(name, context.root.at(path).place, path))
    return tuple(places)


def upstream_names(document: Mapping[str, Any]) -> list[str]:
    """Return the names of the upstream deployments of a valid document."""
    values = (value for _, value in upstream_values(document.get(AFTER)))
    return [value if isinstance(value, str) else value["deployment"] for value in values]


def upstream_values(after: Any) -> Iterator[tuple[Path, Any]]:
    """Yield the value of each upstream deployment in a value of `after`, with its path in the document."""
    if isinstance(after, str) or (isinstance(after, Mapping) and "deployments" not in after):
        yield (AFTER,), after
        return
    path: Path = (AFTER,)
    if isinstance(after, Mapping):
        after, path = after["deployments"], (AFTER, "deployments")
    for index, value in enumerate(after if isinstance(after, list | tuple) else ()):
        yield (*path, index), value


def _upstream(value: str | Mapping[str, str]) -> Upstream:
    """Return the upstream deployment of a value that matches the schema."""
    options = {"deployment": value} if isinstance(value, str) else value
    return Upstream(
        deployment=options["deployment"],
        on=UpstreamOutcome(options.get("on", UpstreamOutcome.SUCCEEDED)),
        on_redo=OnRedo(options.get("on_redo", OnRedo.IGNORE)),
    )
