"""The operator's settings of what files and requests may start, and what parameters may read.

They are options of `controller run`.

`cli.trigger_options` parses them with `parse_triggers`.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from controller.errors import UsageError
from controller.records import dataclass
from controller.text import shorten

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/.+")


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerSettings:
    """The settings of triggers.

    - `watch_roots`: the absolute paths of the folders below which deployments may watch for new files.
    - `parameter_variables`: the names of the environment variables that parameters may refer to.
    - `git_hook_secret`: where the secret of `/hooks/git` is, as `env:NAME` or `file:PATH`; None without this webhook.
    """

    watch_roots: tuple[Path, ...] = ()
    parameter_variables: tuple[str, ...] = ()
    git_hook_secret: str | None = None


def parse_triggers(
    *, watch_roots: Iterable[str], git_hook_secret: str | None, parameter_variables: Iterable[str] = ()
) -> TriggerSettings:
    """Check the options. A folder or variable need not exist yet.

    Raises UsageError, without a value that may be a secret.
    """
    roots = [Path(root).absolute() for root in watch_roots]
    for root in roots:
        if root.exists() and not root.is_dir():
            raise UsageError(f"--watch-root {root}: this is not a folder.")
    if git_hook_secret and _SECRET.fullmatch(git_hook_secret) is None:
        raise UsageError(
            "--git-hook-secret: expected env:NAME, or file:PATH with an absolute path.",
            hint="The option names the place of the secret, so that the list of processes does not show the secret.",
        )
    names = tuple(dict.fromkeys(parameter_variables))
    for name in names:
        if _VARIABLE.fullmatch(name) is None:
            message = f"--parameter-env {shorten(name)!r}: this is not the name of an environment variable."
            raise UsageError(message, hint="Write only the name: letters, digits and underscores, no digit first.")
    return TriggerSettings(
        watch_roots=tuple(dict.fromkeys(roots)),
        git_hook_secret=git_hook_secret or None,
        parameter_variables=names,
    )
