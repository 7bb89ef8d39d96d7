"""`controller notify`: test a channel, list the messages that were sent or could not be sent, and list the channels."""

from typing import TYPE_CHECKING

import click

from controller.cli import complete, options
from controller.cli.help_pages import Group
from controller.cli.json_output import print_json
from controller.cli.list_output import print_list
from controller.cli.state_access import check_names, connected_client, read_state_if_any
from controller.clock import SystemClock
from controller.settings import Location
from controller.text import visible_lines

if TYPE_CHECKING:
    from controller.cli.terminal.tables import CompactTable


@click.group(cls=Group)
def notify() -> None:
    """Test channels, and see which messages were sent."""


@notify.command()
@click.argument("channel", metavar="CHANNEL", shell_complete=complete.channels)
@options.output
@options.location
def test(location: Location, channel: str, output: str) -> int:
    """Send a test message to a channel.

    The running controller sends it, within a minute. Exit 1 if the message could not be delivered.
    """
    with connected_client(location) as client:
        message = client.test_channel(channel)
    is_sent = message["sent_at"] is not None
    if output == "json":
        print_json(message)
    elif is_sent:
        click.echo(f"delivered to {channel}")
    else:
        click.echo(visible_lines(f"not delivered to {channel}: {message['error']}"), err=True)
    return 0 if is_sent else 1


@notify.command()
@click.option("--deployment", metavar="NAME", help="Filter by deployment.", shell_complete=complete.deployments)
@click.option("--undelivered", is_flag=True, help="Only messages that wait for delivery or could not be delivered.")
@options.limit(50, "Maximum number of messages; the newest are printed.")
@options.list_output
@options.location
def log(location: Location, deployment: str | None, *, undelivered: bool, limit: int, output: str) -> None:
    """List messages, newest first.

    The list shows what was sent to which channel, and why a delivery failed.
    """
    from controller.queries.notifications import UNDELIVERED, list_messages

    with read_state_if_any(location) as tx:
        deliveries = UNDELIVERED if undelivered else ()
        rows = [] if tx is None else list_messages(tx, limit, deployment=deployment, deliveries=deliveries)
        if tx is not None and not rows:
            check_names(tx, deployment, None)

    def table(is_wide: bool) -> "CompactTable":
        from controller.cli.terminal.notification_tables import message_table

        return message_table(rows, is_filtered=undelivered or deployment is not None, is_wide=is_wide)

    print_list(rows, output, lambda message: str(message.id), table)


@notify.command()
@options.list_output
@options.location
def channels(location: Location, output: str) -> None:
    """List the channels, and whether messages reach them.

    The operator declares them in the file that `controller run --notify-config` names.
    """
    from controller.queries.notifications import list_channels

    with read_state_if_any(location) as tx:
        rows = [] if tx is None else list_channels(tx)

    def table(is_wide: bool) -> "CompactTable":
        from controller.cli.terminal.notification_tables import channel_table

        return channel_table(rows, SystemClock().now(), is_wide=is_wide)

    print_list(rows, output, lambda channel: str(channel.name), table)
