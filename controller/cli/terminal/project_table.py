"""Renders the projects of a database as a table."""

from collections.abc import Sequence

from rich.text import Text

from controller.cli.terminal import text_format
from controller.cli.terminal.tables import CompactTable
from controller.model.projects import ProjectSummary

_EMPTY = "No projects yet. `controller run` creates one."


def project_table(projects: Sequence[ProjectSummary], *, is_wide: bool = False) -> CompactTable:
    """Return a table with one row per project. A wide table has the version of the controller that led last."""
    titles: tuple[str, ...] = ("PROJECT", "LEADER", "DEPLOYMENTS", "RUNNING", "REPOSITORY")
    if is_wide:
        titles += ("VERSION",)
    rows = [
        (
            text_format.plain(project.name),
            Text("none", style="yellow") if project.leader is None else text_format.plain(project.leader),
            text_format.plain(project.deployments),
            text_format.plain(project.running),
            text_format.plain(project.problem or project.repo or "-"),
            *((text_format.plain(project.version or "-"),) if is_wide else ()),
        )
        for project in projects
    ]
    return CompactTable(titles, rows, flexible=(4,), empty=_EMPTY, is_wide=is_wide)
