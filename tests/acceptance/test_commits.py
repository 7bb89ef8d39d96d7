"""Only commits are applied. The polling interval is an hour, so each test depends on the detection of a commit."""

import json
from pathlib import Path

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository

pytestmark = pytest.mark.acceptance

ONLY_HINTS = ("--interval", "1h")

TICK = """
def tick(word: str = "first") -> str:
    print("the word is", word)
    return word
"""

DEPLOYMENT = """
name: tick
flow: flows/tick.py:tick
schedule: {interval: 1s}
"""


def test_a_commit_is_applied_at_once_and_its_schedule_fires(repository: Repository, running: Start) -> None:
    repository.write("deployments/quiet.yaml", "name: quiet\ncommand: ['true']\n")
    first = repository.commit()
    controller = running(repository, *ONLY_HINTS)
    before = repository.status_at(first)
    assert [row["name"] for row in before["deployments"]] == ["quiet"]

    repository.write("flows/tick.py", TICK)
    repository.write("deployments/tick.yaml", DEPLOYMENT)
    assert repository.deployment("tick") is None
    second = repository.commit("Add tick")
    after = repository.status_at(second)
    row = next(row for row in after["deployments"] if row["name"] == "tick")
    assert (row["sync"], row["flow"], row["file"], row["line"]) == (
        "Synced",
        "flows/tick.py:tick",
        "deployments/tick.yaml",
        1,
    )
    assert row["next_fire_time"].endswith("Z")
    assert [(c["type"], c["status"]) for c in after["source"]["conditions"]] == [("Ready", "True")]

    run = repository.wait_for_run("tick")
    assert (run["trigger"], run["revision"], run["result"], run["exit_code"]) == ("schedule", second, "first", 0)
    created = [event["reason"] for event in reversed(repository.status()["events"]) if event["about"] == "tick"]
    assert created[0] == "Created"
    assert run["created_at"] <= run["started_at"] <= run["finished_at"]

    shown = repository.tell("runs", "show", run["id"])
    assert shown == run | {"waits_until": None}
    assert repository.ask("runs", "logs", run["id"]).out == "the word is first\n"
    assert run["id"][-8:] in repository.ask("runs", "list", "--deployment", "tick", "--limit", "200").out
    assert [line for line in controller.output.splitlines() if "Run succeeded" in line and run["id"] in line]


def test_an_uncommitted_edit_changes_nothing(repository: Repository, running: Start) -> None:
    repository.write("flows/tick.py", TICK)
    repository.write("deployments/tick.yaml", DEPLOYMENT)
    first = repository.commit()
    running(repository, "--interval", "1s")
    repository.wait_for_run("tick")
    repository.write("flows/tick.py", "def tick() -> str:\n    return 'edited'\n")
    repository.write("deployments/tick.yaml", "name: other\ncommand: ['true']\n")
    repository.write("deployments/more.yaml", "name: more\ncommand: ['true']\n")
    repository.git("add", "-A")
    repository.git("branch", "elsewhere")
    run = repository.wait_for_run("tick", more=2)
    assert (run["revision"], run["result"]) == (first, "first")
    assert [row["name"] for row in repository.status()["deployments"]] == ["tick"]


def test_a_run_keeps_its_revision_and_the_next_run_uses_the_new_code(repository: Repository, running: Start) -> None:
    gate = repository.root.parent / "gate"
    repository.write(
        "flows/slow.py",
        f"""
        import os, time


        def slow() -> str:
            print("waiting", flush=True)
            while not os.path.exists({str(gate)!r}):
                time.sleep(0.02)
            import late
            return late.WORD
        """,
    )
    repository.write("flows/late.py", "WORD = 'old'\n")
    repository.write("deployments/slow.yaml", "name: slow\nflow: flows/slow.py:slow\n")
    old = repository.commit()
    running(repository, *ONLY_HINTS)
    repository.wait_for_revision(old)
    run_id = repository.tell("trigger", "slow")["run_id"]
    assert repository.wait_for_output(run_id) == ["waiting"]

    repository.write("flows/late.py", "WORD = 'new'\n")
    new = repository.commit()
    repository.wait_for_revision(new)
    gate.touch()
    ended = repository.wait_for_end(run_id)
    assert (ended["result"], ended["revision"]) == ("old", old)
    next_one = repository.trigger("slow")
    assert (next_one["result"], next_one["revision"]) == ("new", new)


def test_a_flow_sees_the_documented_environment_and_nothing_of_the_operator(
    repository: Repository, running: Start
) -> None:
    repository.write(
        "flows/look.py",
        """
        import json, os, sys, tempfile
        from pathlib import Path

        from flows import beside


        def look() -> dict:
            Path(tempfile.gettempdir(), "scratch").write_text("x")
            return {
                "env": dict(os.environ),
                "cwd": os.getcwd(),
                "here": sorted(os.listdir(".")),
                "tmp": tempfile.gettempdir(),
                "stdin": sys.stdin.read(),
                "word": beside.WORD,
            }
        """,
    )
    repository.write("flows/beside.py", "WORD = 'from the root'\n")
    repository.write("README", "committed\n")
    repository.write(
        "deployments/look.yaml",
        """
        name: look
        flow: flows/look.py:look
        env: {LOG_LEVEL: DEBUG}
        schedule: {interval: 1s}
        """,
    )
    revision = repository.commit()
    repository.write("uncommitted", "not to be seen\n")
    running(repository, SECRET_OF_THE_OPERATOR="leaked", PYTHONPATH="/leaked", TZ="Europe/Berlin")
    scheduled = repository.wait_for_run("look")
    manual = repository.trigger("look")

    for run in (scheduled, manual):
        env = run["result"]["env"]
        assert "leaked" not in json.dumps(env)
        assert env["CONTROLLER_RUN_ID"] == run["id"]
        assert env["CONTROLLER_DEPLOYMENT"] == "look"
        assert env["CONTROLLER_ATTEMPT"] == "1"
        assert env["CONTROLLER_REVISION"] == revision
        assert env["CONTROLLER_SCHEDULED_FOR"] == (run["scheduled_for"] or "")
        assert env["LOG_LEVEL"] == "DEBUG"
        assert env["TZ"] == "Europe/Berlin"
        assert env["HOME"] == str(repository.machine.home)
        assert {name for name in env if name.startswith("GIT_")} == set()
        assert {"PATH", "LANG", "TMPDIR"} <= env.keys()
        assert run["result"]["stdin"] == ""
        assert run["result"]["word"] == "from the root"
        assert run["result"]["here"] == ["README", "deployments", "flows"]
        assert run["result"]["cwd"] != str(repository.root)
        assert env["TMPDIR"] == run["result"]["tmp"]
        assert not Path(run["result"]["tmp"]).exists()
    assert scheduled["scheduled_for"].endswith("Z")
    assert manual["scheduled_for"] is None
    assert scheduled["result"]["tmp"] != manual["result"]["tmp"]
    assert not (repository.root / "flows" / "__pycache__").exists()


def test_ref_follows_a_branch_and_without_it_a_checkout_is_followed(repository: Repository, running: Start) -> None:
    repository.write("deployments/a.yaml", "name: on-main\ncommand: ['true']\n")
    main = repository.commit()
    repository.git("checkout", "-q", "-b", "prod")
    repository.write("deployments/a.yaml", "name: on-prod\ncommand: ['true']\n")
    prod = repository.commit().replace("main@", "prod@")
    repository.git("checkout", "-q", "main")

    pinned = running(repository, *ONLY_HINTS, "--ref", "prod")
    status = repository.status_at(prod)
    assert [row["name"] for row in status["deployments"]] == ["on-prod"]
    pinned.stop()

    running(repository, *ONLY_HINTS)
    repository.wait_for_revision(main)
    repository.git("checkout", "-q", "prod")
    status = repository.status_at(prod)
    assert [row["name"] for row in status["deployments"]] == ["on-prod"]
