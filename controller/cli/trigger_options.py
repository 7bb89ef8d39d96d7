"""The options of `controller run` about what starts runs besides schedules."""

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
    @wraps(command)
    def with_triggers(watch_roots: tuple[str, ...], **arguments: Any) -> Any:
        from controller.trigger_settings import parse_triggers

        return command(triggers=parse_triggers(watch_roots=watch_roots), **arguments)

    return with_triggers
