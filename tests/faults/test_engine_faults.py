"""A real controller with a slow or full file system or without file descriptors: no run fails, and all is reported."""

import errno
import http.client
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import folder, machine, running
from tests.acceptance.harness import CONTROLLER, Folder, Running, until
from tests.faults.shim import Fault, build, environment

__all__ = ["folder", "machine", "running"]
pytestmark = pytest.mark.faults

Start = Callable[..., Running]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled shim."""
    return build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file that enables the faults while it exists."""
    yield tmp_path / "gate"
    with suppress(FileNotFoundError):
        (tmp_path / "gate").unlink()


def trigger(folder: Folder, name: str) -> str:
    answer = folder.ask("trigger", name, "-o", "json")
    assert answer.code == 0, answer
    return str(answer.json()["run_id"])


def shown(folder: Folder, run_id: str) -> Any:
    return folder.tell("runs", "show", run_id)


def declare(folder: Folder, *names: str, extra: str = "") -> None:
    for name in names:
        folder.write(f"deployments/{name}.yaml", f"name: {name}\ncommand: ['true']\n{extra}")


def test_a_very_slow_disk_fails_no_run(folder: Folder, running: Start, library: Path, gate: Path) -> None:
    declare(folder, "a")
    slow = Fault(call="fsync", path="state.db", sleep_ms=11_000, count=3)
    controller = running(folder, **environment(library, [slow], gate))
    folder.wait_for_revision(None)
    gate.touch()
    run_id = trigger(folder, "a")
    until(lambda: folder.select("SELECT 1 FROM runs WHERE id = ? AND state = 'succeeded'", run_id), "the run", 120)
    assert "its supervisor ended" not in controller.output


SHORTAGES = {
    "no file descriptors": Fault(call="open", path="run.json", error=errno.EMFILE),
    "no space left on the disk": Fault(call="open", path="run.json", error=errno.ENOSPC),
    "the disk is read-only": Fault(call="mkdir", path="/runs/", error=errno.EROFS),
    "the disk quota is used up": Fault(call="mkdir", path="/runs/", error=errno.EDQUOT),
    "the disk reports I/O errors": Fault(call="write", path="run.json", error=errno.EIO),
}


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_runs_wait_during_a_shortage_and_show_its_reason(
    folder: Folder, running: Start, library: Path, gate: Path, shortage: str
) -> None:
    declare(folder, "a")
    controller = running(folder, **environment(library, [SHORTAGES[shortage]], gate))
    folder.wait_for_revision(None)
    gate.touch()
    run_id = trigger(folder, "a")
    until(lambda: shown(folder, run_id)["waiting"] == shortage, f"the run to wait: {shortage}")
    assert (shown(folder, run_id)["state"], shown(folder, run_id)["reason"]) == ("pending", f"waiting: {shortage}")
    gate.unlink()
    run = folder.wait_for_end(run_id)
    assert (run["state"], run["reason"]) == ("succeeded", None)
    assert controller.output.count("Launches resumed") == 1


def test_an_unreadable_lock_crashes_only_its_run(folder: Folder, running: Start, library: Path, gate: Path) -> None:
    declare(folder, "a")
    running(folder, **environment(library, [Fault(call="open", path="/lock", error=errno.EIO)], gate))
    folder.wait_for_revision(None)
    gate.touch()
    run = folder.wait_for_end(trigger(folder, "a"))
    assert (run["state"], run["reason"]) == (
        "crashed",
        "outcome unknown: lock in the run directory can't be read: Input/output error",
    )
    gate.unlink()
    assert folder.trigger("a")["state"] == "succeeded"


def test_an_outcome_is_read_later_if_descriptors_run_out(folder: Folder, running: Start, library: Path) -> None:
    declare(folder, "a")
    running(folder, **environment(library, [Fault(call="open", path="/exit", error=errno.EMFILE, count=3)]))
    folder.wait_for_revision(None)
    assert folder.wait_for_end(trigger(folder, "a"))["state"] == "succeeded"


def test_a_full_disk_sets_a_condition_until_space_is_freed(
    folder: Folder, running: Start, library: Path, gate: Path
) -> None:
    declare(folder, "a", extra="schedules: [{interval: 1s}]\noverlap: queue\n")
    full = Fault(call="write", path="state.db", error=errno.ENOSPC)
    controller = running(folder, **environment(library, [full], gate))
    folder.wait_for_run("a")
    gate.touch()
    until(lambda: "StorageFull" in conditions(folder.status()), "a condition")
    status = folder.status()
    by_type = conditions(status)
    assert by_type["Ready"] == ("False", "StorageFull")
    assert by_type["StorageFull"] == ("True", "StorageFull")
    assert status["deployments"][0]["health"] != "Healthy"
    until(lambda: controller.output.count("Run engine paused by an error; retrying") >= 2, "a second try")
    gate.unlink()
    folder.wait_for_run("a", more=1)
    until(lambda: "StorageFull" not in conditions(folder.status()), "the condition to go")
    assert conditions(folder.status())["Ready"] == ("True", "Applied")
    assert controller.output.count("There is space on the disk of the state again") == 1
    reasons = [event["reason"] for event in folder.tell("events")]
    assert [reason for reason in reasons if reason.startswith("Storage")] == ["StorageRecovered"]
    assert_no_due_time_is_lost(folder, "a")


def conditions(status: Any) -> dict[str, tuple[str, str]]:
    by_type = {condition["type"]: condition for condition in status["source"]["conditions"]}
    return {name: (condition["status"], condition["reason"]) for name, condition in by_type.items()}


def assert_no_due_time_is_lost(folder: Folder, name: str) -> None:
    """Check that the ledger has each second exactly once."""
    seconds = [row[0][:19] for row in folder.ledger(name)]
    first, last = seconds[0], seconds[-1]
    [[count]] = folder.select("SELECT strftime('%s', ?) - strftime('%s', ?) + 1", last, first)
    assert len(set(seconds)) == len(seconds) == count


@pytest.mark.parametrize("limit", [60, 96])
def test_all_runs_succeed_with_few_file_descriptors(folder: Folder, tmp_path: Path, limit: int) -> None:
    folder.write("deployments/a.yaml", "name: a\ncommand: [sleep, '2']\noverlap: allow\n")
    log = tmp_path / "few.log"
    command = f"ulimit -n {limit}; exec {CONTROLLER} run --repo {folder.address} --max-running 40"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=folder.machine.home,
            env=folder.machine.environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: folder.state.joinpath("state.db").exists() and "Controller started" in log.read_text(), "a start")
        folder.wait_for_revision(None)
        run_ids = [trigger(folder, "a") for _ in range(40)]
        until(lambda: folder.count_runs("a", "succeeded") == len(run_ids), "all runs", 180)
    finally:
        process.terminate()
        process.wait(60)
    assert process.returncode == 0
    assert "Traceback" not in log.read_text()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_no_due_time_is_lost_under_many_metrics_requests(folder: Folder, running: Start) -> None:
    extra = "overlap: allow\ncatchup: {policy: none}\nschedules: [{interval: 1s}]\n"
    declare(folder, "a", "b", extra=extra)
    port = free_port()
    running(folder, "--listen", f"127.0.0.1:{port}", "--max-running", "8")
    folder.wait_for_run("a")
    token = (folder.state / "token").read_text(encoding="utf-8").strip()
    ending = threading.Event()
    statuses: list[int] = []

    def send_requests() -> None:
        while not ending.is_set():
            with suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {token}"})
                statuses.append(connection.getresponse().status)
                connection.close()

    clients = [threading.Thread(target=send_requests) for _ in range(60)]
    for client in clients:
        client.start()
    try:
        for name in ("a", "b"):
            folder.wait_for_run(name, more=8)
    finally:
        ending.set()
        for client in clients:
            client.join()
    assert 200 in statuses
    for name in ("a", "b"):
        assert_no_due_time_is_lost(folder, name)
        assert [(outcome, reason) for _, outcome, _, reason in folder.ledger(name) if outcome != "run"] == []
