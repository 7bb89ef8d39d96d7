"""The desk at which runners and the handles of their attempts meet: a ticket is worth one start of one flow."""

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from controller.errors import ConflictError, ControllerError, NotFoundError, UsageError
from controller.model.policies import EnvSecret, FileSecret
from controller.model.runs import RunOutcome, RunState
from controller.runs.executors.executor import NotStarted, Phase
from controller.runs.executors.remote.handle import RemoteHandle
from controller.runs.executors.remote.seat import NodeRequest, NotReadyError, TicketError
from controller.store import Store, events, runs
from tests.postgresql import BOTH_DATABASES
from tests.unit.runs.environments import deployment_of
from tests.unit.runs.remote_world import ONE, OTHER, RemoteWorld

ALL_REQUESTS = ("fetch", "start", "fail", "log", "events", "beat", "end")


@pytest.fixture
def world(tmp_path: Path, store: Store) -> Iterator[RemoteWorld]:
    made = RemoteWorld(store, tmp_path)
    yield made
    made.release()


def send(world: RemoteWorld, name: str, request: NodeRequest, handle: RemoteHandle) -> object:
    """Send a request of any kind."""
    desk = world.desk
    if name in ("log", "events"):
        return desk.append(request, {"log": "log", "events": "events.jsonl"}[name], 0, b"text\n")
    if name == "start":
        return desk.start(request, node="n", proof=None)
    if name == "fail":
        desk.fail(request, "why")
        return None
    if name == "end":
        return desk.end(request, world.ending_of(handle))
    return getattr(desk, name)(request)


def test_the_order_has_neither_parameters_nor_secrets(world: RemoteWorld) -> None:
    world.secrets["KEY"] = "s3cret"
    handle = world.launch(deployment_of(["run", "now"], secrets={"TOKEN": EnvSecret(env="KEY")}))
    order = world.desk.fetch(world.ask(handle))
    assert order["argv"] == ["run", "now"]
    assert order["nonce"] == handle.attempt.nonce
    text = json.dumps(order)
    assert "s3cret" not in text
    assert "region" not in text


def test_parameters_and_secrets_come_with_the_leave_to_start(world: RemoteWorld) -> None:
    world.secrets["KEY"] = "s3cret"
    secrets = {"TOKEN": EnvSecret(env="KEY"), "GONE": EnvSecret(env="NOWHERE"), "FILE": FileSecret(file="/x")}
    handle = world.start(deployment_of(["true"], secrets=secrets))
    answer = world.desk.start_answer(world.ask(handle))
    assert answer["parameters"] == {"region": "eu"}
    assert answer["secrets"] == {"TOKEN": "s3cret", "GONE": None, "FILE": None}
    assert answer["upstream"] is None


def test_secrets_are_not_written_to_the_directory(world: RemoteWorld) -> None:
    world.secrets["KEY"] = "s3cret"
    handle = world.start(deployment_of(["true"], secrets={"TOKEN": EnvSecret(env="KEY")}))
    world.desk.start_answer(world.ask(handle))
    assert all(b"s3cret" not in path.read_bytes() for path in handle.directory.iterdir())


@BOTH_DATABASES
def test_start_waits_until_running_and_its_instance_are_recorded(world: RemoteWorld) -> None:
    handle = world.launch()
    future = world.desk.start(world.ask(handle), node="node-1", proof=None)
    assert handle.phase is Phase.STARTING
    assert handle.receive()
    assert (handle.phase, handle.attempt.instance, handle.attempt.node) == (Phase.READY, ONE, "node-1")
    assert not future.done()
    world.allow(handle)
    assert future.done()
    with world.store.read() as tx:
        [attempt] = runs.attempts_of(tx, handle.run.id)
    assert (attempt.instance, attempt.node, attempt.session) == (ONE, "node-1", "session-1")


def test_of_many_runners_that_ask_at_once_exactly_one_starts(world: RemoteWorld) -> None:
    count = 24
    handle = world.launch()
    gate = threading.Barrier(count)

    def ask(number: int) -> Future[None] | ControllerError:
        gate.wait()
        try:
            return world.desk.start(world.ask(handle, f"{number:032x}"), node=None, proof=None)
        except ConflictError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(ask, range(count)))
    allowed = [number for number, answer in enumerate(answers) if isinstance(answer, Future)]
    assert len(allowed) == 1
    assert handle.receive()
    assert handle.attempt.instance == f"{allowed[0]:032x}"
    world.allow(handle)
    for number in set(range(count)) - set(allowed):
        with pytest.raises(ConflictError):
            world.desk.start(world.ask(handle, f"{number:032x}"), node=None, proof=None)


def test_a_repeated_start_of_the_same_runner_gets_the_same_answer(world: RemoteWorld) -> None:
    handle = world.launch()
    request = world.ask(handle)
    first = world.desk.start(request, node=None, proof=None)
    second = world.desk.start(request, node=None, proof=None)
    assert handle.receive()
    world.allow(handle)
    assert (first.done(), second.done()) == (True, True)
    answer = world.desk.start_answer(request)
    assert world.desk.start(request, node=None, proof=None).done()
    assert world.desk.start_answer(request) == answer
    world.restart()
    world.adopt(handle)
    assert world.desk.start(request, node=None, proof=None).done()
    assert world.desk.start_answer(request) == answer


def test_a_request_that_was_given_up_does_not_disturb_the_next_one(world: RemoteWorld) -> None:
    handle = world.launch()
    assert world.desk.start(world.ask(handle), node=None, proof=None).cancel()
    future = world.desk.start(world.ask(handle), node=None, proof=None)
    assert handle.receive()
    world.allow(handle)
    assert future.result(0) is None


def test_there_is_no_answer_before_the_leave_to_start(world: RemoteWorld) -> None:
    handle = world.launch()
    world.desk.start(world.ask(handle), node=None, proof=None)
    for name in ("log", "events", "beat", "end"):
        with pytest.raises(ConflictError):
            send(world, name, world.ask(handle), handle)
    with pytest.raises(ConflictError):
        world.desk.start_answer(world.ask(handle))


@pytest.mark.parametrize("has_asked", [False, True])
def test_an_abandoned_attempt_never_starts(world: RemoteWorld, has_asked: bool) -> None:
    handle = world.launch()
    future = world.desk.start(world.ask(handle), node=None, proof=None) if has_asked else None
    if has_asked:
        assert handle.receive()
    handle.abandon()
    if future is not None:
        assert isinstance(future.exception(0), ConflictError)
    for name in ALL_REQUESTS:
        with pytest.raises(ConflictError):
            send(world, name, world.ask(handle), handle)
    assert handle.read_status() == NotStarted()
    world.finish_without_start(handle)
    for name in ALL_REQUESTS:
        with pytest.raises(ConflictError):
            send(world, name, world.ask(handle), handle)


@pytest.mark.parametrize("is_restarted", [False, True])
def test_after_the_end_every_request_is_refused(world: RemoteWorld, is_restarted: bool) -> None:
    handle = world.start()
    ended = world.desk.end(world.ask(handle), world.ending_of(handle))
    world.finish(handle)
    assert ended.result(0) is None
    if is_restarted:
        world.restart()
    for name in (*ALL_REQUESTS[:-1],):
        with pytest.raises(ConflictError):
            send(world, name, world.ask(handle), handle)


@pytest.mark.parametrize("name", ALL_REQUESTS)
def test_the_ticket_of_another_attempt_is_refused(world: RemoteWorld, name: str) -> None:
    handle, other = world.start(), world.launch()
    request = replace(world.ask(handle), ticket=world.ask(other).ticket)
    with pytest.raises(TicketError):
        send(world, name, request, handle)
    ended = world.desk.end(world.ask(handle), world.ending_of(handle))
    world.finish(handle)
    assert ended.done()
    with pytest.raises(TicketError):
        send(world, name, request, handle)
    world.restart()
    with pytest.raises(TicketError):
        send(world, name, request, handle)


@pytest.mark.parametrize("name", ALL_REQUESTS)
def test_another_runner_is_refused_after_one_has_started(world: RemoteWorld, name: str) -> None:
    handle = world.start()
    world.clock.pass_seconds(10)
    heard_at = handle.seat.heard_at
    with pytest.raises(ConflictError):
        send(world, name, world.ask(handle, OTHER), handle)
    assert handle.seat.heard_at == heard_at


@pytest.mark.parametrize("job_id", ["c-unknown", "", "c-01a20a24-34e0-7000-97e2-82f65b2a00a9-1-aabbccdd"])
def test_an_unknown_job_is_not_found(world: RemoteWorld, job_id: str) -> None:
    handle = world.launch()
    with pytest.raises(NotFoundError):
        world.desk.fetch(replace(world.ask(handle), job_id=job_id))


def test_requests_for_unknown_jobs_do_not_read_the_database_without_limit(world: RemoteWorld) -> None:
    handle = world.launch()
    request = replace(world.ask(handle), job_id="c-01a20a24-34e0-7000-97e2-82f65b2a00a9-1-aabbccdd")
    errors = []
    for _ in range(200):
        with pytest.raises(ControllerError) as caught:
            world.desk.fetch(request)
        errors.append(type(caught.value))
    assert errors == [NotFoundError] * 100 + [NotReadyError] * 100


@BOTH_DATABASES
def test_an_attempt_in_progress_waits_for_the_controller_that_takes_it_over(world: RemoteWorld) -> None:
    handle = world.start()
    request = world.ask(handle)
    world.restart()
    with pytest.raises(NotReadyError):
        world.desk.beat(request)
    world.adopt(handle)
    assert world.desk.beat(request) == {"cancel": False, "next": 10}


def test_a_stopping_controller_gives_no_verdict(world: RemoteWorld) -> None:
    asking, ending = world.launch(), world.start()
    start = world.desk.start(world.ask(asking), node=None, proof=None)
    end = world.desk.end(world.ask(ending), world.ending_of(ending))
    world.release()
    assert isinstance(start.exception(0), NotReadyError)
    assert isinstance(end.exception(0), NotReadyError)
    with pytest.raises(NotReadyError):
        world.desk.beat(world.ask(ending))


def test_a_reported_failure_proves_that_nothing_was_started(world: RemoteWorld) -> None:
    handle = world.launch()
    world.desk.fail(world.ask(handle), "no such package: numpy")
    assert not handle.receive()
    assert handle.launch_failure == "no such package: numpy"
    with pytest.raises(ConflictError):
        world.desk.start(world.ask(handle), node=None, proof=None)
    handle.abandon()
    assert handle.read_status() == NotStarted()


def test_a_runner_that_fails_after_it_has_asked_to_start_has_not_started(world: RemoteWorld) -> None:
    handle = world.launch()
    future = world.desk.start(world.ask(handle), node=None, proof=None)
    assert handle.receive()
    world.desk.fail(world.ask(handle), "the job was stopped")
    world.allow(handle)
    with pytest.raises(ConflictError):
        future.result(0)
    with pytest.raises(ConflictError):
        world.desk.start(world.ask(handle), node=None, proof=None)
    assert handle.read_status() == NotStarted()
    assert handle.why_uncertain() is None
    assert handle.ended_on_its_own
    assert handle.launch_failure == "the job was stopped"


def test_a_runner_that_has_started_cannot_say_that_it_has_not(world: RemoteWorld) -> None:
    handle = world.start()
    with pytest.raises(ConflictError):
        world.desk.fail(world.ask(handle), "no such package")


@pytest.mark.parametrize(("name", "file"), [("log", "log"), ("events", "events.jsonl")])
def test_bytes_are_appended_only_at_their_offset(world: RemoteWorld, name: str, file: str) -> None:
    handle = world.start()
    request, desk = world.ask(handle), world.desk
    assert desk.append(request, file, 0, b"one\n") == 4
    assert desk.append(request, file, 0, b"one\n") == 4
    assert desk.append(request, file, 7, b"later\n") == 4
    assert desk.append(request, file, 4, b"two\n") == 8
    assert desk.append(request, file, 8, b"") == 8
    assert (handle.directory / file).read_bytes() == b"one\ntwo\n"
    assert name in ALL_REQUESTS


def test_pieces_that_arrive_at_once_are_written_once(world: RemoteWorld) -> None:
    handle = world.start()
    request = world.ask(handle)
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(lambda _: world.desk.append(request, "log", 0, b"text\n"), range(40)))
    assert sizes == [5] * 40
    assert (handle.directory / "log").read_bytes() == b"text\n"


def test_more_than_a_supervisor_writes_is_refused(world: RemoteWorld) -> None:
    handle = world.start()
    file = handle.directory / "events.jsonl"
    with file.open("wb") as stream:
        stream.truncate(16 << 20)
    with pytest.raises(UsageError):
        world.desk.append(world.ask(handle), "events.jsonl", 16 << 20, b"more")


def test_the_times_of_output_are_recorded(world: RemoteWorld) -> None:
    handle = world.start()
    world.desk.append(world.ask(handle), "log", 0, b"one\n")
    world.desk.append(world.ask(handle), "log", 4, b"two\n")
    data = (handle.directory / "log.times").read_bytes()
    assert data.startswith(b"controller-lt 1\n")
    assert len(data) == 16 + 2 * 16


def test_the_end_is_answered_after_it_is_recorded(world: RemoteWorld) -> None:
    handle = world.start()
    future = world.desk.end(world.ask(handle), world.ending_of(handle, result=7))
    found = handle.read_status()
    assert isinstance(found, RunOutcome)
    assert (found.state, found.result) == (RunState.SUCCEEDED, 7)
    handle.clean_up(found)
    assert not future.done()
    handle.release()
    assert future.done()
    world.handles.remove(handle)


def test_a_repeated_end_is_answered_and_records_nothing(world: RemoteWorld) -> None:
    handle = world.start()
    request, ending = world.ask(handle), world.ending_of(handle)
    world.desk.end(request, ending)
    world.finish(handle)
    assert world.desk.end(request, ending).done()
    world.restart()
    assert world.desk.end(request, ending).done()
    assert late_results(world) == []


def test_an_end_whose_record_was_interrupted_is_recorded_by_the_next_controller(world: RemoteWorld) -> None:
    handle = world.start()
    world.desk.end(world.ask(handle), world.ending_of(handle, exit_code=3, outcome="failed"))
    world.restart()
    adopted = world.adopt(handle)
    found = adopted.read_status()
    assert isinstance(found, RunOutcome)
    assert (found.state, found.exit_code) == (RunState.FAILED, 3)


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        ({"outcome": "crashed"}, "outcome unknown: its supervisor was killed"),
        ({"outcome": "crashed", "reason": "out of memory"}, "outcome unknown: out of memory"),
        ({"outcome": "crashed", "reason": "outcome unknown: gone"}, "outcome unknown: gone"),
        ({"outcome": "great"}, "outcome unknown: the report of its runner is not valid"),
        ({"outcome": "succeeded", "seconds": "long"}, "outcome unknown: the report of its runner is not valid"),
    ],
)
def test_what_no_supervisor_reports_is_a_crash(world: RemoteWorld, ending: dict[str, object], reason: str) -> None:
    handle = world.start()
    world.desk.end(world.ask(handle), {"nonce": handle.attempt.nonce, **ending})
    assert handle.read_status() == RunOutcome(state=RunState.CRASHED, reason=reason)


@pytest.mark.parametrize("outcome", ["crashed", "failed", "skipped"])
def test_a_reason_has_a_limit(world: RemoteWorld, outcome: str) -> None:
    handle = world.start()
    text = "x" * 100_000
    world.desk.end(world.ask(handle), world.ending_of(handle, outcome=outcome, reason=text, skipped=text))
    status = handle.read_status()
    assert isinstance(status, RunOutcome)
    assert status.reason is not None
    assert len(status.reason) < 10_000


def test_the_report_of_another_attempt_is_refused(world: RemoteWorld) -> None:
    handle = world.start()
    with pytest.raises(UsageError):
        world.desk.end(world.ask(handle), {"nonce": "other", "outcome": "succeeded"})


def late_results(world: RemoteWorld) -> list[str]:
    with world.store.read() as tx:
        return [event.message for event in events.latest(tx, 100) if event.reason == "LateResult"]


@BOTH_DATABASES
def test_a_late_result_is_an_event_once_and_changes_nothing(world: RemoteWorld) -> None:
    handle = world.start()
    request, ending = world.ask(handle), world.ending_of(handle)
    world.cluster.lose_all()
    world.clock.pass_seconds(31)
    world.look()
    world.clock.pass_seconds(61)
    world.look()
    world.finish(handle)
    for _ in range(2):
        with pytest.raises(ConflictError):
            world.desk.end(request, ending)
    [message] = late_results(world)
    assert message == (
        "Attempt 1 on node-1 was given up, and has now reported its end: succeeded. The run stays crashed."
    )
    with world.store.read() as tx:
        run = runs.find(tx, handle.run.id)
    assert run is not None
    assert run.state is RunState.CRASHED


def test_the_desk_remembers_a_limited_number_of_late_results(
    world: RemoteWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.runs.executors.remote.node_desk._REMEMBERED", 1)
    handles = [world.start(), world.start()]
    reports = [(world.ask(handle), world.ending_of(handle)) for handle in handles]
    world.cluster.lose_all()
    world.clock.pass_seconds(31)
    world.look()
    world.clock.pass_seconds(61)
    world.look()
    for handle in handles:
        world.finish(handle)
    for request, ending in [*reports, reports[0]]:
        with pytest.raises(ConflictError):
            world.desk.end(request, ending)
    assert len(late_results(world)) == 3  # the first one was removed


def test_the_late_report_of_a_runner_without_leave_is_no_event(world: RemoteWorld) -> None:
    handle = world.start()
    world.desk.end(world.ask(handle), world.ending_of(handle))
    (handle.directory / "exit").rename(handle.directory / "kept")
    world.finish(handle)
    with pytest.raises(ConflictError):
        world.desk.end(world.ask(handle, OTHER), world.ending_of(handle))
    assert late_results(world) == []


def test_beats_say_whether_the_flow_must_end(world: RemoteWorld) -> None:
    handle = world.start()
    assert world.desk.beat(world.ask(handle)) == {"cancel": False, "next": 10}
    world.clock.pass_seconds(601)
    assert world.desk.beat(world.ask(handle)) == {"cancel": False, "next": 60}
    handle.request_stop()
    assert world.desk.beat(world.ask(handle)) == {"cancel": True, "next": 10}


def proof_of(world: RemoteWorld, request: NodeRequest) -> str:
    assert world.node_secret is not None
    return hmac.new(world.node_secret, f"{request.ticket}{request.instance}".encode(), hashlib.sha256).hexdigest()


def test_a_node_without_the_secret_of_nodes_starts_nothing(tmp_path: Path, store: Store) -> None:
    world = RemoteWorld(store, tmp_path, node_secret=b"nodes")
    handle = world.launch()
    request = world.ask(handle)
    for proof in (None, "", "0" * 64, "\ud800", proof_of(world, replace(request, instance=OTHER))):
        with pytest.raises(TicketError):
            world.desk.start(request, node=None, proof=proof)
    assert handle.receive()
    assert handle.phase is Phase.STARTING
    future = world.desk.start(request, node=None, proof=proof_of(world, request))
    assert handle.receive()
    world.allow(handle)
    assert future.done()
    world.release()


def test_only_packages_of_the_attempt_are_given(world: RemoteWorld) -> None:
    handle = world.launch()
    request = replace(world.ask(handle), job_id="")
    order = world.desk.fetch(world.ask(handle))
    for digest in (order["runner"], order["code"]["digest"]):
        content = world.desk.find_package(request, digest).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
    with pytest.raises(NotFoundError):
        world.desk.find_package(request, "0" * 64)
    with pytest.raises(NotReadyError):
        world.desk.find_package(replace(request, ticket="other"), order["runner"])
    world.executor.maintain()
    with pytest.raises(TicketError):
        world.desk.find_package(replace(request, ticket="other"), order["runner"])
