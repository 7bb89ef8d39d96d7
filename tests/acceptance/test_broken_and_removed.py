"""Invalid is not absent: a broken file keeps its last valid version, a removed one is pruned, and its history stays."""

from typing import Any

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, assert_every_second, until

pytestmark = pytest.mark.acceptance

ONLY_HINTS = ("--interval", "1h")

FLOW = """
def work() -> str:
    return "good"
"""

GOOD = """
name: {name}
flow: flows/work.py:work
schedule: {{interval: 1s}}
"""


@pytest.fixture
def two(repository: Repository) -> Repository:
    """Deployments `one` and `two`, each every second, committed."""
    repository.write("flows/work.py", FLOW)
    for name in ("one", "two"):
        repository.write(f"deployments/{name}.yaml", GOOD.format(name=name))
    repository.commit()
    return repository


def ready(row: Any) -> Any:
    return next(condition for condition in row["conditions"] if condition["type"] == "Ready")


def test_removing_a_file_prunes_its_deployment_and_keeps_the_history(two: Repository, running: Start) -> None:
    running(two, *ONLY_HINTS)
    two.wait_for_run("one")
    two.remove("deployments/one.yaml")
    status = two.status_at(two.commit("Remove one"))
    assert [row["name"] for row in status["deployments"]] == ["two"]
    until(lambda: two.count_runs("one", "pending", "launching", "running") == 0, "its last run to end")
    left = len(two.runs("one"))
    two.wait_for_run("two", more=2)
    history = two.runs("one")
    assert len(history) == left
    assert history[0]["state"] == "succeeded"
    gone = two.ask("trigger", "one")
    assert gone.code == 2
    assert "There is no deployment 'one'" in gone.err
    pruned = [(event["about"], event["reason"]) for event in two.status()["events"]]
    assert ("one", "Pruned") in pruned
    times = [run["scheduled_for"] for run in history]
    assert len(times) == len(set(times))

    two.write("deployments/one.yaml", GOOD.format(name="one"))
    two.wait_for_revision(two.commit("Bring one back"))
    two.wait_for_run("one", more=1)
    again = [run["scheduled_for"] for run in two.runs("one")]
    assert len(again) == len(set(again))


def test_a_broken_file_keeps_its_last_valid_schedule_and_reports_the_error(two: Repository, running: Start) -> None:
    controller = running(two, *ONLY_HINTS)
    good = two.status_at(None)["source"]["revision"]
    two.wait_for_run("one")
    two.write("flows/work.py", FLOW.replace("good", "newer"))
    two.write("deployments/one.yaml", GOOD.format(name="one").replace("schedule", "scheduel"))
    broken = two.commit("Break one")
    status = two.status_at(broken)
    row = status["deployments"][0]
    assert (row["name"], row["sync"]) == ("one", "Invalid")
    assert (ready(row)["status"], ready(row)["reason"]) == ("False", "InvalidManifest")
    assert "deployments/one.yaml:3:1" in ready(row)["message"]
    assert row["next_fire_time"] is not None
    source = ready(status["source"])
    assert (source["status"], source["reason"]) == ("False", "InvalidManifest")
    finding = status["source"]["findings"][0]
    assert (finding["file"], finding["line"], finding["column"]) == ("deployments/one.yaml", 3, 1)
    assert "schedule" in (finding["hint"] or "") + finding["message"]
    assert "deployments/one.yaml:3:1" in controller.output
    assert "deployments/one.yaml:3:1" in two.ask("status").out

    run = two.wait_for_run("one", more=2)
    assert (run["revision"], run["result"]) == (good, "good")
    other = two.wait_for_run("two", more=2)
    assert (other["revision"], other["result"]) == (broken, "newer")
    assert two.trigger("one")["revision"] == good

    two.write("deployments/one.yaml", GOOD.format(name="one"))
    fixed = two.commit("Fix one")
    row = next(row for row in two.status_at(fixed)["deployments"] if row["name"] == "one")
    assert (row["sync"], ready(row)["status"]) == ("Synced", "True")
    assert two.trigger("one")["result"] == "newer"
    run = two.wait_for_run("one", more=2)
    assert run["revision"] == fixed


def test_a_broken_file_stays_active_after_a_restart_until_it_is_removed(two: Repository, running: Start) -> None:
    first = running(two, *ONLY_HINTS)
    good = two.status_at(None)["source"]["revision"]
    two.write("deployments/one.yaml", "name: one\n  flow: [\n")
    two.wait_for_revision(two.commit("Break it badly"))
    first.kill()
    running(two, *ONLY_HINTS)
    run = two.wait_for_run("one", more=2)
    assert (run["revision"], run["result"]) == (good, "good")
    assert two.deployment("one")["sync"] == "Invalid"
    two.remove("deployments/one.yaml")
    status = two.status_at(two.commit("Give it up"))
    assert [row["name"] for row in status["deployments"]] == ["two"]


def test_a_new_broken_file_is_reported(two: Repository, running: Start) -> None:
    running(two, *ONLY_HINTS)
    two.wait_for_revision(None)
    two.write("deployments/three.yaml", "name: three\nflow: flows/work.py:work\nschedule: {cron: '61 * * * *'}\n")
    two.write("deployments/four.yaml", "{{{ not yaml\n")
    status = two.status_at(two.commit())
    by_name = {row["name"]: row for row in status["deployments"]}
    assert by_name["three"]["sync"] == "Invalid"
    assert by_name["three"]["file"] == "deployments/three.yaml"
    assert by_name["one"]["sync"] == by_name["two"]["sync"] == "Synced"
    assert {finding["file"] for finding in status["source"]["findings"]} == {
        "deployments/three.yaml",
        "deployments/four.yaml",
    }
    text = two.ask("status").out
    assert "deployments/four.yaml:2:1" in text
    assert "three" in text
    shown = two.ask("deployments", "show", "three")
    assert shown.code == 0
    assert "deployments/three.yaml:3:" in shown.out
    refused = two.ask("trigger", "three")
    assert refused.code == 2
    assert refused.err.startswith("error: ")


def test_a_moved_file_changes_nothing(two: Repository, running: Start) -> None:
    running(two, *ONLY_HINTS)
    two.wait_for_run("one")
    before = two.tell("deployments", "show", "one")
    two.move("deployments/one.yaml", "deployments/team/uno.yml")
    revision = two.commit("Move")
    status = two.status_at(revision)
    row = next(row for row in status["deployments"] if row["name"] == "one")
    assert (row["file"], row["sync"]) == ("deployments/team/uno.yml", "Synced")
    after = two.tell("deployments", "show", "one")
    assert after["spec_digest"] == before["spec_digest"]
    assert [s["id"] for s in after["schedules"]] == [s["id"] for s in before["schedules"]]
    run = two.wait_for_run("one", more=2)
    assert run["revision"] == revision
    assert ("one", "Pruned") not in [(event["about"], event["reason"]) for event in status["events"]]
    times = [instant for instant, *_ in two.ledger("one")]
    assert_every_second(times)


def test_a_duplicate_name_is_reported_in_both_files_and_the_active_version_stays(
    two: Repository, running: Start
) -> None:
    running(two, *ONLY_HINTS)
    good = two.status_at(None)["source"]["revision"]
    two.write("deployments/copy.yaml", GOOD.format(name="one").replace("1s", "2s"))
    status = two.status_at(two.commit("Copy without a new name"))
    row = next(row for row in status["deployments"] if row["name"] == "one")
    assert row["sync"] == "Invalid"
    said = " ".join(finding["message"] + (finding["hint"] or "") for finding in status["source"]["findings"])
    assert {finding["file"] for finding in status["source"]["findings"]} == {
        "deployments/copy.yaml",
        "deployments/one.yaml",
    }
    assert "deployments/copy.yaml" in said
    assert "deployments/one.yaml" in said
    assert two.trigger("one")["revision"] == good
    two.remove("deployments/copy.yaml")
    status = two.status_at(two.commit("Remove the copy"))
    assert {row["sync"] for row in status["deployments"]} == {"Synced"}


def test_suspend_stops_a_schedule_and_removing_it_resumes_from_now(two: Repository, running: Start) -> None:
    running(two, *ONLY_HINTS)
    two.wait_for_run("one")
    two.write("deployments/one.yaml", GOOD.format(name="one") + "suspend: true\n")
    row = next(row for row in two.status_at(two.commit("Suspend"))["deployments"] if row["name"] == "one")
    assert (row["suspended"], row["next_fire_time"]) == (True, None)
    until(lambda: two.count_runs("one", "pending", "launching", "running") == 0, "its last run to end")
    before = two.ledger("one")
    ran = len(two.runs("one"))
    two.wait_for_run("two", more=2)
    assert two.deployment("one")["health"] == "Suspended"
    assert len(two.runs("one")) == ran
    assert two.trigger("one")["state"] == "succeeded"

    two.write("deployments/one.yaml", GOOD.format(name="one"))
    two.wait_for_revision(two.commit("Resume"))
    until(lambda: two.ledger("one")[-1][1] == "run" and len(two.ledger("one")) > len(before), "it to fire again")
    ledger = two.ledger("one")
    assert ledger[: len(before)] == before
    assert_every_second([instant for instant, *_ in ledger])
    pause = [row for row in ledger[len(before) :] if row[3] == "suspended"]
    assert len(pause) >= 2
    resumed = next(instant for instant, outcome, *_ in ledger[len(before) :] if outcome == "run")
    assert resumed > pause[-1][0]
