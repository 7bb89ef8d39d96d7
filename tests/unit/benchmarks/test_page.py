"""The tables of docs/performance.md: what they show of the recorded rows."""

import json
from typing import Any

import pytest

from benchmarks import page
from benchmarks.machine import Speed
from benchmarks.rows import Goal, Row

SPEED = Speed(python=10.0, fork=1.0, fsync=0.5)


def part(*rows: Row, speed: Speed = SPEED) -> dict[str, Any]:
    return {
        "date": "2026-11-30",
        "cores": 2,
        "python": "3.11.7",
        "rows": [row.with_speed(speed).to_json() for row in rows],
    }


def test_the_table_of_results_shows_ratio_goal_and_whether_it_is_met() -> None:
    rows = part(
        Row(what="validate, 1000 files", value=500.0, unit="ms CPU", goal=Goal(limit=450)),
        Row(what="one run", value=9.0, unit="ms CPU", goal=Goal(limit=1, is_ratio=True)),
        Row(what="memory", value=54.4, unit="MiB"),
    )
    assert page.table("quick", {"quick": rows}).splitlines()[2:-2] == [
        "| validate, 1,000 files | 500 ms CPU | 50 x bare Python | ≤ 450 ms CPU | **no** | 10 ms |",
        "| one run | 9 ms CPU | 0.90 x bare Python | ≤ 1 x | yes | 10 ms |",
        "| memory | 54 MiB |  |  |  | 10 ms |",
    ]


def test_a_table_is_followed_by_the_speeds_of_the_machine() -> None:
    text = page.table("quick", {"quick": part(Row(what="memory", value=54.4, unit="MiB"))})
    assert text.splitlines()[-1] == (
        "Measured on 2026-11-30 with 2 cores and Python 3.11.7. Bare Python took 10 to 10 ms of CPU. "
        "A fork took 1 to 1 ms, and an fsync 0.50 to 0.50 ms of wall time."
    )


def test_the_table_of_growth_has_a_column_for_each_number_of_deployments() -> None:
    rows = part(
        Row(what="10 deployments: first pass", value=900.0, unit="ms CPU", memory=60),
        Row(what="10 deployments: idle", value=0.123, unit="% core"),
        Row(what="10000 deployments: first pass", value=5000.0, unit="ms CPU", memory=120),
    )
    assert page.table("growth", {"growth": rows}).splitlines()[:5] == [
        "| deployments | 10 | 10,000 |",
        "|---|---|---|",
        "| first pass (ms CPU) | 900 | 5,000 |",
        "| first pass: peak memory (MiB) | 60 | 120 |",
        "| idle (% core) | 0.12 |  |",
    ]


def test_the_table_of_databases_has_a_column_for_each_kind() -> None:
    rows = part(
        Row(what="SQLite: alone", value=200.0, unit="runs/s"),
        Row(what="SQLite: alone, controller", value=0.74, unit="ms CPU"),
        Row(what="PostgreSQL: alone", value=100.0, unit="runs/s"),
    )
    assert page.table("databases", {"databases": rows}).splitlines()[:4] == [
        "| runs due at the same instant | SQLite | PostgreSQL |",
        "|---|---|---|",
        "| alone (runs/s) | 200 | 100 |",
        "| alone, controller (ms CPU) | 0.74 |  |",
    ]


def test_the_table_of_peers_has_a_column_for_each_tool() -> None:
    rows = part(
        Row(what="controller: rate", value=150.0, unit="runs/s"), Row(what="Dagu: rate", value=9.5, unit="runs/s")
    )
    assert page.table("peers", {"peers": rows}).splitlines()[:3] == [
        "| measured | controller | Dagu |",
        "|---|---|---|",
        "| rate (runs/s) | 150 | 9.5 |",
    ]


def test_rates_and_delays_of_a_loaded_machine_are_left_out() -> None:
    measured = (
        Row(what="one run", value=9.0, unit="ms CPU"),
        Row(what="a commit until applied", value=300.0, unit="ms"),
        Row(what="runs", value=50.0, unit="runs/s"),
    )
    quiet = page.table("quick", {"quick": part(*measured)})
    assert len(quiet.splitlines()) == 2 + 3 + 2
    assert "busy" not in quiet
    slow = Speed(python=10.0, fork=page.QUIET_FORK_MS + 0.1, fsync=0.5)
    loaded = page.table("quick", {"quick": part(*measured, speed=slow)})
    assert [line.split(" | ")[0] for line in loaded.splitlines()[2:-2]] == ["| one run"]
    assert loaded.endswith(" Left out, because the machine was busy: 2 rates and delays.")


def test_the_cost_of_each_run_is_left_out_for_a_few_runs() -> None:
    rows = part(
        Row(what="Dagu: runs due at once", value=10, unit="runs"),
        Row(what="Dagu: each, all processes", value=36.0, unit="ms CPU"),
        Row(what="Prefect: runs due at once", value=9, unit="runs"),
        Row(what="Prefect: each, all processes", value=2950.0, unit="ms CPU"),
    )
    assert page.table("peers", {"peers": rows}).splitlines()[2:-2] == [
        "| runs due at once (runs) | 10 | 9 |",
        "| each, all processes (ms CPU) | 36 |  |",
    ]


def test_recorded_parts_are_json_with_one_row_per_line() -> None:
    recorded = {"quick": part(Row(what="a", value=1.0, unit="s"), Row(what="b", value=2.0, unit="s"))}
    text = page.to_text(recorded)
    assert json.loads(text) == recorded
    assert len(text.splitlines()) == 4


@pytest.mark.parametrize("name", page.PARTS)
def test_each_part_of_the_page_is_recorded_with_the_speed_of_the_machine(name: str) -> None:
    rows = json.loads(page.RECORDED.read_text())[name]["rows"]
    assert rows
    assert all(row["speed"]["python"] > 0 for row in rows)
