"""The promises of executors to the monitor, with real flows: every executor passes the same tests."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controller.model.runs import RunState
from controller.runs.executors.executor import Alive, NotStarted, Phase
from controller.runs.file_descriptors import launch_capacity
from tests.conftest import NOW, wait_until
from tests.unit.runs.installations import (
    Installation,
    LocalInstallation,
    Place,
    RemoteInstallation,
    outcome_of,
    phase_of,
    replace_nonce,
    send_go,
    wait_readable,
    wait_until_ended,
    wait_until_ready,
)
from tests.unit.runs.test_supervisor import is_gone

pytestmark = pytest.mark.integration

local_only = pytest.mark.parametrize("kind", ["warm", "cold"])
"""For promises that only local attempts need: their directory and their host say more than a cluster can."""

remote_only = pytest.mark.parametrize("kind", ["process"])


@pytest.fixture(params=["warm", "cold", "process"])
def kind(request: pytest.FixtureRequest) -> str:
    """The executors: the local one with its two ways to start, and a remote one."""
    return str(request.param)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> Iterator[Place]:
    """A place for each executor."""
    directory = tmp_path / "place"
    (directory / "code").mkdir(parents=True)
    if kind == "process":
        installation: Installation = RemoteInstallation(tmp_path, request.getfixturevalue("store"))
    else:
        installation = LocalInstallation(tmp_path / "runs", kind)
    made = Place(installation, directory)
    made.restart()
    yield made
    made.open_gate()
    for handle in made.handles:
        with contextlib.suppress(AssertionError):
            if handle.phase is not Phase.AWAITING_END:
                handle.abandon()
        wait_until_ended(handle)
        handle.release()
    for executor in made.executors:
        executor.close()
    made.installation.close()


def test_there_is_capacity_for_launches(place: Place) -> None:
    assert launch_capacity() > 0
    assert place.executor.ready_seconds > 0


def test_a_flow_starts_only_after_go(place: Place) -> None:
    handle = place.launch()
    assert phase_of(handle) is Phase.STARTING
    wait_until_ready(handle)
    assert handle.read_status() == Alive(started=False)
    assert place.starts == 0
    send_go(handle)
    assert phase_of(handle) is Phase.AWAITING_END
    place.open_gate()
    assert outcome_of(handle).state is RunState.SUCCEEDED
    assert place.starts == 1


def test_the_outcome_has_the_exit_code_of_the_flow(place: Place) -> None:
    handle = place.start()
    place.open_gate(exit_code=3)
    found = outcome_of(handle)
    assert (found.state, found.exit_code, found.reason) == (RunState.FAILED, 3, "exit code 3")


def test_the_output_of_a_flow_is_in_the_directory_of_its_attempt(place: Place) -> None:
    handle = place.start()
    place.open_gate(exit_code=3)
    outcome_of(handle)
    assert {"started", "exit"} <= {path.name for path in handle.directory.iterdir()}
    assert (handle.directory / "log").read_text(encoding="utf-8") == "began\n"


@pytest.mark.parametrize("is_ready", [False, True])
def test_an_abandoned_attempt_never_starts_its_flow(place: Place, is_ready: bool) -> None:
    handle = place.launch()
    if is_ready:
        wait_until_ready(handle)
    handle.abandon()
    assert phase_of(handle) is Phase.AWAITING_END
    assert wait_until_ended(handle) == NotStarted()
    assert handle.why_uncertain() is None
    assert place.starts == 0


def test_without_go_no_flow_starts_after_the_controller_ends(place: Place) -> None:
    handle = place.launch()
    wait_until_ready(handle)
    place.restart()
    adopted = place.adopt(handle)
    if phase_of(adopted) is Phase.STARTING:  # it may still become ready
        adopted.abandon()
    assert wait_until_ended(adopted) == NotStarted()
    assert place.starts == 0


@remote_only
def test_a_runner_that_is_lost_while_it_waits_for_go_has_not_started_its_flow(place: Place) -> None:
    handle = place.launch()
    wait_until_ready(handle)
    place.restart()
    place.installation.lose(handle)
    adopted = place.adopt(handle)
    wait_until(lambda: not adopted.receive())
    adopted.abandon()
    assert wait_until_ended(adopted) == NotStarted()
    assert place.starts == 0


@remote_only
def test_a_job_that_waits_for_go_gets_it_from_the_next_controller(place: Place) -> None:
    handle = place.launch()
    wait_until_ready(handle)
    place.restart()
    assert place.starts == 0
    adopted = place.adopt(handle)
    wait_until_ready(adopted)
    send_go(adopted)
    place.open_gate()
    assert outcome_of(adopted).state is RunState.SUCCEEDED
    assert place.starts == 1


def test_after_go_a_flow_outlives_its_controller_and_is_adopted(place: Place) -> None:
    handle = place.start()
    place.restart()
    adopted = place.adopt(handle)
    assert adopted.phase is Phase.AWAITING_END
    assert isinstance(adopted.read_status(), Alive)
    assert not is_gone(place.flow_pid)
    place.open_gate()
    assert outcome_of(adopted).state is RunState.SUCCEEDED
    assert place.starts == 1


@local_only
def test_an_attempt_that_has_started_is_recognized_although_its_record_says_launching(place: Place) -> None:
    handle = place.start()
    handle.run = replace(handle.run, state=RunState.LAUNCHING, started_at=None)
    place.restart()
    assert place.adopt(handle).read_status() == Alive(started=True)


def test_the_outcome_of_a_flow_that_ended_without_a_controller_is_found(place: Place) -> None:
    handle = place.start()
    pid = place.flow_pid
    place.restart()
    place.open_gate(exit_code=4)
    wait_until(lambda: is_gone(pid))
    assert outcome_of(place.adopt(handle)).exit_code == 4


@pytest.mark.parametrize("is_adopted", [False, True])
def test_stop_requests_cancel_the_flow_and_can_be_repeated(place: Place, is_adopted: bool) -> None:
    handle = place.start()
    if is_adopted:
        place.restart()
        handle = place.adopt(handle)
        assert isinstance(handle.read_status(), Alive)
    for _ in range(3):
        handle.request_stop()
    assert outcome_of(handle).state is RunState.CANCELLED
    handle.request_stop()
    assert outcome_of(handle).state is RunState.CANCELLED


@pytest.mark.parametrize("is_adopted", [False, True])
def test_a_lost_attempt_has_crashed_and_nothing_of_it_is_left(place: Place, is_adopted: bool) -> None:
    handle = place.start()
    if is_adopted:
        place.restart()
        handle = place.adopt(handle)
        assert isinstance(handle.read_status(), Alive)
    place.installation.lose(handle)
    found = outcome_of(handle)
    assert found.state is RunState.CRASHED
    assert found.reason is not None
    assert found.reason.startswith("outcome unknown: ")
    handle.clean_up(found)
    wait_until(lambda: is_gone(place.flow_pid))


@local_only
def test_an_attempt_lost_before_go_has_not_started_and_counts_as_a_failed_launch(place: Place) -> None:
    handle = place.launch()
    wait_until_ready(handle)
    place.installation.lose(handle)
    wait_until(lambda: not handle.receive())
    assert handle.lacking is None
    handle.abandon()
    found = wait_until_ended(handle)
    assert found == NotStarted()
    handle.clean_up(NotStarted())
    assert place.starts == 0


@local_only
def test_an_attempt_that_ends_between_ready_and_go_ended_on_its_own(place: Place) -> None:
    handle = place.launch()
    wait_until_ready(handle)
    place.installation.lose(handle)
    send_go(handle)
    assert wait_until_ended(handle) == NotStarted()
    assert handle.ended_on_its_own
    assert place.starts == 0


@local_only
def test_it_is_uncertain_whether_an_attempt_without_any_trace_has_run(place: Place) -> None:
    handle = place.launch()
    handle.abandon()
    unknown = place.adopt(replace_nonce(handle))
    assert wait_until_ended(unknown) == NotStarted()
    assert unknown.why_uncertain() is not None


@local_only
def test_attempts_of_an_earlier_boot_cannot_be_proven_not_to_have_run(place: Place) -> None:
    handle = place.launch()
    handle.abandon()
    handle.attempt = replace(handle.attempt, boot_id="earlier")
    found = place.adopt(handle)
    assert wait_until_ended(found) == NotStarted()
    assert found.why_uncertain() == "the machine was restarted while the run was being launched"


@local_only
def test_an_attempt_in_another_place_is_adopted_only_if_it_cannot_be_running(place: Place) -> None:
    handle = place.launch()
    handle.abandon()
    elsewhere = replace(handle.attempt, place="elsewhere:/runs")
    assert place.executor.adopt(replace(handle.run, state=RunState.RUNNING, started_at=NOW), elsewhere) is None
    adopted = place.executor.adopt(handle.run, elsewhere)
    assert adopted is not None
    assert wait_until_ended(adopted) == NotStarted()


def test_closing_the_executor_ends_no_flow_and_launches_open_it_again(place: Place) -> None:
    first = place.start()
    place.executor.close()
    assert not is_gone(place.flow_pid)
    second = place.launch()
    wait_until_ready(second)
    send_go(second)
    place.open_gate()
    assert {outcome_of(handle).state for handle in (first, second)} == {RunState.SUCCEEDED}
    assert place.starts == 2


def test_maintenance_does_not_disturb_attempts(place: Place) -> None:
    handle = place.start()
    place.executor.maintain()
    place.open_gate()
    assert outcome_of(handle).state is RunState.SUCCEEDED


def test_the_descriptor_becomes_readable_when_an_attempt_is_ready_and_when_it_ends(place: Place) -> None:
    handle = place.launch()
    wait_readable(handle, lambda: handle.receive() and handle.phase is Phase.READY)
    send_go(handle)
    place.open_gate()
    wait_readable(handle, lambda: not isinstance(handle.read_status(), Alive))
    assert outcome_of(handle).state is RunState.SUCCEEDED


@local_only
def test_an_adopted_attempt_has_a_descriptor_once_its_status_was_read(place: Place) -> None:
    handle = place.start()
    place.restart()
    adopted = place.adopt(handle)
    assert adopted.fileno() is None
    assert isinstance(adopted.read_status(), Alive)
    place.open_gate()
    wait_readable(adopted, lambda: not isinstance(adopted.read_status(), Alive))
