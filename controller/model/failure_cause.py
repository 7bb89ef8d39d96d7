"""The cause of a failed run: the first failed task that is not a consequence of another one.

`runs.task_reports` calls `find_cause` when an attempt has ended, so that every surface shows the same reason. The
overview and the notifications group runs of several deployments that failed for the same cause.
"""

import re
from collections.abc import Mapping, Sequence

from controller.model.task_runs import TaskRun

_NOT_RUN = re.compile(r"not run: upstream task (.+) (?:was skipped|was cancelled|timed out|failed|crashed)$")
_UNREAD = re.compile(r"^TasksFailedError: \d+ of \d+ tasks did not succeed: ")
_TASK = re.compile(r"^[\w.-]+-\d+: (?=[A-Za-z_][\w.]*: )")
_CONSEQUENCES = re.compile(r" → .*$", re.DOTALL)
_ERROR = re.compile(r"[A-Za-z_][\w.]*: \S")
_VARIABLE = re.compile(
    r"0x[0-9a-f]+|\b[0-9a-f]{8,}(?:-[0-9a-f]{4,})*\b|\b\d+\.\d+\b|\b\d{4}-\d\d-\d\d[T ][\d:.]+Z?", re.IGNORECASE
)
"""The parts of an error that differ from run to run: addresses, ids, decimal numbers and times."""
_MAX_NAMED = 3
_MAX_STEPS = 50


def find_cause(reason: str, tasks: Sequence[TaskRun]) -> str:
    """Return the reason of a failed run with its cause first: `load-2: ValueError: no row → merge-1 not run`.

    `reason` is the error that ended the outermost flow. It is returned as it is if no task explains it.
    """
    by_label = {task.label: task for task in tasks if task.state != "succeeded"}
    failed = [task for task in tasks if task.state in ("failed", "timed_out", "crashed") and task.finished_at]
    cause, text = None, reason
    for _ in range(_MAX_STEPS):
        task = _explanation(text, by_label, failed)
        if task is None or task is cause:
            break
        if not _is_same(task.reason or "", text):
            text = task.reason or task.state
        cause = task
    if cause is None or _NOT_RUN.search(text):
        return reason
    return (text if text.startswith(cause.label) else f"{cause.label}: {text}") + _consequences(cause, tasks)


def shared_cause(reason: str) -> str:
    """Return the part of a run's reason that other deployments may share: the error, without the task that raised it.

    An empty string if the reason names no error: two commands with the same exit code have no common cause.
    """
    error = _TASK.sub("", without_consequences(reason))
    return error if _ERROR.match(error) else ""


def without_consequences(reason: str) -> str:
    """Return a run's reason without the tasks that were not run because of it."""
    return _CONSEQUENCES.sub("", reason)


def cause_key(reason: str) -> str:
    """Return a text that is equal for reasons with the same shared cause; an empty string without one."""
    return _VARIABLE.sub("…", shared_cause(reason))


def _explanation(text: str, by_label: Mapping[str, TaskRun], failed: Sequence[TaskRun]) -> TaskRun | None:
    """Return the call that an error refers to, or else the first one that failed with the same error."""
    if (match := _NOT_RUN.search(text)) is not None:
        return by_label.get(match[1])
    if _UNREAD.search(text):
        listed = [task for task in failed if re.search(rf"[:;] {re.escape(task.label)}: ", text)]
        return listed[0] if len(listed) == 1 else None
    # A task ends before its caller, which fails with the same error.
    same = [task for task in failed if not _is_outermost_flow(task) and _is_same(task.reason or "", text)]
    return min(same, key=lambda task: (task.finished_at, -task.id), default=None)


def _consequences(cause: TaskRun, tasks: Sequence[TaskRun]) -> str:
    """Return which tasks were not run because of this one. They come after the tasks that they need."""
    labels, not_run = {cause.label}, []
    for task in tasks:
        match = _NOT_RUN.search(task.reason or "")
        if match is not None and match[1] in labels:
            labels.add(task.label)
            if task.state == "skipped":
                not_run.append(task.label)
    if not not_run:
        return ""
    more = f" and {len(not_run) - _MAX_NAMED} more" if len(not_run) > _MAX_NAMED else ""
    return f" → {', '.join(not_run[:_MAX_NAMED])}{more} not run"


def _is_outermost_flow(task: TaskRun) -> bool:
    return task.parent is None and task.kind == "flow"


def _is_same(reason: str, text: str) -> bool:
    """Return whether a task's reason, which may be shortened, is this text. A timeout has no class in a task."""
    text = text.removeprefix("TimedOutError: ")
    return text == reason or (reason.endswith("…") and text.startswith(reason[:-1]))
