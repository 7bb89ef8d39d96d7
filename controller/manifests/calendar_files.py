"""Replaces the calendar files that controller.yaml names by their dates, so that documents contain the dates.

`project_file` calls it: for the files of a revision, which `reader` and the resolver of pinned deployments ask for, and
to put their dates into the calendars. Nothing else opens these files.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from controller.errors import ScheduleError
from controller.manifests.calendar_fields import CALENDARS
from controller.manifests.ics_files import MAX_BYTES, read_dates
from controller.manifests.merge import with_field, without_keys
from controller.manifests.yaml.nodes import Node, Problem
from controller.model.snapshots import Code
from controller.text import shorten

FILE = "file"
CalendarFiles = Mapping[str, bytes | None]
"""The content of each file by its path; None for a file that does not exist or can't be read."""


def read_calendar_files(project: Mapping[str, Any] | None, code: Code) -> CalendarFiles:
    """Return the calendar files that the document of controller.yaml names. Raises SourceError."""
    calendars = (project or {}).get(CALENDARS) or {}
    paths = sorted({calendar[FILE] for calendar in calendars.values() if FILE in calendar})
    files = code.find(paths) if paths else {}
    return {
        path: code.read(path) if path in files and not files[path].refusal and files[path].size <= MAX_BYTES else None
        for path in paths
    }


def insert_dates(root: Node, files: CalendarFiles) -> tuple[Node, list[Problem]]:
    """Return controller.yaml with the dates of its calendar files in the place of their paths, and its problems."""
    problems: list[Problem] = []
    for name, node in _file_calendars(root):
        path, place = node.value[FILE], node.fields[FILE].place
        content = files.get(path)
        try:
            if content is None:
                hint = "commit it, or correct the path, which is relative to the repository root"
                raise ScheduleError(
                    f"calendar file {shorten(path, 200)} does not exist, or has more than 256 KiB", hint=hint
                )
            dates = read_dates(content)
        except ScheduleError as error:
            where = (CALENDARS, name, FILE)
            problem = Problem(code="InvalidCalendar", message=error.message, place=place, path=where, hint=error.hint)
            problems.append(problem)
            continue
        items = tuple(_node(item, node.fields[FILE]) for item in dates)
        listed = Node(list(dates), place, items=items)
        calendar = with_field(without_keys(node, FILE), ("dates",), listed)
        root = with_field(root, (CALENDARS, name), calendar)
    return root, problems


def _file_calendars(root: Node) -> Iterator[tuple[str, Node]]:
    calendars = root.fields.get(CALENDARS)
    for name, node in calendars.fields.items() if calendars else ():
        if isinstance(node.value, dict) and isinstance(node.value.get(FILE), str):
            yield name, node


def _node(value: Any, source: Node) -> Node:
    """Return a node for a value that was read from the file; its position is that of the path."""
    if isinstance(value, dict):
        fields = {key: _node(item, source) for key, item in value.items()}
        return Node(value, source.place, fields=fields, keys=dict.fromkeys(fields, source.place))
    items = tuple(_node(item, source) for item in value) if isinstance(value, list) else ()
    return Node(value, source.place, items=items)
