"""Charts and formatted values of the dashboard: Gantt chart, run history, steps of a run, artifacts."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.api.dashboard.artifact_views import markdown
from controller.api.dashboard.charts import stage_bars
from controller.api.dashboard.gantt import MAX_ROWS, ROW, WIDTH, Gantt, gantt
from controller.api.dashboard.run_history_chart import history_chart
from controller.api.dashboard.run_pages import elapsed_seconds, steps
from controller.api.dashboard.static_files import static_files
from controller.api.dashboard.task_groups import group_tasks, not_succeeded, with_callers
from controller.api.dashboard.template_filters import pretty, state_icon, with_links
from controller.model import extend
from controller.model.runs import Attempt, Run, RunDetail, RunId, RunState, Trigger
from controller.model.task_runs import TaskRun
from tests.conftest import NOW

SECOND = timedelta(seconds=1)


def task(number: int, begin: float | None, end: float | None, state: str = "succeeded", **more: Any) -> TaskRun:
    return TaskRun(
        id=number,
        parent=more.pop("parent", 1 if number > 1 else None),
        kind="flow" if number == 1 else "task",
        name=more.pop("name", "t"),
        label=f"t-{number}",
        state=state,
        started_at=None if begin is None else NOW + begin * SECOND,
        finished_at=None if end is None else NOW + end * SECOND,
        **more,
    )


def run(state: str = "succeeded", end: float | None = 1.0, **more: Any) -> Run:
    started = None if end is None else NOW
    values: dict[str, Any] = {
        "id": "01a210f4-9b76-7000-b99e-8f8b734ca6a1",
        "deployment": "a",
        "state": RunState(state),
        "trigger": Trigger.SCHEDULE,
        "scheduled_for": NOW,
        "created_at": NOW,
        "started_at": started,
        "finished_at": None if end is None else NOW + end * SECOND,
        "attempt": 1,
        "exit_code": 0,
        "revision": "main@sha1:1",
        "file": "deployments/a.yaml",
        "spec_digest": "sha256:1",
        **more,
    }
    return Run(**values)


def chart(tasks: list[TaskRun], now: datetime = NOW, opened: str = "") -> Gantt:
    found = gantt(group_tasks(tasks, (opened,)), tasks, now)
    assert found is not None
    return found


def test_tasks_share_a_time_axis_and_lines_show_dependencies() -> None:
    tasks = [task(1, 0, 4), task(2, 0, 1), task(3, 1, 4, needs=(2,)), task(4, None, None, "skipped", needs=(3,))]
    found = chart(tasks)
    assert [[(bar.x, bar.width) for bar in row.bars] for row in found.rows] == [
        [(0.0, WIDTH)],
        [(0.0, WIDTH / 4)],
        [(WIDTH / 4, WIDTH * 3 / 4)],
        [],
    ]
    assert [row.depth for row in found.rows] == [0, 1, 1, 1]
    assert found.paths == (f"M250 {ROW * 1.5:g}V{ROW * 2.5:g}H250", f"M1000 {ROW * 2.5:g}V{ROW * 3.5:g}H1000")
    assert found.ticks == ("0 s", "1.00 s", "2.00 s", "3.00 s", "4.00 s")
    assert found.rows[2].title == "t-3: succeeded, 3.00 s, started at +1.00 s; depends on t-2"
    assert found.summary == "4 tasks in 4.00 s: 3 succeeded, 1 skipped"


def test_running_tasks_end_now_and_every_bar_is_visible_and_inside() -> None:
    found = chart([task(1, 0, None, "running"), task(2, 9.9999, 10)], NOW + 10 * SECOND)
    [whole], [short] = (row.bars for row in found.rows)
    assert whole.width == WIDTH
    assert short.width >= 3
    assert short.x + short.width <= WIDTH


def test_a_chart_is_limited_to_its_rows_and_needs_a_started_task() -> None:
    found = chart([task(number, 0, 1, name=f"t{number}") for number in range(1, MAX_ROWS + 6)])
    assert (len(found.rows), found.left_out) == (MAX_ROWS, 5)
    for tasks in ([], [task(1, None, None, "pending")]):
        assert gantt(group_tasks(tasks), tasks, NOW) is None


def mapped() -> list[TaskRun]:
    """Return the tasks of a run: four calls of `load` are mapped to four of `score`, of which the last one failed."""
    loads = [task(number, 0, 1, name="load") for number in range(2, 6)]
    scores = [task(number, 1, 3, name="score", needs=(number - 4,)) for number in range(6, 9)]
    failed = task(9, 1, 4, "failed", name="score", needs=(5,))
    return [task(1, 0, 4, "failed"), *loads, *scores, failed, task(10, None, None, "skipped", name="merge")]


def test_calls_of_one_task_are_one_row_with_their_number_and_states() -> None:
    found = chart(mapped())
    assert [(row.group.label, row.group.state) for row in found.rows] == [
        ("t-1", "failed"),
        ("load x4", "succeeded"),
        ("score x4", "failed"),
        ("t-10", "skipped"),
    ]
    score = found.rows[2]
    assert score.group.counts == [("failed", 1), ("succeeded", 3)]
    assert score.title == "score x4: 1 failed, 3 succeeded, 3.00 s"
    assert [bar.tone for bar in score.bars] == ["good", "good", "good", "bad"]
    assert len(found.paths) == 1
    assert found.summary == "10 tasks in 4.00 s: 2 failed, 7 succeeded, 1 skipped"


def test_a_group_of_calls_is_opened_by_its_key() -> None:
    found = chart(mapped(), opened="6")
    assert [row.group.label for row in found.rows] == [
        *("t-1", "load x4", "score x4"),
        *("t-6", "t-7", "t-8", "t-9", "t-10"),
    ]
    assert [row.depth for row in found.rows] == [0, 1, 1, 2, 2, 2, 2, 1]
    assert found.rows[2].bars == ()
    assert len(chart(mapped(), opened="all").rows) == 12
    assert found.summary == chart(mapped()).summary


def test_calls_that_called_others_or_that_are_few_are_not_grouped() -> None:
    children = [task(number, 0, 1, parent=number - 4) for number in range(6, 10)]
    tasks = [task(1, 0, 1), *(task(number, 0, 1, name="sub") for number in range(2, 6)), *children]
    assert [group.label for group in group_tasks(tasks)] == [one.label for one in tasks]


def test_the_filter_keeps_the_callers_of_tasks_that_did_not_succeed() -> None:
    tasks = [task(1, 0, 4, "failed"), task(2, 0, 1), task(3, 0, 1), task(4, 0, 1, "failed", parent=3)]
    assert [one.id for one in with_callers(tasks, not_succeeded(tasks))] == [1, 3, 4]


def test_the_history_chart_shows_durations_and_marks_failed_runs() -> None:
    found = history_chart([run("running", None, started_at=NOW), run("failed", 4), run("succeeded", 2)], NOW + SECOND)
    assert found is not None
    assert [(bar.tone, bar.mark) for bar in found.bars] == [("good", False), ("bad", True), ("busy", False)]
    assert [bar.height for bar in found.bars] == [55, 110, 27.5]
    assert (found.top, found.middle) == ("4.00 s", "2.00 s")
    assert found.title == "last 3 runs, 1 failed; the longest took 4.00 s"
    assert history_chart([run("pending", None)], NOW) is None


def detail(view: Run, *attempts: Attempt) -> RunDetail:
    return extend(RunDetail, view, history=attempts)


def attempt(number: int, state: str, end: float | None, reason: str | None = None) -> Attempt:
    return Attempt(
        run_id=RunId("1"),
        number=number,
        nonce="n",
        boot_id="b",
        state=RunState(state),
        started_at=NOW + number * SECOND,
        finished_at=None if end is None else NOW + end * SECOND,
        exit_code=None,
        signal=None,
        reason=reason,
    )


def test_the_steps_of_a_run_are_in_time_order() -> None:
    view = run("failed", 9, attempts=2, attempt=2, reason="exit code 1")
    found = steps(detail(view, attempt(1, "failed", 2, "exit code 7"), attempt(2, "failed", 9, "exit code 1")))
    assert [(step.text, step.state) for step in found] == [
        ("due", "scheduled"),
        ("triggered by schedule", "pending"),
        ("attempt 1 of 2 started", "running"),
        ("attempt 1 of 2 failed", "failed"),
        ("attempt 2 of 2 started", "running"),
        ("attempt 2 of 2 failed", "failed"),
        ("failed", "failed"),
    ]
    assert found[3].detail == "exit code 7"


def test_the_total_time_of_a_run_with_several_attempts_includes_the_time_between_them() -> None:
    history = (attempt(1, "failed", 2), attempt(9, "failed", 10))
    assert elapsed_seconds(detail(run("failed", 9, took=2.0), *history)) == 9
    assert elapsed_seconds(detail(run("failed", 9, took=9.0), *history)) is None
    assert elapsed_seconds(detail(run("failed", 1, took=1.0), history[0])) is None
    assert elapsed_seconds(detail(run("retrying", 1, took=2.0), *history)) is None


def test_a_waiting_run_shows_the_reason_and_the_earliest_start() -> None:
    view = run("pending", None, scheduled_for=None, trigger="manual", waiting="its turn", not_before=NOW + SECOND)
    found = steps(detail(view))
    assert [(step.text, step.detail) for step in found] == [
        ("triggered manually", "its turn"),
        ("earliest start", ""),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "a <b onclick=alert(1)>b</b>",
        "[a](javascript:alert(1))",
        "[a](data:text/html,<script>alert(1)</script>)",
        "![a](http://elsewhere.test/a.png)",
        '![a](x" onerror="alert(1))',
        "<javascript:alert(1)>",
        "[a]: javascript:alert(1)\n[a]",
        "|a|\n|:-:|\n|b|",
        '```js"onload=alert(1)\nx\n```',
    ],
)
def test_markdown_never_becomes_active_content(text: str) -> None:
    found = str(markdown(text))
    for word in ("<script", "<img", "<b ", "style=", 'href="javascript', 'href="data', "onload=alert(1) ", '" onerror'):
        assert word not in found


def test_markdown_headings_rank_below_those_of_the_page() -> None:
    found = markdown("# Sales\n\n**12** of [all](https://example.org)\n\n|a|b|\n|-|-:|\n|x|1|\n")
    assert "<h3>Sales</h3>" in found
    assert '<a href="https://example.org" rel="noopener noreferrer">all</a>' in found
    assert '<td class="number">1</td>' in found


def test_messages_link_runs_shorten_revisions_and_are_escaped() -> None:
    identifier = "01a210f4-9b76-7000-b99e-8f8b734ca6a1"
    found = with_links(f"<b> Run {identifier} of main@sha1:{'a' * 40}.")
    assert found == f'&lt;b&gt; Run <a class="mono" href="/runs/{identifier}">8f8b734ca6a1</a> of main@{"a" * 9}.'


def test_times_in_messages_are_shown_in_the_zone_of_the_page() -> None:
    found = with_links("attempt 2 of 3 starts at 2026-11-28 22:26:48 UTC", "Europe/Berlin")
    time = '<time datetime="2026-11-28T22:26:48Z" data-zone="Europe/Berlin" data-date>2026-11-28 23:26:48+01:00</time>'
    assert found == f"attempt 2 of 3 starts at {time}"
    assert with_links("until 2026-99-28 22:26:48 UTC") == "until 2026-99-28 22:26:48 UTC"


def test_digests_in_commands_are_not_shortened() -> None:
    message = f"to approve: controller approve sha256:{'b' * 64}"
    assert with_links(message) == message


def test_pretty_json_is_on_one_line_if_it_fits() -> None:
    assert pretty({"a": [1, 2]}) == '{"a": [1, 2]}'
    assert pretty({"a": "x" * 60, "b": [1, {"c": 2}]}) == '{\n  "a": "' + "x" * 60 + '",\n  "b": [1, {"c": 2}]\n}'
    assert pretty(["x" * 70]) == '[\n  "' + "x" * 70 + '"\n]'
    deep: Any = "x" * 100
    for _ in range(200):
        deep = [deep]
    assert "x" * 100 in pretty(deep)


def test_stage_widths_are_proportional_to_durations() -> None:
    found = stage_bars({"read": 1.0, "apply": 3.0})
    assert [(bar.x, bar.width, bar.title) for bar in found] == [(0, 50, "read 1.0 ms"), (50, 150, "apply 3.0 ms")]
    assert stage_bars({}) == ()


def test_states_have_an_icon_of_their_own_that_exists() -> None:
    icons = {state.value: state_icon(state.value) for state in RunState if state is not RunState.SCHEDULED}
    assert len(set(icons.values())) == len(icons)
    sprite = static_files()["icons.svg"].content.decode()
    statuses = [
        "Healthy",
        "Degraded",
        "Invalid",
        "OutOfSync",
        "Synced",
        "Running",
        "Suspended",
        "held",
        "warning",
        "error",
    ]
    names = {*icons.values(), *(state_icon(status) for status in [*statuses, "info", "True", "anything"])}
    assert [name for name in names if f'<symbol id="{name}"' not in sprite] == []


def test_bidirectional_control_characters_are_escaped() -> None:
    assert pretty({"a\u202e": ["\u2066b"]}) == '{"a\\u202e": ["\\u2066b"]}'
