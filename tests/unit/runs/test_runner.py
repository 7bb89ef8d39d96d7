"""The runner of an attempt on a node, as a job starts it, against a peer that answers as each test prescribes."""

import hashlib
import hmac
import io
import os
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from controller.runs.executors.attempt_files import exit_outcome
from controller.runs.executors.node.bootstrap import job_argv
from controller.runs.executors.node.cache import delete
from controller.runs.executors.node.package import runner_files
from tests.conftest import PATIENCE_SECONDS, wait_until
from tests.node_peer import CUT, JOB, NONCE, ROOT, TICKET, NodePeer, digest_of, order_of, runner_zip, zip_of
from tests.package_index import PackageIndex, served_index
from tests.unit.runs.test_supervisor import is_gone

pytestmark = pytest.mark.integration

WAITS = "echo $$ > pid; echo begin; while [ ! -e gate ]; do sleep 0.02; done; echo end; exit $(cat gate)"
RUNNER = runner_zip()
CERTIFICATE = Path(__file__).parents[2] / "localhost.pem"
BUILD_SECONDS = 3 * PATIENCE_SECONDS


class Node:
    """A node with its cache. `launch` starts a job for an order, `peer` answers it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.work = directory / "work"
        self.cache = directory / "cache"
        self.work.mkdir(parents=True)
        self.peer: NodePeer
        self._peers: list[NodePeer] = []
        self._jobs: list[subprocess.Popen[bytes]] = []

    def serve(
        self,
        order: dict[str, Any],
        packages: Mapping[str, bytes] | None = None,
        certificate: Path | None = None,
        **start: Any,
    ) -> NodePeer:
        """Answer with this order, over https with a certificate."""
        answer = {"parameters": {}, "secrets": {}, "upstream": None, **start}
        self.peer = NodePeer(order, {digest_of(RUNNER): RUNNER, **(packages or {})}, answer, certificate)
        self._peers.append(self.peer)
        return self.peer

    def serve_code(self, files: Mapping[str, str], flow: str, **more: Any) -> NodePeer:
        """Answer with an order for a flow in this code."""
        path, _, name = flow.partition(":")
        package = zip_of(files)
        call: dict[str, Any] = {"root": ROOT, "path": path, "module": None, "name": name, "import_paths": []}
        code = {"digest": digest_of(package), "root": ROOT}
        start = {key: more.pop(key) for key in ("parameters", "secrets", "upstream") if key in more}
        return self.serve(order_of(code=code, call=call, **more), {code["digest"]: package}, **start)

    def start(self, **variables: str) -> "subprocess.Popen[bytes]":
        """Start the job."""
        env = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "CONTROLLER_NODE_URL": self.peer.url,
            "CONTROLLER_JOB": JOB,
            "CONTROLLER_TICKET": TICKET,
            "CONTROLLER_RUNNER": digest_of(RUNNER),
            "CONTROLLER_NODE_CACHE": str(self.cache),
            **variables,
        }
        job = subprocess.Popen(job_argv(), env=env, cwd="/", stderr=subprocess.PIPE)
        self._jobs.append(job)
        return job

    def run(self, within: float = PATIENCE_SECONDS, **variables: str) -> dict[str, Any]:
        """Run the job to its end; return how the flow ended."""
        job = self.start(**variables)
        wait_until(lambda: job.poll() is not None, within=within)
        assert job.stderr is not None
        assert (job.returncode, job.stderr.read()) == (0, b"")
        assert self.peer.ending is not None
        return self.peer.ending

    def start_waiting(self, **more: Any) -> "subprocess.Popen[bytes]":
        """Start a job whose flow waits for the gate, and wait until the flow runs."""
        self.serve(order_of(self.work, argv=["sh", "-c", WAITS], **more))
        job = self.start()
        wait_until(lambda: self.has_begun)
        return job

    @property
    def has_begun(self) -> bool:
        pid = self.work / "pid"
        return pid.exists() and pid.read_text(encoding="utf-8").endswith("\n")

    @property
    def flow_pid(self) -> int:
        return int((self.work / "pid").read_text(encoding="utf-8"))

    def open_gate(self, code: int = 0) -> None:
        (self.work / "part").write_text(str(code), encoding="utf-8")
        (self.work / "part").rename(self.work / "gate")

    @property
    def attempts(self) -> list[Path]:
        """The directories of attempts."""
        return [path for path in self.cache.glob("attempts/*") if path.is_dir()]

    def entries(self, kind: str) -> list[str]:
        """The names of what the cache has."""
        return sorted(path.name for path in self.cache.glob(f"{kind}/*") if path.is_dir())

    def close(self) -> None:
        for job in self._jobs:
            job.kill()
            job.wait()
            assert job.stderr is not None
            job.stderr.close()
        for peer in self._peers:
            peer.close()
        if not self.cache.is_symlink():
            delete(str(self.cache))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "node")
    yield made
    made.close()


@pytest.fixture
def package_index() -> Iterator[PackageIndex]:
    with served_index() as made:
        yield made


def wait_for_end(job: "subprocess.Popen[bytes]") -> int:
    wait_until(lambda: job.poll() is not None)
    return job.returncode


FLOW = """
import os
from controller import flow, get_run_logger, task

@task
def double(x):
    return 2 * x

@flow
def count(x: int):
    get_run_logger().info("counting")
    return [double(x), sorted(os.environ)]
"""


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


def test_runners_that_start_together_on_an_empty_node_fetch_the_code_once(node: Node) -> None:
    peers = [node.serve_code({"a.py": FLOW}, "a.py:count", parameters={"x": 1}) for _ in range(3)]
    jobs = []
    for peer in peers:
        node.peer = peer
        jobs.append(node.start())
    assert [wait_for_end(job) for job in jobs] == [0, 0, 0]
    assert [peer.ending and peer.ending["outcome"] for peer in peers] == ["succeeded"] * 3
    assert len(node.entries("code")) == 1
    runners = 3  # each may fetch the runner's package before another has unpacked it
    assert sum(peer.requests["packages"] for peer in peers) <= runners + 1


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


CHANGES = """
from pathlib import Path

def change():
    file = Path(__file__)
    file.chmod(0o644)
    file.write_text("changed")
    return file.read_text()
"""


def test_code_that_a_flow_has_changed_is_not_used_again(node: Node) -> None:
    for _ in range(2):
        peer = node.serve_code({"a.py": CHANGES}, "a.py:change")
        # Where the kernel allows it, the flow can't change its code.
        assert node.run()["outcome"] in ("succeeded", "failed")
    assert peer.ending is not None
    assert "changed" not in str(peer.ending.get("error"))


def test_a_changed_file_in_the_cache_is_found_after_a_run_that_may_have_changed_it(node: Node) -> None:
    node.serve_code({"a.py": FLOW, "b/c": ""}, "a.py:count", parameters={"x": 1})
    node.run()
    [name] = node.entries("code")
    folder = node.cache / "code" / name
    for changed in ("tree/a.py", "tree/b/d"):
        (folder / "tree/a.py").chmod(0o600)
        (folder / "tree/b").chmod(0o700)
        (folder / changed).write_text("x", encoding="utf-8")
        (folder / "doubt").touch()
        peer = node.serve_code({"a.py": FLOW, "b/c": ""}, "a.py:count", parameters={"x": 2})
        assert node.run()["result"][0] == 4
        assert peer.requests["packages"] == 1
    assert node.entries("code") == [name]


def test_code_keeps_its_permissions_and_symbolic_links(node: Node) -> None:
    package = zip_of({"run.sh": "#!/bin/sh\nls -l data | cut -c1-10; cat link\n", "data": "x"}, executable=("run.sh",))
    linked = add_link(package, "link", "data")
    code = {"digest": digest_of(linked), "root": ROOT}
    peer = node.serve(order_of(code=code, argv=["./run.sh"]), {code["digest"]: linked})
    assert node.run()["outcome"] == "succeeded"
    assert peer.files["log"] == b"-r--r--r--\nx"


def add_link(package: bytes, name: str, target: str) -> bytes:
    data = io.BytesIO(package)
    with zipfile.ZipFile(data, "a") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, target)
    return data.getvalue()


def test_entries_of_the_cache_that_nobody_has_used_for_long_are_removed(node: Node) -> None:
    node.serve_code({"a.py": FLOW}, "a.py:count", parameters={"x": 1})
    node.run()
    [old] = node.entries("code")
    os.utime(node.cache / "code" / f"{old}.lock", (0, 0))
    node.serve_code({"a.py": FLOW, "b.py": ""}, "a.py:count", parameters={"x": 1})
    node.run()
    [new] = node.entries("code")
    assert new != old
    assert not (node.cache / "code" / f"{old}.lock").exists()


USES = "import tiny, sys\n\ndef use():\n    return [tiny.__version__, sys.prefix]\n"


@pytest.mark.parametrize("has_uv", [True, False])
def test_a_flow_runs_in_the_python_environment_of_its_digest(
    node: Node, package_index: PackageIndex, has_uv: bool
) -> None:
    lock = package_index.add("tiny", "1.5")
    python = {"digest": "e" * 64, "requirements": "tiny", "lock": lock, "version": None}
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin" if has_uv else without_uv(node)
    variables = {"PATH": path, "UV_DEFAULT_INDEX": package_index.url, "PIP_INDEX_URL": package_index.url}
    requests = []
    for _ in range(2):
        node.serve_code({"a.py": USES}, "a.py:use", python=python)
        assert node.run(within=BUILD_SECONDS, **variables)["result"] == ["1.5", str(node.cache / "python" / ("e" * 64))]
        requests.append(len(package_index.requests))
    assert 0 < requests[0] == requests[1]
    [module] = node.cache.glob("python/*/lib/python*/site-packages/tiny/__init__.py")
    assert (module.stat().st_mode & 0o777, module.parent.stat().st_mode & 0o777) == (0o444, 0o555)
    assert list(module.parent.glob("__pycache__/__init__.*.pyc"))


def without_uv(node: Node) -> str:
    """Return a PATH with the interpreter, but without uv."""
    folder = node.directory / "bin"
    folder.mkdir(exist_ok=True)
    link = folder / "python3"
    if not link.exists():
        link.symlink_to(Path(sys.executable).resolve())
    return f"{folder}:/usr/bin:/bin"


def test_an_environment_that_cannot_be_built_is_a_failed_launch(node: Node, package_index: PackageIndex) -> None:
    python = {"digest": "e" * 64, "requirements": "missing==1", "lock": None, "version": None}
    peer = node.serve_code({"a.py": USES}, "a.py:use", python=python)
    assert wait_for_end(node.start(UV_DEFAULT_INDEX=package_index.url)) == 1
    assert peer.failed is not None
    assert "missing" in peer.failed
    assert peer.instance is None
    assert node.attempts == []


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


@pytest.mark.parametrize("prepare", [lambda path: path.mkdir(mode=0o755), lambda path: path.symlink_to(path.parent)])
def test_a_cache_that_others_can_write_to_is_not_used(node: Node, prepare: Callable[[Path], None]) -> None:
    prepare(node.cache)
    node.serve_code({"a.py": FLOW}, "a.py:count")
    job = node.start()
    assert wait_for_end(job) == 1
    assert job.stderr is not None
    assert b"must be a directory of this user with mode 0700" in job.stderr.read()
    assert node.peer.requests == {}


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
