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


class NearChoice(click.Choice[str]):
    """One of these words; for another one the error also names the nearest of them."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The word. Raises BadParameter."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            from difflib import get_close_matches

            near = get_close_matches(str(value), [str(one) for one in self.choices], 1, 0.5)
            if not near:
                raise
            raise click.BadParameter(f"{error.message} Did you mean {near[0]!r}?", ctx, param) from error


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


__all__ = ["ListByDefault", "Location", "NearChoice", "location", "output"]
