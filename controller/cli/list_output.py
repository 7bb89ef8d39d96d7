"""Prints a list in the format of `-o`: as a table, JSON, one JSON object per line, YAML, or only the names."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from controller.cli.json_output import json_text, print_json, to_json
from controller.text import visible

if TYPE_CHECKING:
    from controller.cli.terminal.tables import CompactTable


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
