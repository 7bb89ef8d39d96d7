"""The entry point `controller`: loads the subcommand and turns every error into one message and an exit code."""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from controller import __version__
from controller.cli import standard_streams
from controller.errors import ControllerError, UsageError
from controller.text import closest, visible_lines

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

GROUPS = {
    "Look": {
        "status": ("status:status", "Show the source, deployments, recent runs and events."),
        "top": ("status:top", "Open the live view: same as status --watch."),
        "deployments": ("deployments:deployments", "List deployments, or show one in detail."),
        "runs": ("runs:runs", "List, show, follow, cancel or retry runs, or print logs."),
        "events": ("events:events", "Show events: changes, failures, recoveries, holds."),
        "occurrences": ("occurrences:occurrences", "List the due times of a deployment and their outcomes."),
        "next": ("next:next_", "Print the next fire times of a deployment or an expression."),
        "backfills": ("backfills:backfills", "List, show, pause, resume or cancel backfills."),
        "graph": ("graph:graph", "Print what starts runs of each deployment, or makes them wait."),
        "login": ("login:login", "Print a one-time link to the dashboard."),
    },
    "Change": {
        "trigger": ("trigger:trigger", "Run a deployment now, also for a past due time."),
        "hold": ("holds:hold", "Hold a deployment: nothing starts its runs until you resume it."),
        "resume": ("holds:resume", "End the hold of a deployment."),
        "reconcile": ("reconcile:reconcile", "Sync with the repository now."),
        "approve": ("reconcile:approve", "Approve withheld deletions, identified by their digest."),
        "restore": ("restore:restore", "Print the last valid document of a deleted deployment."),
        "backfill": ("backfill:backfill", "Run the due times of a past range that have no run yet."),
    },
    "Author": {
        "init": ("init:init", "Create a working example repository."),
        "validate": ("validate:validate", "Check manifests and report everything that is wrong."),
        "plan": ("plan:plan", "Show what a commit changes before it is applied."),
        "render": ("render:render", "Print documents with defaults and overlay applied."),
        "explain": ("explain:explain", "Explain the code of a finding, or a reason."),
        "execute": ("execute:execute", "Run a flow or deployment in the foreground."),
        "schema": ("schema:schema", "Print the JSON Schema of a file that controller reads."),
        "deployment": ("deployment:deployment", "Write a spec to the working tree; aliases named as in Prefect."),
    },
    "Operate": {
        "run": ("run:run", "Run the controller: apply deployments and run flows on time."),
        "doctor": ("doctor:doctor", "Check that this machine has everything that controller needs."),
        "notify": ("notify:notify", "Test channels, and list channels and messages."),
        "state": ("state:state", "Copy the state to another database."),
        "projects": ("projects:projects", "List the projects in a database on a server."),
        "hosts": ("hosts:hosts", "List hosts that share a state, or end the runs of a lost one."),
        "python": ("python:python", "List, show, build or remove Python environments."),
        "completion": ("completion:completion", "Print the script for completion in bash, zsh or fish."),
        "version": ("version:version", "Print the versions of controller and its libraries."),
    },
}
"""The commands in the order of `--help`: the module and the name there, and the first sentence of its help."""
COMMANDS = {name: entry for group in GROUPS.values() for name, entry in group.items()}

COMPLETION_VARIABLE = "_CONTROLLER_COMPLETE"
"""The environment variable with which the script of `controller completion` asks for completions."""


class _Commands(click.Group):
    """Imports the module of a subcommand only when that subcommand is used, which keeps `--help` fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:  # noqa: ARG002
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"controller.cli.{module}"), attribute)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        """Complete the names of commands without importing them, and options."""
        from click.shell_completion import CompletionItem

        names = [name for name in COMMANDS if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=COMMANDS[name][1]) for name in names]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read `help COMMAND` as `COMMAND --help`."""
        if args[:1] == ["help"]:
            args = [*args[1:], "--help"]
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in groups, then the options that most of them have."""
        from controller.cli.help_pages import write_commands, write_location_options

        sections = {title: {name: entry[1] for name, entry in group.items()} for title, group in GROUPS.items()}
        write_commands(formatter, sections)
        write_location_options(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = closest(args[0], COMMANDS)
            ctx.fail(f"There is no command {args[0]!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="controller")
def cli() -> None:
    """GitOps for Python flows: commit a YAML file, and the flow runs on time, pinned to the commit."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code. Tracebacks are shown only if CONTROLLER_DEBUG is set."""
    standard_streams.prepare_streams()
    try:
        _check_encoding(arguments)
        code = cli.main(
            args=list(arguments), prog_name="controller", complete_var=COMPLETION_VARIABLE, standalone_mode=False
        )
        sys.stdout.flush()
    except click.ClickException as error:
        error.show(sys.stderr)
        return 2
    except ControllerError as error:
        _print_error(error.message, error.hint)
        return 2
    except (click.Abort, KeyboardInterrupt):
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader of our output, such as `head`, has closed the pipe.
        standard_streams.discard_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        return _report_system_error(error, arguments)
    except Exception as error:  # noqa: BLE001
        return _report_bug(error)
    return code if isinstance(code, int) else 0


def _check_encoding(arguments: Sequence[str]) -> None:
    for argument in arguments:
        if any("\ud800" <= char <= "\udfff" for char in argument):
            raise UsageError(f"The argument {argument!r} is not UTF-8.")


def _report_system_error(error: OSError, arguments: Sequence[str]) -> int:
    """Print the error of a system call together with the command that made it; return the exit code."""
    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    if error.filename == standard_streams.STANDARD_OUTPUT:
        standard_streams.discard_output()
        _print_error(f"Cannot write to standard output: {error.strerror}.", None)
    elif _is_directory_deleted():
        _print_error(
            f"controller {command} failed: the current directory was deleted.",
            "Change to a directory that exists: cd /",
        )
    else:
        file = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        _print_error(f"controller {command} failed: {file}{error.strerror or error}.", None)
    return 2


def _is_directory_deleted() -> bool:
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        return True
    return False


def _print_error(message: str, hint: str | None) -> None:
    click.echo(visible_lines(f"error: {message}"), err=True)
    if hint is not None:
        click.echo(visible_lines(f"hint: {hint}"), err=True)


def _report_bug(error: Exception) -> int:
    from controller.settings import is_debugging

    if is_debugging():
        import traceback

        traceback.print_exception(error)
    _print_error(
        f"internal error: {type(error).__name__}: {error}",
        "This is a bug in controller. Please report it with the traceback that CONTROLLER_DEBUG=1 shows.",
    )
    return 2
