"""`controller doctor`: check the requirements of a controller on this machine. Changes nothing."""

import click

from controller.cli import options
from controller.cli.help_pages import Command
from controller.cli.json_output import print_json
from controller.settings import Location, UvSettings
from controller.text import visible_lines


@click.command(cls=Command)
@click.option(
    "--max-running",
    metavar="N",
    envvar="CONTROLLER_MAX_RUNNING",
    type=click.IntRange(1),
    help="Check the limits for this number of concurrent flows. [default: eight for each core]",
)
@options.uv
@options.output
@options.location
def doctor(location: Location, output: str, max_running: int | None, uv: UvSettings) -> int:
    """Check that this machine has everything that controller needs.

    This includes git, uv, the Python interpreters that deployments name, time zone data, the repository, the limit of
    open files, and the state directory with its permissions. Exit 1 if a check fails; warnings exit with 0.
    """
    from controller.cli.doctor_checks import examine

    checks = examine(location, max_running, uv)
    if output == "json":
        print_json(checks)
    else:
        for check in checks:
            click.echo(visible_lines(f"{check.status:7}  {check.name}: {check.message}"))
            if check.hint is not None:
                click.echo(visible_lines(f"{'':9}hint: {check.hint}"))
    return 1 if any(check.status == "error" for check in checks) else 0
