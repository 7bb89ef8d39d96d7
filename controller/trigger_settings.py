"""The operator's settings of triggers: options of `controller run`. `cli.trigger_options` parses them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from controller.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerSettings:
    """What may start runs.

    `watch_roots`: the absolute paths of the folders below which deployments may watch for new files.
    """

    watch_roots: tuple[Path, ...] = ()


def parse_triggers(*, watch_roots: Iterable[str]) -> TriggerSettings:
    """Check the options. A folder need not exist yet. Raises UsageError."""
    roots = [Path(root).absolute() for root in watch_roots]
    for root in roots:
        if root.exists() and not root.is_dir():
            raise UsageError(f"--watch-root {root}: this is not a folder.")
    return TriggerSettings(watch_roots=tuple(dict.fromkeys(roots)))
