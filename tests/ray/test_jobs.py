"""Jobs of a real Ray cluster with two nodes, as the job engine submits, lists, stops and removes them."""

import os
import shlex
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from controller.runs.executors.ray.client import DashboardClient
from controller.runs.executors.ray.engine import RayEngine
from controller.runs.executors.remote.job_engine import (
    EngineUnreachableError,
    Job,
    JobPhase,
    JobResources,
    JobStatus,
)
from tests.conftest import wait_until
from tests.ray_cluster import HEAD, NODE, RayCluster

pytestmark = pytest.mark.ray

ON_NODE = JobResources(custom={"second": 0.25})
WITHIN = 60.0


def job(name: str, script: str, *, resources: JobResources = JobResources(), **variables: str) -> Job:  # noqa: B008
    """A job that runs a script of the shell."""
    return Job(job_id=f"c-{name}-{os.getpid()}", argv=("sh", "-c", script), variables=variables, resources=resources)


def status(engine: RayEngine, one: Job) -> JobStatus:
    return engine.list_jobs().jobs[one.job_id]


def wait_for(engine: RayEngine, one: Job, phase: JobPhase) -> JobStatus:
    wait_until(lambda: status(engine, one).phase is phase, within=WITHIN)
    return status(engine, one)


def node_of(cluster: RayCluster, one: Job) -> str | None:
    """Return the address of the node that runs the job, or ran it."""
    address = cluster.get(f"/api/jobs/{one.job_id}").get("driver_agent_http_address")
    return urlsplit(address or "").hostname


def is_alive(pid_file: Path) -> bool:
    return Path(f"/proc/{pid_file.read_text().strip()}").exists()


def why_unreachable(engine: RayEngine) -> str:
    """Return the error of a cluster that is going away; empty while it answers."""
    try:
        engine.list_jobs()
    except EngineUnreachableError as error:
        return error.message
    return ""


def test_a_job_that_is_submitted_by_several_requests_runs_once_on_the_node_that_has_its_resources(
    engine: RayEngine, cluster: RayCluster, tmp_path: Path
) -> None:
    output = tmp_path / "output of the job"
    script = f'echo "$WORD" \'"\' $0 >> {shlex.quote(str(output))}'
    one = job("once", script, resources=ON_NODE, WORD="it's $HOME; all")
    with ThreadPoolExecutor(4) as threads:
        sessions = set(threads.map(lambda _: engine.submit(one), range(4)))

    over = wait_for(engine, one, JobPhase.OVER)

    assert over == JobStatus(phase=JobPhase.OVER, message="Job finished successfully.")
    assert node_of(cluster, one) == NODE
    assert output.read_text() == "it's $HOME; all \" sh\n"
    listed = engine.list_jobs()
    assert sessions == {listed.session}
    assert engine.submit(one) == listed.session
    engine.forget(one.job_id)
    assert one.job_id not in engine.list_jobs().jobs
    engine.forget(one.job_id)
    engine.stop(one.job_id)
    assert output.read_text().count("\n") == 1


def test_a_failed_job_tells_its_exit_code_and_its_last_line(engine: RayEngine, cluster: RayCluster) -> None:
    one = job("failed", "echo starting; echo 'no such file' >&2; exit 3")
    engine.submit(one)

    over = wait_for(engine, one, JobPhase.OVER)

    assert over.message == "Job entrypoint command failed with exit code 3: no such file"
    assert node_of(cluster, one) in (HEAD, NODE)
    assert cluster.get(f"/api/jobs/{one.job_id}")["driver_exit_code"] == 3


def test_a_job_that_ray_cannot_place_by_its_rules_is_over_with_the_reason(engine: RayEngine) -> None:
    one = job("rules", "true", resources=JobResources(custom={"CPU": 1}))
    engine.submit(one)

    over = wait_for(engine, one, JobPhase.OVER)

    assert over.message is not None
    assert "Use the 'num_cpus' and 'num_gpus' keyword instead of 'CPU'" in over.message
    assert "Traceback" not in over.message


def test_a_job_waits_for_resources_and_a_stop_leaves_it_waiting(engine: RayEngine, cluster: RayCluster) -> None:
    one = job("waiting", "true", resources=JobResources(custom={"third": 1}))
    engine.submit(one)

    engine.stop(one.job_id)
    engine.forget(one.job_id)

    waiting = status(engine, one)
    assert waiting.phase is JobPhase.WAITING
    assert waiting.message is not None
    assert waiting.message.startswith("Job has not started yet.")
    assert node_of(cluster, one) is None


def test_a_job_that_waits_too_long_expires_and_can_be_submitted_again(engine: RayEngine) -> None:
    one = job("expired", "true", resources=JobResources(custom={"third": 1}))
    engine.submit(one)

    wait_until(lambda: status(engine, one).phase is JobPhase.OVER, within=2 * WITHIN)

    assert status(engine, one).has_expired
    engine.forget(one.job_id)
    engine.submit(one)
    assert status(engine, one).phase is JobPhase.WAITING


def test_a_stopped_job_gets_sigterm_and_can_be_forgotten_when_it_is_over(
    engine: RayEngine, cluster: RayCluster, tmp_path: Path
) -> None:
    ready, told = tmp_path / "ready", tmp_path / "told"
    one = job("stopped", f"trap 'touch {told}; exit 0' TERM; touch {ready}; while true; do sleep 0.1; done")
    engine.submit(one)
    wait_until(ready.exists, within=WITHIN)
    engine.forget(one.job_id)
    wait_for(engine, one, JobPhase.RUNNING)
    assert node_of(cluster, one) in (HEAD, NODE)

    engine.stop(one.job_id)

    assert wait_for(engine, one, JobPhase.OVER).message == "Job was intentionally stopped."
    assert told.exists()
    engine.forget(one.job_id)
    assert one.job_id not in engine.list_jobs().jobs


def test_a_job_whose_node_was_lost_is_over_with_the_reason(
    engine: RayEngine, cluster: RayCluster, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    one = job("lost", f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 1000", resources=ON_NODE)
    engine.submit(one)
    wait_until(pid.exists, within=WITHIN)
    wait_for(engine, one, JobPhase.RUNNING)

    cluster.kill_node()

    over = wait_for(engine, one, JobPhase.OVER)
    assert over.message is not None
    assert over.message.startswith("Job supervisor actor died")
    assert "node" in over.message
    assert "\n" not in over.message
    wait_until(lambda: not is_alive(pid))


def test_a_head_that_was_restarted_has_a_new_session_without_the_jobs(
    engine: RayEngine, cluster: RayCluster, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    one = job("forgotten", f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 1000", resources=ON_NODE)
    session = engine.submit(one)
    wait_until(pid.exists, within=WITHIN)

    cluster.kill_head()

    wait_until(lambda: "can't be reached: connection refused." in why_unreachable(engine))
    cluster.wait_for_node()
    wait_until(lambda: not is_alive(pid))
    cluster.start()
    listed = engine.list_jobs()
    assert listed.session != session
    assert one.job_id not in listed.jobs
    assert engine.submit(one) == listed.session


def test_a_cluster_with_tokens_rejects_requests_without_its_own(cluster: RayCluster, tmp_path: Path) -> None:
    with pytest.raises(EngineUnreachableError, match="requires a token: 401 Unauthorized") as without:
        RayEngine(DashboardClient(cluster.address)).list_jobs()
    assert without.value.hint == "Name a file with the cluster's token: --ray-token-file."
    token_file = tmp_path / "token"
    token_file.write_text("another")
    client = DashboardClient(cluster.address, token_file)

    with pytest.raises(EngineUnreachableError, match=f"does not accept the token in {token_file}: 403 Forbidden"):
        RayEngine(client).submit(job("rejected", "true"))
