"""The options of `controller run` about what files and requests may start, and what parameters may read."""

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
        "--parameter-env",
        "parameter_variables",
        metavar="NAME",
        multiple=True,
        envvar="CONTROLLER_PARAMETER_ENV",
        help="Environment variable that parameters may refer to with from: env.NAME. Repeatable. [default: none]",
    )
    @click.option(
        "--git-hook-secret",
        metavar="env:NAME|file:PATH",
        envvar="CONTROLLER_GIT_HOOK_SECRET",
        help="Sync when a git server sends a request to /hooks/git that is signed with this secret.",
    )
    @wraps(command)
    def with_triggers(
        watch_roots: tuple[str, ...],
        git_hook_secret: str | None,
        parameter_variables: tuple[str, ...],
        **arguments: Any,
    ) -> Any:
        from controller.trigger_settings import parse_triggers

        settings = parse_triggers(
            watch_roots=watch_roots, git_hook_secret=git_hook_secret, parameter_variables=parameter_variables
        )
        return command(triggers=settings, **arguments)

    return with_triggers
