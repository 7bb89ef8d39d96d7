"""Renders the tasks of a run for the terminal as a tree, in which many tasks of the same name share a line."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.text import Text
from rich.tree import Tree

from controller.cli.terminal import text_format
from controller.model.task_runs import TaskRun

_MOST_OF_ONE_NAME = 20


def task_tree(tasks: Sequence[TaskRun], now: datetime) -> RenderableType:
    """Return the tree, with each task below its caller.

    If a task has more than 20 calls below one caller, successful calls are only counted.
    """
    root = Tree(Text("tasks", style="bold"))
    branches: dict[int | None, Tree] = {None: root}
    siblings = Counter((task.parent, task.name) for task in tasks)
    parents = {task.parent for task in tasks}
    counted: Counter[tuple[int | None, str]] = Counter()
    for task in tasks:
        key = (task.parent, task.name)
        is_plain = task.state == "succeeded" and task.id not in parents
        if is_plain and siblings[key] > _MOST_OF_ONE_NAME:
            counted[key] += 1
            continue
        branches[task.id] = branches.get(task.parent, root).add(_line(task, now))
    for (parent, name), count in counted.items():
        branches.get(parent, root).add(Text(f"{count} more {text_format.plain(name)} succeeded", style="dim"))
    return root


def _line(task: TaskRun, now: datetime) -> Text:
    line = Text.assemble(text_format.plain(task.label), " ", text_format.state(task.state))
    if task.started_at is not None and not task.cached:
        seconds = max(0.0, ((task.finished_at or now) - task.started_at).total_seconds())
        line.append(f" {seconds:.2f}s", style="dim")
    if task.attempt > 1:
        line.append(f" attempt {task.attempt}", style="dim")
    if task.cached:
        line.append(" cached", style="dim")
    if task.tags:
        line.append(" tagged ", style="dim").append_text(text_format.plain(", ".join(task.tags)))
    if task.reason:
        line.append(" ").append_text(text_format.plain(task.reason))
    return line
