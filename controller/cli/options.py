"""Options that several commands share. The location options can also be set as environment variables `CONTROLLER_…`."""

import shlex
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta, tzinfo
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from controller.cli import complete
from controller.cli.help_pages import Group
from controller.errors import UsageError
from controller.text import visible

if TYPE_CHECKING:
    from pathlib import Path

    from controller.remotes import RemoteUrl
    from controller.state_url import StateUrl

Command = TypeVar("Command", bound=Callable[..., Any])

output = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)


LIST_FORMATS = ("text", "wide", "json", "jsonl", "yaml", "name")

list_output = click.option(
    "-o", "--output", type=click.Choice(LIST_FORMATS), default="text", show_default=True, help="Output format."
)


watch = click.option(
    "-w", "--watch", is_flag=True, help="Keep the list up to date until Ctrl-C. In a pipe, print changed rows again."
)


class NearChoice(click.Choice[str]):
    """A choice whose error for an unknown value also suggests the most similar valid one.

    `unlisted` are values that are accepted, but not shown.
    """

    def __init__(self, choices: Sequence[str], *, case_sensitive: bool = True, unlisted: Collection[str] = ()) -> None:
        super().__init__(choices, case_sensitive)
        self._unlisted = unlisted

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the chosen value. Raises BadParameter."""
        if value in self._unlisted:
            return value
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            from difflib import get_close_matches

            near = get_close_matches(str(value), [str(choice) for choice in self.choices], 1, 0.5)
            if not near:
                raise
            raise click.BadParameter(f"{error.message} Did you mean {near[0]!r}?", ctx, param) from error


class ListByDefault(Group):
    """A group that runs its subcommand `list` if none is named, also when options follow."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert `list` if the arguments name no subcommand."""
        is_completing = ctx.resilient_parsing  # the next word may be the subcommand
        if (not args and not is_completing) or (
            args and args[0].startswith("-") and args[0] not in ctx.help_option_names
        ):
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest `show` if a word is not a subcommand: the user may mean a name or an id."""
        if "show" in self.commands and args[0] not in self.commands and not ctx.resilient_parsing:
            show = f"{ctx.command_path} show {shlex.quote(visible(args[0]))}"
            ctx.fail(f"No such command {visible(args[0])!r}. To show one: {show}")
        return super().resolve_command(ctx, args)


def limit(default: int, text: str = "Maximum number of entries, newest first.") -> Callable[[Command], Command]:
    """Return the option `--limit` of a list."""
    return click.option("--limit", type=click.IntRange(1), metavar="N", default=default, show_default=True, help=text)


def _parse_state_url(context: click.Context, parameter: click.Parameter, value: str | None) -> "StateUrl | None":
    if not value:
        return None
    from controller.state_url import parse_state_url

    is_argument = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    return parse_state_url(value, is_argument=is_argument)


_state_url = click.option(
    "--state-url",
    metavar="URL",
    envvar="CONTROLLER_STATE_URL",
    callback=_parse_state_url,
    help="PostgreSQL database that holds the state. [default: a file in the state directory]",
)


_project = click.option(
    "--project",
    metavar="NAME",
    envvar="CONTROLLER_PROJECT",
    help="Project whose state to use. [default: that of controller.yaml in a local repository, or default]",
)


def location(command: Callable[..., Any], *, needs_project: bool = True) -> Callable[..., Any]:
    """Add --repo and the other options of the location, and pass them to the command as one `location`."""

    @click.option(
        "--repo",
        metavar="PATH|URL",
        envvar="CONTROLLER_REPO",
        help="Path or URL of the repository. [default: the repository of the current directory]",
    )
    @click.option(
        "--path",
        metavar="DIR",
        envvar="CONTROLLER_PATH",
        default=complete.DEFAULT_PATH,
        show_default=True,
        help="Directory of the deployments, relative to the repository root.",
    )
    @click.option(
        "--ref",
        metavar="REF",
        envvar="CONTROLLER_REF",
        help="Branch, tag or commit to follow. [default: the checked-out branch]",
    )
    @click.option(
        "--environment",
        metavar="NAME",
        envvar="CONTROLLER_ENVIRONMENT",
        help="Environment whose overlays are applied to the deployments. [default: none]",
        shell_complete=complete.environments,
    )
    @click.option(
        "--state-dir",
        metavar="DIR",
        envvar="CONTROLLER_STATE_DIR",
        help="Directory for state, logs and exports. [default: .git/controller, or .controller without git]",
    )
    @_state_url
    @_project
    @wraps(command)
    def with_location(
        repo: str | None,
        path: str,
        ref: str | None,
        environment: str | None,
        state_dir: str | None,
        state_url: "StateUrl | None",
        project: str | None,
        **arguments: Any,
    ) -> Any:
        from dataclasses import replace

        from controller.settings import locate  # not for --help and completion

        _refuse_empty({"--repo": repo, "--path": path, "--state-dir": state_dir})
        place = locate(repo, path, ref, state_dir, environment)
        name = _find_project(project or None, place.repo, is_required=needs_project)
        url = None if state_url is None else state_url.of_project(name)
        return command(location=replace(place, state_url=url, project=name), **arguments)

    return with_location


def _refuse_empty(values: dict[str, str | None]) -> None:
    """Raise UsageError for an option with an empty path, which Python would read as the current directory."""
    for option, value in values.items():
        if value == "":
            raise UsageError(f"{option} is empty.", hint=f"Pass a path, or leave {option} out to use its default.")


def _find_project(name: str | None, repo: "Path | RemoteUrl", *, is_required: bool) -> str | None:
    """Return the project. Without `is_required`, an invalid name in `controller.yaml` is ignored. Raises UsageError."""
    from controller.project_names import chosen_project

    try:
        return chosen_project(name, repo)
    except UsageError:
        if is_required or name is not None:
            raise
        return None


def uv(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --uv, --allow-interpreter and --allow-source-builds, and pass them to the command as one `uv`."""

    @click.option(
        "--uv",
        metavar="PATH",
        envvar="CONTROLLER_UV",
        help="Program that builds Python environments. [default: the uv that was installed with controller]",
    )
    @click.option(
        "--allow-interpreter",
        "allowed_interpreters",
        metavar="GLOB",
        multiple=True,
        envvar="CONTROLLER_ALLOW_INTERPRETER",
        help="Python interpreter that deployments may name, such as /opt/venvs/*/bin/python. Repeatable.",
    )
    @click.option(
        "--allow-source-builds",
        is_flag=True,
        envvar="CONTROLLER_ALLOW_SOURCE_BUILDS",
        help="Build packages that have no wheel, which executes their code as the user of the controller.",
    )
    @wraps(command)
    def with_uv(
        uv: str | None, allowed_interpreters: tuple[str, ...], allow_source_builds: bool, **arguments: Any
    ) -> Any:
        from controller.python_environments.uv_settings import parse_uv

        settings = parse_uv(uv, allowed_interpreters=allowed_interpreters, allows_source_builds=allow_source_builds)
        return command(uv=settings, **arguments)

    return with_uv


def parse_duration_option(option: str, text: str) -> timedelta:
    """Parse the value of an option such as --interval. Raises UsageError, which names the option."""
    from controller.errors import ScheduleError
    from controller.schedules import parse_duration

    try:
        return parse_duration(text)
    except ScheduleError as error:
        raise UsageError(f"{option}: {error.message}.", hint=error.hint) from error


def parse_time_option(option: str, text: str, now: datetime, zone: tzinfo | None = None, *, sign: int = -1) -> datetime:
    """Parse the value of a time option, such as `now`, `yesterday`, `2h` or a date, into an instant.

    A bare duration is in the past, or in the future with `sign` 1. Times without an offset are in `zone`, or in the
    time zone of the machine if it is None. Raises UsageError.
    """
    from controller.errors import AmbiguousDurationError, ScheduleError
    from controller.schedules import parse_moment

    try:
        return parse_moment(text, now, zone, sign=sign)
    except AmbiguousDurationError as error:
        raise UsageError(f"{option}: {error.message}.", hint=error.hint) from error
    except ScheduleError as error:
        if isinstance(error.__cause__, OverflowError):
            raise UsageError(f"{option} {error.message}.", hint=error.hint) from error
        length = "an age" if sign < 0 else "a duration"
        message = f"{option} {text!r} is neither a date-time nor {length} such as 2h."
        if isinstance(error.__cause__, OverflowError):
            message = f"{option} {text!r} is out of range."
        raise UsageError(message, hint=error.hint) from error


__all__ = ["ListByDefault", "NearChoice", "location", "output", "parse_duration_option", "parse_time_option", "uv"]
