"""The runner of an attempt on a node, as a job starts it, against a peer that answers as each test prescribes."""

import hashlib
import hmac
import os
import signal
from pathlib import Path

import pytest

from controller.runs.executors.attempt_files import exit_outcome
from controller.runs.executors.node.package import runner_files
from tests.conftest import wait_until
from tests.node_peer import CUT, NONCE, TICKET, order_of
from tests.unit.runs.nodes import FLOW, Node, new_node, wait_for_end
from tests.unit.runs.test_supervisor import is_gone

pytestmark = pytest.mark.integration
node = new_node

CERTIFICATE = Path(__file__).parents[2] / "localhost.pem"


def test_a_flow_runs_with_the_code_of_its_commit_and_reports_its_result_log_and_tasks(node: Node) -> None:
    peer = node.serve_code({"flows/a.py": FLOW}, "flows/a.py:count", parameters={"x": 21})
    ending = node.run()
    assert (ending["nonce"], ending["outcome"], ending["result"][0]) == (NONCE, "succeeded", 42)
    assert b"counting" in peer.files["log"]
    assert b'"name": "double"' in peer.files["events"]
    assert node.attempts == []
    assert peer.introduction.keys() == {"node", "pid"}


def test_the_variables_of_the_engine_and_the_ticket_do_not_reach_the_flow(node: Node) -> None:
    node.serve_code({"a.py": FLOW}, "a.py:count", parameters={"x": 1}, spec={"env": {"OWN": "1"}})
    names = set(node.run(RAY_ADDRESS="x", PYTHONPATH="/x", LD_PRELOAD="", HOME="/home/of/node")["result"][1])
    assert {"OWN", "HOME", "LANG", "PATH", "TMPDIR", "CONTROLLER_ATTEMPT_ID"} <= names
    assert not {name for name in names if name.startswith(("RAY_", "LD_"))}
    assert {name for name in names if name.startswith("CONTROLLER_")} == {"CONTROLLER_ATTEMPT_ID"}


def test_a_command_gets_its_parameters_secrets_and_upstream_runs(node: Node) -> None:
    script = 'cat "$CONTROLLER_PARAMETERS_FILE" - <&5; cat "$CONTROLLER_UPSTREAM"; echo " $TOKEN"; exit 3'
    spec = {"secrets": {"TOKEN": {"env": "T"}}, "skip_exit_code": 3}
    peer = node.serve(
        order_of(node.work, argv=["sh", "-c", script], spec=spec),
        parameters={"a": 1},
        secrets={"TOKEN": "hush"},
        upstream={"first": {"result": 2}},
    )
    assert node.run()["outcome"] == "skipped"
    assert peer.files["log"] == b'{"a": 1}{"a": 1}{"first": {"result": 2}} hush\n'
    assert not [path for path in node.cache.rglob("*") if path.is_file() and b"hush" in path.read_bytes()]


def test_a_warm_node_needs_one_request_per_step(node: Node) -> None:
    node.serve_code({"a.py": FLOW}, "a.py:count", parameters={"x": 1})
    node.run()
    assert node.peer.requests == {"packages": 2, "fetch": 1, "start": 1, "log": 1, "events": 1, "end": 1}
    peer = node.serve_code({"a.py": FLOW}, "a.py:count", parameters={"x": 1})
    node.run()
    assert peer.requests == {"fetch": 1, "start": 1, "log": 1, "events": 1, "end": 1}


def test_requests_are_repeated_until_they_are_answered(node: Node) -> None:
    peer = node.serve_code({"a.py": FLOW}, "a.py:count", parameters={"x": 21})
    names = ("packages", "fetch", "start", "log", "events", "end")
    peer.failures = {name: [(503, "0")] for name in names} | {"start": [(502, ""), (429, "1")]}
    assert node.run()["result"][0] == 42
    assert b"counting" in peer.files["log"]
    assert all(peer.requests[name] >= 2 for name in names)


def test_requests_whose_answers_are_lost_are_repeated_and_the_flow_starts_once(node: Node) -> None:
    script = "echo begin >> starts; cat starts"
    peer = node.serve(order_of(node.work, argv=["sh", "-c", script]))
    peer.failures = {name: [(CUT, "")] for name in ("packages", "fetch", "start", "log")}
    assert node.run()["outcome"] == "succeeded"
    assert peer.files["log"] == b"begin\n"
    assert all(peer.requests[name] == 2 for name in ("packages", "fetch", "start"))


def test_the_attempt_is_over_if_the_answer_to_the_report_of_its_end_is_lost(node: Node) -> None:
    peer = node.serve(order_of(node.work, argv=["true"]))
    peer.failures = {"end": [(CUT, "")]}
    assert wait_for_end(node.start()) == 0
    assert peer.ending is not None
    assert (peer.ending["outcome"], peer.requests["end"]) == ("succeeded", 2)


def test_a_package_that_arrives_damaged_is_fetched_again(node: Node) -> None:
    peer = node.serve_code({"a.py": FLOW}, "a.py:count", parameters={"x": 21})
    package = peer.order["code"]["digest"]
    whole, peer.packages[package] = peer.packages[package], b"damaged"
    job = node.start()
    wait_until(lambda: peer.requests["packages"] == 3)
    peer.packages[package] = whole
    assert wait_for_end(job) == 0
    assert peer.ending is not None
    assert peer.ending["outcome"] == "succeeded"


def test_a_flow_goes_on_while_no_controller_answers_and_its_output_arrives_later(node: Node) -> None:
    job = node.start_waiting()
    node.peer.is_cut_off = True
    node.open_gate(code=4)
    wait_until(lambda: is_gone(node.flow_pid))
    assert job.poll() is None
    node.peer.is_cut_off = False
    assert wait_for_end(job) == 0
    assert node.peer.ending is not None
    assert (node.peer.ending["outcome"], node.peer.ending["exit_code"]) == ("failed", 4)
    assert node.peer.files["log"] == b"begin\nend\n"


def test_a_controller_that_has_lost_the_output_gets_all_of_it_again(node: Node) -> None:
    job = node.start_waiting()
    wait_until(lambda: node.peer.files["log"])
    node.peer.files["log"] = b""
    node.open_gate()
    assert wait_for_end(job) == 0
    assert node.peer.files["log"] == b"begin\nend\n"


def test_large_output_arrives_in_pieces(node: Node) -> None:
    peer = node.serve(order_of(node.work, argv=["sh", "-c", "head -c 3000000 /dev/zero"]))
    node.run()
    assert peer.files["log"] == bytes(3000000)
    assert peer.requests["log"] >= 3


def test_a_cancelled_run_is_stopped_at_the_next_beat(node: Node) -> None:
    job = node.start_waiting()
    node.peer.is_cancelled = True
    assert wait_for_end(job) == 0
    assert node.peer.ending is not None
    assert node.peer.ending["outcome"] == "cancelled"


def test_sigterm_stops_the_flow_as_cancelled(node: Node) -> None:
    job = node.start_waiting()
    job.terminate()
    assert wait_for_end(job) == 0
    assert node.peer.ending is not None
    assert node.peer.ending["outcome"] == "cancelled"


def test_sigterm_before_the_start_is_reported_as_a_failed_launch(node: Node) -> None:
    peer = node.serve_code({"a.py": FLOW}, "a.py:count")
    peer.failures = {"start": [(503, "30")] * 9}
    job = node.start()
    wait_until(lambda: peer.requests["start"])
    job.terminate()
    assert wait_for_end(job) == 0
    assert peer.failed == "the job was stopped before its flow was started"
    assert peer.instance is None
    assert node.attempts == []


def test_sigterm_while_the_answer_to_start_is_lost_ends_the_attempt_as_cancelled(node: Node) -> None:
    peer = node.serve_code({"a.py": FLOW}, "a.py:count")
    peer.failures = {"start": [(503, "30")] * 9}
    job = node.start()
    wait_until(lambda: peer.requests["start"])
    peer.instance = "committed"
    job.terminate()
    assert wait_for_end(job) == 0
    assert peer.failed is None
    assert peer.requests["end"] == 1


def test_a_second_runner_of_the_same_job_starts_nothing(node: Node) -> None:
    job = node.start_waiting()
    pid = node.flow_pid
    assert wait_for_end(node.start()) == 1
    assert (node.flow_pid, is_gone(pid)) == (pid, False)
    node.open_gate()
    assert wait_for_end(job) == 0


@pytest.mark.parametrize("status", [401, 404, 409])
def test_an_attempt_that_is_over_before_its_start_ends_the_runner(node: Node, status: int) -> None:
    peer = node.serve_code({"a.py": FLOW}, "a.py:count")
    peer.failures = {"start": [(status, "")]}
    assert wait_for_end(node.start()) == 1
    assert peer.instance is None
    assert node.attempts == []


def test_an_attempt_that_is_over_while_its_flow_runs_stops_the_flow(node: Node) -> None:
    job = node.start_waiting()
    node.peer.instance = "another"
    assert wait_for_end(job) == 0
    assert is_gone(node.flow_pid)
    assert node.attempts == []


def test_a_flow_that_must_not_run_in_silence_is_stopped(node: Node) -> None:
    job = node.start_waiting(on_silence=0.5)
    node.peer.is_cut_off = True
    wait_until(lambda: is_gone(node.flow_pid))
    node.peer.is_cut_off = False
    assert wait_for_end(job) == 0
    assert node.peer.ending is not None
    assert node.peer.ending["outcome"] == "cancelled"
    assert node.peer.ending["reason"] == "no controller had answered for 0.5 seconds (see on_silence)"
    outcome = exit_outcome(node.peer.ending)
    assert outcome.reason == node.peer.ending["reason"]


def test_a_quiet_flow_that_must_not_run_in_silence_goes_on_while_a_controller_answers(node: Node) -> None:
    job = node.start_waiting(on_silence=1.0)
    wait_until(lambda: node.peer.requests["beat"] >= 8)
    node.open_gate()
    assert wait_for_end(job) == 0
    assert node.peer.ending is not None
    assert node.peer.ending["outcome"] == "succeeded"


def test_a_flow_dies_with_its_runner(node: Node) -> None:
    job = node.start_waiting()
    job.kill()
    wait_until(lambda: is_gone(node.flow_pid))


LEAVES = "setsid sh -c 'echo $$ > left; exec sleep 100' & while [ ! -e left ]; do sleep 0.02; done; echo $$ > pid; wait"


def left_pid(node: Node) -> int:
    return int((node.work / "left").read_text(encoding="utf-8"))


def test_a_flow_whose_supervisor_is_killed_has_crashed_and_nothing_of_it_is_left(node: Node) -> None:
    node.serve(order_of(node.work, argv=["sh", "-c", LEAVES]))
    job = node.start()
    wait_until(lambda: node.has_begun)
    [attempt] = node.attempts
    os.kill(int((attempt / "lock").read_bytes().split()[0]), signal.SIGKILL)
    assert wait_for_end(job) == 0
    assert node.peer.ending is not None
    assert node.peer.ending["outcome"] == "crashed"
    assert node.peer.ending["reason"] == "outcome unknown: the supervisor was killed while the flow was running"
    assert is_gone(node.flow_pid)
    assert is_gone(left_pid(node))


def test_the_next_runner_removes_what_a_killed_one_has_left_behind(node: Node) -> None:
    node.serve(order_of(node.work, argv=["sh", "-c", LEAVES]))
    job = node.start()
    wait_until(lambda: node.has_begun)
    job.kill()
    wait_until(lambda: is_gone(node.flow_pid))
    assert len(node.attempts) == 1
    assert not is_gone(left_pid(node))
    node.serve_code({"a.py": FLOW}, "a.py:count", parameters={"x": 1})
    node.run()
    assert node.attempts == []
    wait_until(lambda: is_gone(left_pid(node)))


def test_the_start_proves_that_the_node_has_the_secret_of_the_nodes(node: Node) -> None:
    secret = node.directory / "secret"
    secret.write_text("shared\n", encoding="utf-8")
    peer = node.serve_code({"a.py": FLOW}, "a.py:count", parameters={"x": 1})
    node.run(CONTROLLER_NODE_SECRET_FILE=str(secret))
    expected = hmac.new(b"shared", f"{TICKET}{peer.instance}".encode(), hashlib.sha256).hexdigest()
    assert peer.introduction["proof"] == expected


def test_runners_check_the_certificate_of_the_controller(node: Node) -> None:
    node.serve(order_of(node.work, argv=["true"]), certificate=CERTIFICATE)
    job = node.start()
    assert wait_for_end(job) == 1
    assert job.stderr is not None
    assert b"CERTIFICATE_VERIFY_FAILED" in job.stderr.read()
    assert node.run(SSL_CERT_FILE=str(CERTIFICATE))["outcome"] == "succeeded"


def test_the_package_has_all_that_the_runner_imports_and_nothing_of_the_controller_itself() -> None:
    names = set(runner_files())
    assert {"controller/__init__.py", "sdk/controller/__init__.py", "sdk/controller/sdk/flow.py"} <= names
    own = ("controller/sdk/", "controller/runs/executors/local/supervisor/", "controller/runs/executors/node/")
    others = {name for name in names if not name.startswith((*own, "sdk/")) and not name.endswith("/__init__.py")}
    assert others == set()


def test_output_that_the_controller_does_not_take_does_not_keep_the_runner_from_reporting(node: Node) -> None:
    job = node.start_waiting()
    node.peer.failures = {"log": [(422, "")]}
    wait_until(lambda: not node.peer.failures["log"])
    node.open_gate()
    assert wait_for_end(job) == 0
    assert node.peer.ending is not None
    assert (node.peer.ending["outcome"], node.peer.requests["log"]) == ("succeeded", 1)
