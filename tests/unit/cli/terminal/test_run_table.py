"""The table of runs shows what waiting runs wait for, and the first line of reasons."""

from dataclasses import asdict, replace
from datetime import UTC, timedelta, tzinfo

import pytest
from rich.console import Console

from controller.cli.terminal.run_tables import run_detail, run_table
from controller.model.queues import SHORTAGE
from controller.model.runs import Run, RunDetail, RunId, RunState, Trigger, UpstreamRun
from tests.conftest import NOW


def view(waiting: str | None, reason: str | None) -> Run:
    return Run(
        id=RunId("01a22515-efee-7000-a21d-6c325a35c8e4"),
        deployment="nightly",
        state=RunState.PENDING,
        reason=reason,
        trigger=Trigger.MANUAL,
        created_at=NOW,
        revision="main@sha1:1",
        file="deployments/nightly.yaml",
        spec_digest="sha256:1",
        waiting=waiting,
    )


def in_utc(deployment: str) -> tzinfo:
    assert deployment == "nightly"
    return UTC


@pytest.mark.parametrize(
    ("waiting", "reason", "shown"),
    [
        ("no memory", f"{SHORTAGE}no memory", "waiting: no memory"),
        ("attempt 2 of 2 starts at 10:00", "exit code 7", "waiting: attempt 2 of 2 starts at 10:00 (exit code 7)"),
        ("its turn", None, "waiting: its turn"),
    ],
)
def test_a_waiting_run_shows_its_reason_once(waiting: str, reason: str | None, shown: str) -> None:
    console = Console(width=200, record=True, color_system=None)
    console.print(run_table([view(waiting, reason)], NOW, in_utc))
    row = console.export_text().splitlines()[-1].rstrip()
    assert row.partition("waiting:")[2] == shown.removeprefix("waiting:")


def test_a_table_shows_the_first_line_of_a_reason_and_the_details_show_all() -> None:
    run = RunDetail(**asdict(view(None, "no new files\nin /inbox\x1b")), history=())
    console = Console(width=200, record=True, color_system=None)
    console.print(run_table([run], NOW, in_utc))
    table = console.export_text()
    assert "no new files" in table
    assert "/inbox" not in table
    console.print(run_detail(run, NOW, None))
    lines = [line.split() for line in console.export_text().splitlines()]
    position = lines.index(["reason", "no", "new", "files"])
    assert lines[position + 1] == ["in", "/inbox\\x1b"]


def rows(run: Run, *, is_wide: bool = False) -> dict[str, str]:
    """Return the cells of the table's only row, by title."""
    header, row = run_table([run], NOW, in_utc, is_wide=is_wide).as_tsv().splitlines()
    return dict(zip(header.split("\t"), row.split("\t"), strict=True))


def test_a_run_that_waits_has_a_creation_time_but_no_start_time() -> None:
    waiting = replace(view("queue heavy is full (1 of 1)", None), created_at=NOW - timedelta(minutes=5))
    assert "STARTED" not in rows(waiting)
    assert (rows(waiting, is_wide=True)["CREATED"], rows(waiting, is_wide=True)["STARTED"]) == ("5m ago", "-")
    started = replace(waiting, state=RunState.RUNNING, started_at=NOW - timedelta(minutes=1))
    assert (rows(started, is_wide=True)["CREATED"], rows(started, is_wide=True)["STARTED"]) == ("5m ago", "1m ago")


@pytest.mark.parametrize(
    ("state", "reason", "text"),
    [(RunState.RUNNING, None, "being cancelled: wrong input"), (RunState.CANCELLED, "wrong input", "wrong input")],
)
def test_a_run_is_being_cancelled_only_until_its_flow_has_ended(state: RunState, reason: str | None, text: str) -> None:
    run = replace(view(None, reason), state=state, started_at=NOW, cancel_reason="wrong input")
    assert rows(run)["REASON OR RESULT"] == text
    console = Console(width=200, record=True, color_system=None)
    console.print(run_detail(RunDetail(**asdict(run), history=()), NOW, None))
    assert f"reason {text}" in [" ".join(line.split()) for line in console.export_text().splitlines()]


def test_the_details_of_a_run_name_its_upstream_runs() -> None:
    run = RunDetail(**asdict(replace(view(None, None), name="load")), history=())
    ingest = UpstreamRun(
        deployment="ingest", run_id=run.id, due_time=NOW, state=RunState.SUCCEEDED, result={"path": "/data"}
    )
    for upstream, text in (
        ((), "-"),
        (
            (ingest, replace(ingest, deployment="audit", due_time=None)),
            "ingest 6c325a35c8e4 (due 2026-06-01 12:00:00 UTC), audit 6c325a35c8e4",
        ),
    ):
        console = Console(width=200, record=True, color_system=None)
        console.print(run_detail(replace(run, upstream=upstream), NOW, UTC))
        assert f"upstream {text}" in [" ".join(line.split()) for line in console.export_text().splitlines()]


def test_the_last_column_has_the_names_if_any_run_has_one() -> None:
    unnamed = view(None, None)
    assert "NAME" not in rows(unnamed)
    for is_wide in (False, True):
        cells = rows(replace(unnamed, name="load-eu"), is_wide=is_wide)
        assert (list(cells)[-1], cells["NAME"]) == ("NAME", "load-eu")
