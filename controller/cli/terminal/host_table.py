"""Renders the hosts that share a state as a table."""

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from controller.cli.terminal import text_format
from controller.cli.terminal.tables import CompactTable
from controller.model.hosts import Host, HostState

_STYLES = {HostState.LEADING: "green", HostState.STANDBY: "", HostState.AWAY: "yellow"}
_EMPTY = "No hosts. Only controllers whose state is on a server record their hosts (docs/scale.md)."


def host_table(hosts: Sequence[Host], now: datetime, *, is_wide: bool = False) -> CompactTable:
    """Return a table with one row per host. A wide table has the directories of runs."""
    titles: tuple[str, ...] = ("HOST", "STATE", "RUNNING", "SEEN")
    if is_wide:
        titles += ("DIRECTORIES",)
    rows = [
        (
            text_format.plain(host.name),
            Text(host.state, style=_STYLES[host.state]),
            text_format.plain(host.running),
            text_format.past(host.seen_at, now),
            *((text_format.plain(", ".join(host.directories)),) if is_wide else ()),
        )
        for host in hosts
    ]
    return CompactTable(titles, rows, flexible=(0,), empty=_EMPTY, is_wide=is_wide)
