"""The condition `ExecutorReady`, for a cluster that does not answer and for deployments whose executor is missing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from controller.cli.doctor_executors import check_executors
from controller.model.status import Condition, ConditionStatus, ConditionType
from controller.queries.attention import AttentionCode, find_attention
from controller.queries.deployments import DeploymentState, Health, list_deployments
from controller.queries.doctor import Check
from controller.queries.executor_conditions import list_cluster_executors
from controller.runs import engine
from controller.runs.executor_conditions import ExecutorConditions
from controller.runs.executors.executor_set import ExecutorSet
from controller.runs.executors.remote.executor import RemoteExecutor
from controller.runs.executors.remote.job_engine import JobList
from controller.store import Store, events, executor_records
from controller.store.state_directory import StateDirectory
from tests.conftest import ManualClock, wait_until
from tests.process_engine import ProcessEngine
from tests.remote_parts import RemoteController
from tests.unit.runs.conftest import GRACE, PATH, World


class CountingEngine(ProcessEngine):
    """A cluster that counts the questions about its jobs."""

    questions = 0

    def list_jobs(self) -> JobList:
        self.questions += 1
        return super().list_jobs()


@dataclass(slots=True)
class Site:
    """An executor on a cluster, with its recorded conditions. `ask` asks the cluster, as a tick of the engine does."""

    engine: ProcessEngine
    executor: RemoteExecutor
    store: Store
    clock: ManualClock
    conditions: ExecutorConditions

    def ask(self, until: ConditionStatus) -> Condition:
        def has_answer() -> bool:
            self.executor.maintain()
            return self.executor.readiness.status is until

        wait_until(has_answer)
        self.conditions.record()
        return self.recorded

    @property
    def recorded(self) -> Condition:
        with self.store.read() as tx:
            return executor_records.find_all(tx)["process"].ready

    @property
    def reasons(self) -> list[str]:
        with self.store.read() as tx:
            return [event.reason for event in reversed(events.latest(tx, 10))]


@pytest.fixture
def site(tmp_path: Path, store: Store, clock: ManualClock) -> Iterator[Site]:
    engine = ProcessEngine(tmp_path / "cluster", PATH)
    controller = RemoteController(tmp_path, store, clock, engine, 0, GRACE)
    executor = controller.open()
    yield Site(engine, executor, store, clock, ExecutorConditions(store, clock, ExecutorSet([executor])))
    executor.close()
    controller.close()


def test_a_cluster_that_does_not_answer_is_recorded_until_it_answers_again(site: Site) -> None:
    site.conditions.record()
    assert (site.recorded.status, site.recorded.reason) == (ConditionStatus.UNKNOWN, "NotAsked")
    site.engine.set_reachable(False)
    lost = site.ask(ConditionStatus.FALSE)
    assert (lost.reason, lost.message) == ("ClusterUnreachable", "connection refused")
    began = site.clock.now()
    site.clock.turn(timedelta(minutes=5))
    site.ask(ConditionStatus.FALSE)
    assert site.recorded.last_transition_time == began
    site.engine.set_reachable(True)
    assert site.ask(ConditionStatus.TRUE).reason == "ClusterAnswers"
    assert site.recorded.last_transition_time == began + timedelta(minutes=5)
    assert site.reasons == ["ClusterUnreachable", "ClusterAnswers"]


def test_a_cluster_is_asked_at_the_start_and_its_answer_is_recorded_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "TICK_SECONDS", 3600.0)
    cluster = ProcessEngine(world.state / "cluster", PATH)
    controller = RemoteController(world.state, world.store, world.clock, cluster, 0, GRACE)

    def reason() -> str:
        with world.store.read() as tx:
            return executor_records.find_all(tx)["process"].ready.reason

    world.start(remote=controller.open())
    wait_until(lambda: reason() == "ClusterAnswers")
    world.stop()
    controller.close()


def test_a_cluster_without_jobs_is_asked_once_a_minute(tmp_path: Path, store: Store, clock: ManualClock) -> None:
    cluster = CountingEngine(tmp_path / "cluster", PATH)
    controller = RemoteController(tmp_path, store, clock, cluster, 0, GRACE)
    executor = controller.open()
    executor.open(lambda: None)
    wait_until(lambda: executor.readiness.status is ConditionStatus.TRUE)
    cluster.set_reachable(False)
    for _ in range(6):
        executor.maintain()
        clock.turn(timedelta(seconds=10))
    assert cluster.questions == 1
    executor.maintain()
    wait_until(lambda: executor.readiness.reason == "ClusterUnreachable")
    assert cluster.questions == 2
    executor.close()
    controller.close()


def test_a_condition_that_has_not_changed_is_not_written_again(site: Site) -> None:
    site.ask(ConditionStatus.TRUE)
    commits = site.store.commits
    site.conditions.record()
    ExecutorConditions(site.store, site.clock, ExecutorSet([site.executor])).record()
    assert site.store.commits == commits


def test_a_controller_that_has_not_asked_yet_keeps_the_last_condition(site: Site, tmp_path: Path) -> None:
    site.engine.set_reachable(False)
    lost = site.ask(ConditionStatus.FALSE)
    controller = RemoteController(tmp_path, site.store, site.clock, site.engine, 0, GRACE)
    ExecutorConditions(site.store, site.clock, ExecutorSet([controller.open()])).record()
    controller.close()
    assert site.recorded == lost


def test_status_attention_and_doctor_show_a_cluster_that_does_not_answer(site: Site) -> None:
    site.engine.set_reachable(False)
    site.ask(ConditionStatus.FALSE)
    with site.store.read() as tx:
        executors = list_cluster_executors(tx)
    [problem] = find_attention(None, [], None, executors)
    assert (problem.code, problem.subject) == (AttentionCode.EXECUTOR, "executor process")
    [check] = _checks(site.store)
    assert (check.name, check.status) == ("executor process", "error")
    assert check.message.endswith(": connection refused")
    assert check.hint is not None


def test_a_deployment_whose_executor_the_controller_lacks_says_so(world: World) -> None:
    world.declare(train="name: train\nexecutor: ray\ncommand: [echo]\n", other="name: other\ncommand: [echo]\n")
    assert _checks(world.store) == []  # no controller has recorded its executors yet
    world.start()
    with world.store.read() as tx:
        views = {view.name: view for view in list_deployments(tx, world.clock.now())}
    train = views["train"]
    [lacking] = [each for each in train.conditions if each.type is ConditionType.EXECUTOR_READY]
    assert (lacking.is_true, lacking.reason) == (False, "ExecutorMissing")
    assert lacking.message == (
        "The controller has no executor ray, so runs wait."
        " Start the controller with --ray-address, or remove `executor: ray`."
    )
    assert (train.health, train.state) == (Health.DEGRADED, DeploymentState.FAILING)
    assert (views["other"].health, views["other"].state) == (Health.HEALTHY, DeploymentState.OK)
    [problem] = find_attention(None, [train, views["other"]])
    assert (problem.code, problem.message) == (AttentionCode.NO_EXECUTOR, lacking.message)
    [check] = _checks(world.store)
    assert (check.name, check.status) == ("executor", "error")
    assert check.message == f"{lacking.message} Deployments: train"


def _checks(store: Store) -> list[Check]:
    return check_executors(StateDirectory(Path(str(store.place)).parent))
