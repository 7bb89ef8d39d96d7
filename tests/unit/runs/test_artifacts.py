"""Artifacts and the name of a run are available during the run and after it, even if the reports are invalid."""

import json
from typing import Any

import pytest

from controller.model.artifacts import MAX_ARTIFACTS, MAX_BYTES, Artifact, replay_artifacts, replay_name
from controller.model.runs import Run, RunState
from controller.queries.runs import find_run
from tests.conftest import wait_until
from tests.unit.runs.conftest import World

SHOWS = """
import os
from datetime import date
from controller import flow, link, markdown, table, task

@task
def step(day):
    markdown(f"# Day {day}\\n" + "é" * 5000, key=f"day-{day}")

@flow(flow_run_name="load-{region}-{day:03d}", concurrency=4)
def main(region: str, day: int = 7, file: str = ""):
    step.map(range(4))
    table([{"day": date(2026, 1, 2), "rows": 3}, {"rows": float("nan"), "<b>": None}], key="rows")
    link("https://example.org/a?b=1", "the report")
    markdown("first", key="state")
    markdown("x" * 70_000, key="large")
    markdown("last", key="state")
    if file:
        open(file, "w").close()
        while os.path.exists(file):
            os.stat(".")
"""


def seen(world: World, run_id: str) -> Run:
    with world.store.read() as tx:
        return find_run(tx, run_id, directory=world.runs_directory)


def check(view: Run) -> None:
    assert view.name == "load-eu-007"
    by_key = {one.key: one for one in view.artifacts}
    assert by_key.keys() == {"day-0", "day-1", "day-2", "day-3", "rows", None, "state"}
    for day in range(4):
        assert by_key[f"day-{day}"].data == f"# Day {day}\n" + "é" * 5000
    table = {"columns": ["day", "rows", "<b>"], "rows": [["2026-01-02", 3, None], [None, "nan", None]]}
    assert by_key["rows"] == Artifact(key="rows", kind="table", data=table)
    link = {"url": "https://example.org/a?b=1", "text": "the report"}
    assert by_key[None] == Artifact(key=None, kind="link", data=link)
    assert by_key["state"].data == "last"


@pytest.mark.integration
def test_artifacts_and_the_run_name_are_available_during_and_after_a_run(world: World) -> None:
    gate = world.state / "gate"
    world.write("flows/f.py", SHOWS)
    world.declare(shows=f"name: shows\nflow: flows/f.py:main\nparameters: {{region: eu, file: '{gate}'}}\n")
    world.start()
    run = world.trigger("shows")
    wait_until(lambda: gate.exists() and len(seen(world, run.id).artifacts) == 7)
    check(seen(world, run.id))
    gate.unlink()
    assert world.wait(run).state is RunState.SUCCEEDED, world.log(run)
    check(seen(world, run.id))
    assert "the markdown large was dropped: it has 700" in world.log(run)


@pytest.mark.integration
def test_plain_functions_create_artifacts_and_invalid_ones_fail_no_run(world: World) -> None:
    code = "from controller import flow, markdown\ndef plain():\n    for n in range(103): markdown(str(n))\n"
    code += "@flow(flow_run_name='{nope}')\ndef nameless(): return 1\n"
    world.write("flows/f.py", code)
    flow = "name: {0}\nflow: flows/f.py:{0}\n"
    world.declare(plain=flow.format("plain"), nameless=flow.format("nameless"))
    world.start()
    plain, nameless = world.run("plain"), world.run("nameless")
    view = seen(world, plain.id)
    assert (view.state, view.name, len(view.artifacts)) == ("succeeded", None, MAX_ARTIFACTS)
    assert "the markdown was dropped: a run can have at most 100 artifacts" in world.log(plain)
    assert (nameless.state, seen(world, nameless.id).name) == (RunState.SUCCEEDED, None)
    assert "flow_run_name '{nope}' can't be filled in: KeyError: 'nope'" in world.log(nameless)


def lines(*artifacts: Any, number: int = 1) -> list[bytes]:
    return [
        json.dumps({"artifact": {"id": number + index, "last": True, "text": json.dumps(one)}}).encode()
        for index, one in enumerate(artifacts)
    ]


@pytest.mark.parametrize(
    "said",
    [
        5,
        {"key": None, "kind": "html", "data": "<script>"},
        {"key": 5, "kind": "markdown", "data": "a"},
        {"kind": "markdown", "data": "a"},
        {"key": None, "kind": "markdown", "data": ["a"]},
        {"key": None, "kind": "markdown", "data": "a" * MAX_BYTES},
        {"key": None, "kind": ["markdown"], "data": "a"},
        {"key": None, "kind": "table", "data": {"columns": None, "rows": [5]}},
        {"key": None, "kind": "table", "data": {"columns": None, "rows": [[{}]]}},
        {"key": None, "kind": "table", "data": {"columns": None, "rows": [[float("inf")]]}},
        {"key": None, "kind": "link", "data": {"url": "javascript:alert(1)", "text": None}},
        {"key": None, "kind": "link", "data": {"url": "https://a\u202eb", "text": None}},
    ],
)
def test_invalid_artifacts_are_ignored(said: Any) -> None:
    good = {"key": "k", "kind": "markdown", "data": "\ud800"}
    assert replay_artifacts(lines(said, good)) == (Artifact(key="k", kind="markdown", data="\\ud800"),)


def test_invalid_artifact_lines_are_ignored() -> None:
    nonsense = [b"", b'{"artifact": ', b'{"artifact": 5}', b'{"artifact": {"id": [], "text": "a"}}', b'{"run": []}']
    nonsense += [b'{"artifact": ' + b"[" * 100_000, b'{"artifact": {"id": 1, "text": "", "last": true}}']
    assert replay_artifacts(nonsense) == ()
    many = [{"key": None, "kind": "markdown", "data": str(number)} for number in range(MAX_ARTIFACTS + 5)]
    assert len(replay_artifacts(lines(*many))) == MAX_ARTIFACTS
    assert (
        replay_name([*nonsense, b'{"run": {"name": "a\\nb"}}', b'{"run": {"name": "%s"}}' % (b"a" * 200)]) == "a" * 120
    )
