"""The tasks of one run on the terminal: a tree, many of one kind in one line."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.text import Text
from rich.tree import Tree

from controller.cli.terminal import text_format
from controller.model.task_runs import TaskRun

_SHOWN_OF_A_KIND = 20


def task_tree(tasks: Sequence[TaskRun], now: datetime) -> RenderableType:
    """Each below what called it. Of many with one name those that did not go well are shown, the rest is counted."""
    top = Tree(Text("tasks", style="bold"))
    branches: dict[int | None, Tree] = {None: top}
    siblings = Counter((one.parent, one.name) for one in tasks)
    parents = {one.parent for one in tasks}
    hidden: Counter[tuple[int | None, str]] = Counter()
    for one in tasks:
        key = (one.parent, one.name)
        is_plain = one.state == "succeeded" and one.id not in parents
        if is_plain and siblings[key] > _SHOWN_OF_A_KIND:
            hidden[key] += 1
            continue
        branches[one.id] = branches.get(one.parent, top).add(_line(one, now))
    for (parent, name), count in hidden.items():
        branches.get(parent, top).add(Text(f"{count} more {text_format.plain(name)} succeeded", style="dim"))
    return top


def _line(one: TaskRun, now: datetime) -> Text:
    line = Text.assemble(text_format.plain(one.label), " ", text_format.state(one.state))
    if one.started_at is not None and not one.cached:
        lasted = max(0.0, ((one.finished_at or now) - one.started_at).total_seconds())
        line.append(f" {lasted:.2f}s", style="dim")
    if one.attempt > 1:
        line.append(f" attempt {one.attempt}", style="dim")
    if one.cached:
        line.append(" cached", style="dim")
    if one.tags:
        line.append(" tagged ", style="dim").append_text(text_format.plain(", ".join(one.tags)))
    if one.reason:
        line.append(" ").append_text(text_format.plain(one.reason))
    return line
