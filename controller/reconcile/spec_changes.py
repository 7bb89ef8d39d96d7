"""Finds the Python specs that a commit adds, changes or removes. Pure.

`controller plan` executes no spec, so it can't compare what they declare. The two comparisons call it.
"""

from collections.abc import Collection, Mapping

from controller.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecChange:
    """A Python spec that was not executed; `action` is `added`, `changed` or `removed`."""

    action: str
    file: str


def spec_changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[SpecChange, ...]:
    """Return how the specs differ. Both arguments are the digests of their contents by file."""
    changes = [SpecChange(action="removed", file=file) for file in before.keys() - after.keys()]
    for file, digest in after.items():
        if before.get(file) != digest:
            changes.append(SpecChange(action="changed" if file in before else "added", file=file))
    return tuple(sorted(changes, key=lambda change: change.file))


def changed_specs(
    specs: Collection[str], changed: Collection[str] | None, recorded: Collection[str]
) -> tuple[SpecChange, ...]:
    """Return the `specs` among the `changed` files; all of them if it is unknown which files changed.

    `recorded` are the files that declare active deployments.
    """
    return tuple(
        SpecChange(action="changed" if file in recorded else "added", file=file)
        for file in sorted(specs)
        if changed is None or file in changed
    )
