"""Prints a list in the format of `-o`: as a table, JSON, one JSON object per line, YAML, or only the names.

With `--watch`, a terminal shows a table that stays up to date. Elsewhere, and in the other formats, the rows that have
changed are printed again.
"""

import json
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from controller.cli.json_output import json_text, print_json, to_json
from controller.text import visible

if TYPE_CHECKING:
    from controller.cli.terminal.tables import CompactTable

_WATCH_SECONDS = 1.0


def print_list(
    rows: Sequence[Any], output: str, name: Callable[[Any], str | None], table: "Callable[[bool], CompactTable]"
) -> None:
    """Print these rows. `name` returns what identifies a row, or None; `table` the table, with more columns if wide."""
    if output == "json":
        print_json(rows)
    elif output == "jsonl":
        for row in rows:
            click.echo(json_text(row))
    elif output == "yaml":
        from controller.manifests.yaml.dump import as_yaml

        click.echo(as_yaml([json.loads(json.dumps(to_json(list(rows))))]), nl=False)
    elif output == "name":
        for text in filter(None, map(name, rows)):
            click.echo(visible(text))
    else:
        from controller.cli.terminal.console import show

        show(table(output == "wide"))


def watch_list(
    read: Callable[[], Sequence[Any]],
    output: str,
    name: Callable[[Any], str],
    table: "Callable[[Sequence[Any], bool], CompactTable]",
) -> None:
    """Print the rows that `read` returns, and keep them up to date until Ctrl-C. The rest is as in `print_list`."""
    from controller.cli.standard_streams import has_screen

    with suppress(KeyboardInterrupt):
        if output in ("text", "wide") and has_screen():
            from controller.cli.terminal.live_report import show_table

            show_table(lambda: table(read(), output == "wide"))
        else:
            _print_changes(read, "jsonl" if output == "json" else output, name, table)


def _print_changes(
    read: Callable[[], Sequence[Any]],
    output: str,
    name: Callable[[Any], str],
    table: "Callable[[Sequence[Any], bool], CompactTable]",
) -> None:
    pause = threading.Event()
    printed: dict[str, str] = {}
    is_first = True
    while True:
        current = {name(row): (json.dumps(to_json(row)), row) for row in read()}
        changed = [row for key, (text, row) in current.items() if printed.get(key) != text]
        printed = {key: text for key, (text, _) in current.items()}
        if output in ("text", "wide"):
            lines = table(changed, output == "wide").as_tsv()
            click.echo(lines if is_first else lines.partition("\n")[2], nl=False)
        elif changed:
            print_list(changed, output, name, partial(table, changed))
        sys.stdout.flush()
        is_first = False
        pause.wait(_WATCH_SECONDS)
