"""The options of `controller run` about what files and requests may start."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click


def triggers(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options, and pass them to the command as one `triggers`."""

    @click.option(
        "--watch-root",
        "watch_roots",
        metavar="DIR",
        multiple=True,
        envvar="CONTROLLER_WATCH_ROOT",
        help="Folder below which deployments may watch for new files. Repeatable. [default: none]",
    )
    @click.option(
        "--git-hook-secret",
        metavar="env:NAME|file:PATH",
        envvar="CONTROLLER_GIT_HOOK_SECRET",
        help="Sync when a git server sends a request to /hooks/git that is signed with this secret.",
    )
    @wraps(command)
    def with_triggers(watch_roots: tuple[str, ...], git_hook_secret: str | None, **arguments: Any) -> Any:
        from controller.trigger_settings import parse_triggers

        return command(triggers=parse_triggers(watch_roots=watch_roots, git_hook_secret=git_hook_secret), **arguments)

    return with_triggers
