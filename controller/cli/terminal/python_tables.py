"""Renders Python environments for the terminal: a table of many, and the details of one."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from controller.cli.terminal import text_format
from controller.cli.terminal.tables import SHORT_DIGEST, CompactTable, Details
from controller.model.python_environments import PythonState
from controller.queries.python_environments import PythonEnvironmentDetail, PythonEnvironmentRow
from controller.text import format_bytes, format_count

_STYLES = {PythonState.READY: "green", PythonState.FAILED: "bold red"}
_NO_ENVIRONMENTS = "No Python environments. `python` in the document of a deployment gives it one."


def python_table(rows: Sequence[PythonEnvironmentRow], now: datetime, *, is_wide: bool = False) -> CompactTable:
    """Return a table with one row per environment, in the given order."""
    cells = [
        (
            text_format.plain(row.id),
            text_format.plain(", ".join(row.declared_at) or "-"),
            _state(row.state),
            text_format.plain("" if row.state is PythonState.READY else row.reason),
            text_format.plain(row.version or "-"),
            text_format.plain(len(row.packages) if row.version else "-"),
            _size(row.size),
            text_format.plain(", ".join((*row.deployments, *row.waiting)) or "-"),
            text_format.past(row.used_at, now),
            *(_more_cells(row, now) if is_wide else ()),
        )
        for row in rows
    ]
    titles: tuple[str, ...] = ("DIGEST", "DECLARED AT", "STATE", "REASON", "PYTHON", "PACKAGES", "SIZE", "USED BY")
    titles += ("LAST USED", "BUILT", "RETRIED", "MESSAGE") if is_wide else ("LAST USED",)
    return CompactTable(titles, cells, flexible=(1, 7), empty=_NO_ENVIRONMENTS, ids={0: SHORT_DIGEST}, is_wide=is_wide)


def _more_cells(row: PythonEnvironmentRow, now: datetime) -> tuple[Text, ...]:
    return (
        text_format.past(row.built_at, now),
        text_format.ago(row.retry_at, now),
        text_format.first_line(row.message),
    )


def python_detail(detail: PythonEnvironmentDetail, now: datetime) -> RenderableType:
    """Return the details of one environment: a two-column grid, its packages, and the end of the log."""
    rows = [
        ("digest", text_format.plain(detail.digest or "none yet: its requirements are not resolved")),
        ("request", text_format.plain(" ".join(detail.requests) or "-")),
        ("declared at", text_format.plain(", ".join(detail.declared_at) or "-")),
        ("state", _state(detail.state)),
        ("reason", text_format.plain(detail.reason)),
    ]
    if detail.message:
        rows.append(("message", text_format.plain(detail.message)))
    if detail.retry_at is not None:
        attempts = text_format.plain(f" (after {format_count(detail.attempts, 'failed attempt')})")
        rows.append(("retried", text_format.ago(detail.retry_at, now) + attempts))
    rows += [
        ("python", text_format.plain(detail.version or "-")),
        ("interpreter", text_format.plain(detail.executable or "-")),
        ("size", _size(detail.size)),
        ("built", text_format.past(detail.built_at, now)),
        ("last used", text_format.past(detail.used_at, now)),
        ("used by", text_format.plain(", ".join(detail.deployments) or "-")),
    ]
    if detail.waiting:
        rows.append(("waiting", text_format.plain(", ".join(detail.waiting))))
    rows.append(("packages", text_format.plain(len(detail.packages) if detail.version else "-")))
    rows += [("", text_format.plain(f"{name} {version}")) for name, version in sorted(detail.packages.items())]
    if not detail.log:
        return Details(rows)
    lines = [text_format.plain(line) for line in detail.log.splitlines()]
    return Group(Details(rows), Text(""), Text("End of the build's log:"), *lines)


def _state(state: PythonState) -> Text:
    return Text(state, style=_STYLES.get(state, "yellow"))


def _size(size: int | None) -> Text:
    return Text("-" if size is None else format_bytes(size))
