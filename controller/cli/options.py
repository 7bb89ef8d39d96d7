"""Options that several commands share, each also as an environment variable `CONTROLLER_…`."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from controller.settings import DEFAULT_PATH, Location, locate

Command = TypeVar("Command", bound=Callable[..., Any])

output = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print."
)


class ListByDefault(click.Group):
    """A group whose subcommand `list` may be left out, with and without options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Say `list` where no subcommand is named."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def location(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --repo, --path, --ref, --environment and --state-dir; the command gets them as one `location`."""

    @click.option(
        "--repo", metavar="PATH|URL", envvar="CONTROLLER_REPO", help="The repository. [default: the one here]"
    )
    @click.option(
        "--path",
        metavar="DIR",
        envvar="CONTROLLER_PATH",
        default=DEFAULT_PATH,
        show_default=True,
        help="Where in the repository the deployments are.",
    )
    @click.option(
        "--ref",
        metavar="REF",
        envvar="CONTROLLER_REF",
        help="The branch, tag or commit to follow. [default: the checked-out branch]",
    )
    @click.option(
        "--environment",
        metavar="NAME",
        envvar="CONTROLLER_ENVIRONMENT",
        help="The environment whose overlays are laid over the deployments. [default: none]",
    )
    @click.option(
        "--state-dir",
        metavar="DIR",
        envvar="CONTROLLER_STATE_DIR",
        help="Where state, logs and exports are kept. [default: .git/controller, or .controller without git]",
    )
    @wraps(command)
    def with_location(
        repo: str | None, path: str, ref: str | None, environment: str | None, state_dir: str | None, **others: Any
    ) -> Any:
        return command(location=locate(repo, path, ref, state_dir, environment), **others)

    return with_location


__all__ = ["ListByDefault", "Location", "location", "output"]
