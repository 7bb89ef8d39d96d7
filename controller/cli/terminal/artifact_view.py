"""The artifacts of one run on the terminal: texts as they were written, tables, links. Nothing of them is markup."""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from controller.cli.terminal import text_format
from controller.model.artifacts import Artifact


def artifact_list(artifacts: Sequence[Artifact]) -> RenderableType:
    """One below the other."""
    parts: list[RenderableType] = [Text("artifacts", style="bold")]
    for one in artifacts:
        title = Text.assemble((one.kind, "bold"))
        if one.key is not None:
            title.append(" ").append_text(text_format.plain(one.key))
        parts += [title, _body(one)]
    return Group(*parts)


def _body(one: Artifact) -> RenderableType:
    if one.kind == "table":
        return _table(one.data)
    if one.kind == "link":
        url = text_format.plain(one.data["url"])
        return url if one.data["text"] is None else Text.assemble(text_format.plain(one.data["text"]), " ", url)
    return Text("\n").join(text_format.plain(line) for line in one.data.splitlines())


def _table(data: Any) -> RenderableType:
    columns, rows = data["columns"], data["rows"]
    if not rows:
        return Text("no rows", style="dim")
    width = max((len(row) for row in [columns or (), *rows]), default=0)
    shown = Table(show_header=columns is not None, box=None, padding=(0, 2, 0, 0))
    for index in range(width):
        shown.add_column(text_format.plain(columns[index]) if columns is not None and index < len(columns) else "")
    for row in rows:
        shown.add_row(*(text_format.plain("" if value is None else value) for value in row))
    return shown
