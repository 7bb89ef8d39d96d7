"""Groups the task runs of a run for its Gantt chart: calls of one task become one row, for example `load x30`.

Pure functions, called by `run_pages` and by `gantt`, which lays the rows out.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from controller.model.task_runs import TaskRun
from controller.records import dataclass

MIN_GROUP = 4
"""From this number of calls on, the calls of a task are one group."""
OPEN_ALL = "all"
_WORST = ("failed", "timed_out", "crashed", "running", "retrying", "pending", "cancelled", "skipped", "succeeded")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskGroup:
    """Task runs that share a row: one call, or calls of the same task by the same flow or task, in call order.

    `key` identifies a group of several calls in URLs, and is empty for one call. `is_open`: its calls have rows of
    their own below it. `is_member`: this is such a row.
    """

    tasks: tuple[TaskRun, ...]
    key: str = ""
    is_open: bool = False
    is_member: bool = False

    @property
    def label(self) -> str:
        """The label of the call, or the name of the task with the number of its calls."""
        return f"{self.tasks[0].name} x{len(self.tasks)}" if self.key else self.tasks[0].label

    @property
    def state(self) -> str:
        """The state of the call, or the worst state of the calls."""
        return min((task.state for task in self.tasks), key=_WORST.index)

    @property
    def counts(self) -> list[tuple[str, int]]:
        """The number of calls in each state, the worst state first; empty for one call."""
        if not self.key:
            return []
        counts = Counter(task.state for task in self.tasks)
        return sorted(counts.items(), key=lambda item: _WORST.index(item[0]))


def not_succeeded(tasks: Iterable[TaskRun]) -> list[TaskRun]:
    """Return the calls that failed, were not run or have not finished."""
    return [task for task in tasks if task.state != "succeeded"]


def with_callers(tasks: Sequence[TaskRun], selected: Iterable[TaskRun]) -> list[TaskRun]:
    """Return the selected calls and all their callers, in call order."""
    by_id = {task.id: task for task in tasks}
    ids: set[int] = set()
    for task in selected:
        current: TaskRun | None = task
        while current is not None and current.id not in ids:
            ids.add(current.id)
            current = by_id.get(current.parent) if current.parent is not None else None
    return [task for task in tasks if task.id in ids]


def group_tasks(tasks: Sequence[TaskRun], open_groups: Collection[str] = ()) -> list[TaskGroup]:
    """Return the rows for these calls, in call order; a group has the place of its first call.

    Calls that have called others are never grouped. `open_groups` has the keys of the groups to open, or OPEN_ALL.
    """
    callers = {task.parent for task in tasks}
    calls: dict[tuple[int | None, str, str], list[TaskRun]] = {}
    for task in tasks:
        if task.id not in callers:
            calls.setdefault((task.parent, task.kind, task.name), []).append(task)
    groups = {members[0].id: members for members in calls.values() if len(members) >= MIN_GROUP}
    grouped = {task.id for members in groups.values() for task in members}
    rows: list[TaskGroup] = []
    for task in tasks:
        if task.id in groups:
            members = tuple(groups[task.id])
            is_open = OPEN_ALL in open_groups or str(task.id) in open_groups
            rows.append(TaskGroup(tasks=members, key=str(task.id), is_open=is_open))
            rows += [TaskGroup(tasks=(member,), is_member=True) for member in members if is_open]
        elif task.id not in grouped:
            rows.append(TaskGroup(tasks=(task,)))
    return rows
