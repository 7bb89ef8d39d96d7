"""A controller runs the flows of a repository on a real Ray cluster with two nodes, and survives what can go wrong."""

import json
from pathlib import Path

import pytest

from tests.acceptance.harness import is_alive, until
from tests.package_index import PackageIndex
from tests.ray.conftest import WORD, RemoteProject

pytestmark = pytest.mark.ray

ON_SECOND_NODE = "{custom: {second: 0.1}}"
FLOWS = """
import os
import time
from pathlib import Path


def work(place: str, number: int = 1):
    folder = Path(place)
    print("begins with", number, flush=True)
    with open(folder / "starts", "a") as starts:
        starts.write(f"{os.environ['CONTROLLER_RUN_ID']} {os.getpid()}\\n")
    while not (folder / "go").exists():
        time.sleep(0.05)
    print("ends")
    word = os.environ.get("WORD")
    return {"doubled": 2 * number, "code": Path(__file__).parent.parent.as_posix(), "letters": sorted(word or "")}


def fail(place: str):
    print("before")
    raise ValueError("no such customer")
"""


class Work:
    """A folder that the flow `work` uses to tell the test that it runs, and to wait for the test."""

    def __init__(self, project: RemoteProject, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._repository = project.repository
        for name, function in (("work", "work"), ("work-second", "work"), ("fail", "fail")):
            self._repository.write(
                f"deployments/{name}.yaml",
                f"""
                name: {name}
                flow: flows/all.py:{function}
                parameters: {{place: {json.dumps(str(folder))}}}
                resources: {ON_SECOND_NODE if name.endswith("second") else "{}"}
                secrets: {"{WORD: {env: SHOP_WORD}}" if name.endswith("second") else "{}"}
                """,
            )
        self._repository.write("flows/all.py", FLOWS)
        self._repository.commit()

    def trigger(self, name: str, *arguments: str) -> str:
        """Trigger a run; return its id."""
        run_id: str = self._repository.tell("trigger", name, *arguments)["run_id"]
        return run_id

    def starts(self) -> list[tuple[str, int]]:
        """Return run and process id of all starts of the flow."""
        file = self.folder / "starts"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(line.split()[0], int(line.split()[1])) for line in lines]

    def wait_for_start(self) -> int:
        """Wait until the flow runs for the first time; return its process id."""
        until(self.starts, "the flow to start")
        return self.starts()[0][1]

    def let_end(self) -> None:
        (self.folder / "go").touch()

    def attempts_of(self, run_id: str) -> list[str]:
        """Return the states of all attempts of a run."""
        return [row[0] for row in self._repository.select("SELECT state FROM attempts WHERE run_id = ?", run_id)]

    def wait_for_uncertainty(self, run_id: str, words: str) -> None:
        """Wait until it is shown that and why it is unknown whether the run still runs."""
        query = "SELECT uncertain_reason FROM runs WHERE id = ? AND state = 'running'"

        def found() -> bool:
            rows = self._repository.select(query, run_id)
            assert rows, "the run has ended"
            return words in (rows[0][0] or "")

        until(found, f"the run to be uncertain because of {words!r}")


@pytest.fixture
def work(project: RemoteProject, tmp_path: Path) -> Work:
    return Work(project, tmp_path / "work")


def test_flows_run_on_both_nodes_with_their_results_and_logs(project: RemoteProject, work: Work) -> None:
    repository = project.repository
    project.start()
    here, there = work.trigger("work", "--param", "number=4"), work.trigger("work-second", "--param", "number=21")
    failing = work.trigger("fail")
    until(lambda: len(work.starts()) == 2, "both flows to start")
    until(lambda: repository.wait_for_output(there) == ["begins with 21"], "the log of a flow that runs")
    assert repository.deployment("work-second")["last_run"]["state"] == "running"
    assert WORD not in json.dumps(project.cluster.get("/api/jobs/"))

    work.let_end()

    results = {run_id: repository.wait_for_end(run_id) for run_id in (here, there, failing)}
    assert [results[run_id]["state"] for run_id in (here, there, failing)] == ["succeeded", "succeeded", "failed"]
    assert results[here]["result"]["doubled"] == 8
    assert results[there]["result"]["doubled"] == 42
    assert "".join(results[there]["result"]["letters"]) == "".join(sorted(WORD))
    assert str(project.cluster.cache("node")) in results[there]["result"]["code"]
    assert repository.ask("runs", "logs", there).out.splitlines() == ["begins with 21", "ends"]
    assert "ValueError: no such customer" in repository.ask("runs", "logs", failing).out
    assert sorted(run_id for run_id, _ in work.starts()) == sorted([here, there])
    jobs = {row[0] for row in repository.select("SELECT job_id FROM attempts")}
    assert len(jobs) == 3
    until(lambda: not jobs & project.cluster.job_ids(), "the jobs to be removed from the cluster")


def test_a_flow_is_cancelled_on_its_node(project: RemoteProject, work: Work) -> None:
    project.start()
    run_id = work.trigger("work")
    pid = work.wait_for_start()

    project.repository.tell("runs", "cancel", run_id)

    run = project.repository.wait_for_end(run_id)
    assert run["state"] == "cancelled"
    assert not is_alive(pid)


def test_a_controller_that_is_killed_between_submission_and_answer_adopts_the_attempt(
    project: RemoteProject, work: Work
) -> None:
    project.start(RAY_TEST_DIES="submitted")
    run_id = work.trigger("work")
    assert project.process.wait(60) == -9
    assert work.starts() == []

    project.start()
    work.wait_for_start()
    work.let_end()

    assert project.repository.wait_for_end(run_id)["state"] == "succeeded"
    assert work.attempts_of(run_id) == ["succeeded"]
    assert [started for started, _ in work.starts()] == [run_id]


def test_a_flow_outlives_its_controller_and_is_adopted(project: RemoteProject, work: Work) -> None:
    project.start()
    run_id = work.trigger("work", "--param", "number=3")
    pid = work.wait_for_start()
    project.kill()
    work.let_end()
    until(lambda: not is_alive(pid), "the flow to end")

    project.start()

    run = project.repository.wait_for_end(run_id)
    assert work.attempts_of(run_id) == ["succeeded"]
    assert run["result"]["doubled"] == 6
    assert project.repository.ask("runs", "logs", run_id).out.splitlines() == ["begins with 3", "ends"]
    assert [started for started, _ in work.starts()] == [run_id]


def test_a_run_whose_node_was_lost_has_crashed_with_rays_reason(project: RemoteProject, work: Work) -> None:
    project.start()
    run_id = work.trigger("work-second")
    pid = work.wait_for_start()

    project.cluster.kill_node()

    work.wait_for_uncertainty(run_id, "its runner is silent")
    run = project.repository.wait_for_end(run_id)
    assert work.attempts_of(run_id) == ["crashed"]
    assert run["reason"].startswith("outcome unknown: its node was lost: ray: Job supervisor actor died")
    assert not is_alive(pid)


def test_runs_of_a_head_that_was_restarted_are_lost_and_waiting_runs_start(project: RemoteProject, work: Work) -> None:
    repository = project.repository
    project.start()
    lost = work.trigger("work-second")
    pid = work.wait_for_start()

    project.cluster.kill_head()

    waiting = work.trigger("work")
    work.wait_for_uncertainty(lost, "ray does not answer: The Ray dashboard at")
    project.cluster.wait_for_node()
    until(lambda: not is_alive(pid), "the flow to end with its node")
    assert work.starts() == [(lost, pid)]
    work.let_end()
    project.cluster.start()
    assert repository.wait_for_end(waiting)["state"] == "succeeded"
    run = repository.wait_for_end(lost)
    assert work.attempts_of(lost) == ["crashed"]
    assert run["reason"] == "outcome unknown: ray has lost its job"
    assert [started for started, _ in work.starts()] == [lost, waiting]


def test_conflicting_python_environments_are_built_on_the_nodes(
    project: RemoteProject, work: Work, index: PackageIndex
) -> None:
    repository = project.repository
    versions = {"old": "1.0", "new": "2.0", "newest": "3.0"}
    deployments = versions | {f"{name}-second": version for name, version in versions.items()}
    for name, version in deployments.items():
        document = f"name: {name}\nflow: flows/versions.py:main\npython: {{requirements: [sums=={version}]}}\n"
        document += f"resources: {ON_SECOND_NODE}\n" if name.endswith("second") else ""
        repository.write(f"deployments/{name}.yaml", document)
    repository.write(
        "flows/versions.py",
        """
        import sys
        import sums

        def main():
            return [sums.__version__, sys.prefix]
        """,
    )
    repository.commit()
    project.start(UV_DEFAULT_INDEX=index.url, UV_HTTP_RETRIES="0")

    runs = {name: work.trigger(name) for name in deployments}

    results = {name: repository.wait_for_end(run_id)["result"] for name, run_id in runs.items()}
    assert {name: result[0] for name, result in results.items()} == deployments
    for name in (f"{name}-second" for name in versions):
        assert results[name][1].startswith(str(project.cluster.cache("node")))
    builds = list(project.cluster.cache("node").glob("python/*/.ready"))
    assert len(builds) == 3
