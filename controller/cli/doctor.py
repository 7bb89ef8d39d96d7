"""`controller doctor`: is everything there that a controller needs? It changes nothing."""

import click

from controller.cli import options
from controller.settings import Location


@click.command()
@click.option(
    "--max-running",
    metavar="N",
    envvar="CONTROLLER_MAX_RUNNING",
    type=click.IntRange(1),
    help="Check that so many flows could run at once. [default: twice the cores]",
)
@options.output
@options.location
def doctor(location: Location, output: str, max_running: int | None) -> int:
    """Check what a controller needs: git, time zone data, the source, open files, the state and its permissions.

    Exit 1 if anything is wrong, 0 with warnings only.
    """
    from controller.assembly import examine

    found = examine(location, max_running)
    if output == "json":
        from controller.cli.json_output import print_json

        print_json(found)
    else:
        from controller.cli.json_output import visible

        for check in found:
            click.echo(visible(f"{check.status:7}  {check.name}: {check.message}"))
            if check.hint is not None:
                click.echo(visible(f"{'':9}hint: {check.hint}"))
    return 1 if any(check.status == "error" for check in found) else 0
