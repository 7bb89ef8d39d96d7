"""The operator's settings of what starts runs and passes from outside: options of `controller run`.

`cli.trigger_options` parses them with `parse_triggers`.
"""

import re
from dataclasses import dataclass

from controller.errors import UsageError

_SECRET = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/.+")


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerSettings:
    """The settings of triggers.

    `git_hook_secret`: where the secret of `/hooks/git` is, as `env:NAME` or `file:PATH`; None without this webhook.
    """

    git_hook_secret: str | None = None


def parse_triggers(*, git_hook_secret: str | None) -> TriggerSettings:
    """Check the options. Raises UsageError, without the value, since it may be the secret itself."""
    if git_hook_secret and _SECRET.fullmatch(git_hook_secret) is None:
        raise UsageError(
            "--git-hook-secret: expected env:NAME, or file:PATH with an absolute path.",
            hint="The option names the place of the secret, so that the list of processes does not show the secret.",
        )
    return TriggerSettings(git_hook_secret=git_hook_secret or None)
