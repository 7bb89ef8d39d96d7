"""Renders the artifacts of a run for the terminal: texts, tables and links, none of them interpreted as markup."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from controller.cli.terminal import text_format
from controller.model.artifacts import Artifact


def artifact_list(artifacts: Sequence[Artifact]) -> RenderableType:
    """Return all artifacts, one below the other, each with its kind and key as the title."""
    parts: list[RenderableType] = [Text("artifacts", style="bold")]
    for artifact in artifacts:
        title = Text.assemble((artifact.kind, "bold"))
        if artifact.key is not None:
            title.append(" ").append_text(text_format.plain(artifact.key))
        parts += [title, _body(artifact)]
    return Group(*parts)


def _body(artifact: Artifact) -> RenderableType:
    if artifact.kind == "table":
        return _table(artifact.data)
    if artifact.kind == "link":
        url = text_format.plain(artifact.data["url"])
        return (
            url if artifact.data["text"] is None else Text.assemble(text_format.plain(artifact.data["text"]), " ", url)
        )
    return Text("\n").join(text_format.plain(line) for line in artifact.data.splitlines())


def _table(data: Any) -> RenderableType:
    columns, rows = data["columns"], data["rows"]
    if not rows:
        return Text("no rows", style="dim")
    width = max((len(row) for row in [columns or (), *rows]), default=0)
    table = Table(show_header=columns is not None, box=None, padding=(0, 2, 0, 0))
    for index in range(width):
        table.add_column(text_format.plain(columns[index]) if columns is not None and index < len(columns) else "")
    for row in rows:
        table.add_row(*(text_format.plain("" if value is None else value) for value in row))
    return table
