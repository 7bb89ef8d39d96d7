"""The reason of a failed run names the first failed task that is not a consequence of another one."""

from datetime import UTC, datetime, timedelta

from controller.model.failure_cause import find_cause
from controller.model.task_runs import TaskRun

START = datetime(2026, 3, 1, tzinfo=UTC)


def task(number: int, label: str, state: str, reason: str | None = None, *, kind: str = "task") -> TaskRun:
    """A call that ended `number` minutes after the start of the run, below the outermost flow with the id 1."""
    return TaskRun(
        id=number,
        parent=None if number == 1 else 1,
        kind=kind,
        name=label.rpartition("-")[0],
        label=label,
        state=state,
        reason=reason,
        finished_at=START + timedelta(minutes=100 if number == 1 else number),
    )


def not_run(number: int, label: str, upstream: str) -> TaskRun:
    return task(number, label, "skipped", f"not run: upstream task {upstream}")


def test_a_failed_shard_is_the_cause_of_tasks_that_were_not_run() -> None:
    reason = "UpstreamFailedError: not run: upstream task merge-1 was skipped"
    tasks = [
        task(1, "main-1", "failed", reason, kind="flow"),
        *[task(number, f"score_shard-{number - 1}", "succeeded") for number in range(2, 19)],
        task(19, "score_shard-18", "failed", "ValueError: shard 17: checksum mismatch"),
        not_run(20, "merge-1", "score_shard-18 failed"),
        not_run(21, "publish-1", "merge-1 was skipped"),
    ]
    cause = find_cause(reason, tasks)
    assert cause == "score_shard-18: ValueError: shard 17: checksum mismatch → merge-1, publish-1 not run"


def test_a_failure_that_the_flow_handled_is_not_the_cause() -> None:
    reason = "UpstreamFailedError: not run: upstream task merge-1 was skipped"
    tasks = [
        task(1, "main-1", "failed", reason, kind="flow"),
        task(2, "probe-1", "failed", "OSError: away"),
        task(3, "load-1", "failed", "ValueError: no"),
        not_run(4, "merge-1", "load-1 failed"),
    ]
    assert find_cause(reason, tasks) == "load-1: ValueError: no → merge-1 not run"
    assert find_cause("RuntimeError: too few probes", tasks) == "RuntimeError: too few probes"


def test_an_error_that_passes_through_a_subflow_belongs_to_the_task_that_raised_it() -> None:
    reason = "KeyError: 'amount'"
    tasks = [
        task(1, "main-1", "failed", reason, kind="flow"),
        task(9, "part-1", "failed", reason, kind="flow"),
        task(4, "load-2", "failed", reason),
    ]
    assert find_cause(reason, tasks) == "load-2: KeyError: 'amount'"


def test_a_task_that_waited_for_a_task_that_was_not_run_is_a_consequence() -> None:
    reason = "UpstreamFailedError: not run: upstream task merge-1 was skipped"
    tasks = [
        task(1, "main-1", "failed", reason, kind="flow"),
        task(2, "load-1", "timed_out", "load-1 ran longer than its timeout of 5 s"),
        not_run(3, "merge-1", "load-1 timed out"),
        task(4, "report-1", "failed", reason),
    ]
    assert find_cause(reason, tasks) == "load-1 ran longer than its timeout of 5 s → merge-1 not run"


def test_one_unread_failure_is_the_cause_and_several_are_counted() -> None:
    one = "TasksFailedError: 2 of 3 tasks did not succeed: load-1: ValueError: no"
    tasks = [
        task(1, "main-1", "failed", one, kind="flow"),
        task(2, "load-1", "failed", "ValueError: no"),
        not_run(3, "add-1", "load-1 failed"),
    ]
    assert find_cause(one, tasks) == "load-1: ValueError: no → add-1 not run"
    several = "TasksFailedError: 2 of 3 tasks did not succeed: load-1: ValueError: no; load-2: ValueError: no"
    assert find_cause(several, [*tasks, task(4, "load-2", "failed", "ValueError: no")]) == several


def test_many_consequences_are_counted_and_a_shortened_reason_is_completed() -> None:
    text = f"ValueError: {'x' * 500}"
    tasks = [
        task(1, "main-1", "failed", text, kind="flow"),
        task(2, "load-1", "failed", f"{text[:50]}…"),
        *[not_run(number, f"add-{number}", "load-1 failed") for number in range(3, 9)],
    ]
    assert find_cause(text, tasks) == f"load-1: {text} → add-3, add-4, add-5 and 3 more not run"


def test_a_reason_that_no_task_explains_stays() -> None:
    circle = "UpstreamFailedError: not run: upstream task a-1 failed"
    tasks = [task(1, "main-1", "failed", circle, kind="flow"), task(2, "a-1", "failed", circle)]
    assert find_cause(circle, tasks) == circle
    assert find_cause("exit code 3", []) == "exit code 3"
    assert find_cause(circle, []) == circle
