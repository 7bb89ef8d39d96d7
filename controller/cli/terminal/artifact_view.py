"""Renders the artifacts of a run for the terminal: texts, tables and links, none of them interpreted as markup."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from controller.cli.terminal import text_format
from controller.cli.terminal.tables import GAP, CompactTable
from controller.model.artifacts import Artifact
from controller.text import visible


def artifact_list(artifacts: Sequence[Artifact]) -> RenderableType:
    """Return all artifacts, one below the other, each with its kind and key as the title."""
    parts: list[RenderableType] = [Text("artifacts", style="bold")]
    for artifact in artifacts:
        title = Text.assemble((artifact.kind, "bold"))
        if artifact.key is not None:
            title.append(" ").append_text(text_format.plain(artifact.key))
        parts += [title, _body(artifact)]
    return Group(*parts)


class _DataTable(CompactTable):
    """A table whose long cells continue on the next line of a terminal."""

    def _aligned(self, available: int) -> Table:  # noqa: ARG002
        table = Table(show_header=any(self._titles), box=None, padding=(0, GAP, 0, 0))
        for title in self._titles:
            table.add_column(Text(title), overflow="fold")
        for row in self._rows:
            table.add_row(*row)
        return table


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
    columns, rows = data["columns"] or (), data["rows"]
    width = max((len(row) for row in [columns, *rows]), default=0)
    titles = [visible(str(columns[index])) if index < len(columns) else "" for index in range(width)]
    cells = [[text_format.plain("" if value is None else value) for value in row] for row in rows]
    return _DataTable(titles, cells, flexible=(), empty="no rows")
