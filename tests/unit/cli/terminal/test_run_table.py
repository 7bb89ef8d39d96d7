"""The table of runs shows what waiting runs wait for, and the first line of reasons."""

from dataclasses import asdict

import pytest
from rich.console import Console

from controller.cli.terminal.run_tables import run_detail, run_table
from controller.model.queues import SHORTAGE
from controller.model.runs import Run, RunDetail, RunId, RunState, Trigger
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
    console.print(run_table([view(waiting, reason)], NOW))
    row = console.export_text().splitlines()[-1].rstrip()
    assert row.partition("waiting:")[2] == shown.removeprefix("waiting:")


def test_a_table_shows_the_first_line_of_a_reason_and_the_details_show_all() -> None:
    run = RunDetail(**asdict(view(None, "no new files\nin /inbox\x1b")), history=())
    console = Console(width=200, record=True, color_system=None)
    console.print(run_table([run], NOW))
    table = console.export_text()
    assert "no new files" in table
    assert "/inbox" not in table
    console.print(run_detail(run, NOW, None))
    lines = [line.split() for line in console.export_text().splitlines()]
    position = lines.index(["reason", "no", "new", "files"])
    assert lines[position + 1] == ["in", "/inbox\\x1b"]
