"""`controller status`: the whole picture, once or live."""

import click

from controller.cli import options
from controller.settings import Location


@click.command()
@click.option("--watch", is_flag=True, help="Keep showing it, live, until Ctrl-C.")
@options.output
@options.location
def status(location: Location, watch: bool, output: str) -> None:
    """Show the source, the deployments (problems first), runs and events."""
    from controller.clock import SystemClock
    from controller.views.status import look

    clock = SystemClock()
    if watch and output == "text":
        from controller.tui.live import watch as watch_live

        watch_live(lambda: look(location, clock.now()), clock)
        return
    view = look(location, clock.now())
    if output == "json":
        from controller.cli.output import print_json

        print_json(view)
        return
    from controller.tui.console import show
    from controller.tui.status import render_status

    show(render_status(view, clock.now()))
