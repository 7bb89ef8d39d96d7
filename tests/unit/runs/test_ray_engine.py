"""Answers that a real Ray cluster can't be made to give on demand: recorded ones, and none at all."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from controller.errors import ControllerError, UsageError
from controller.runs.executors.ray import client, engine
from controller.runs.executors.ray.client import DashboardClient
from controller.runs.executors.ray.engine import RayEngine
from controller.runs.executors.remote.job_engine import (
    EngineUnreachableError,
    Job,
    JobPhase,
    JobRefusedError,
    JobResources,
    JobStatus,
)
from tests.receivers import free_port, webhook_receiver

SESSION = "session_2026-11-30_13-13-46_274031_21442"
VERSION = {"version": "4", "ray_version": "2.60.0", "ray_commit": "b7f4259e", "session_name": SESSION}
JOB = Job(job_id="c-one-1-abc", argv=("python3", "-c", "print(1)"), variables={"A": "b"}, labels={"run": "one"})
DUPLICATE = """Traceback (most recent call last):
  File "/ray/dashboard/modules/job/job_head.py", line 419, in submit_job
    resp = await job_agent_client.submit_job_internal(submit_request)
RuntimeError: Request failed with status code 400: Traceback (most recent call last):
  File "/ray/dashboard/modules/job/job_manager.py", line 553, in submit_job
    raise ValueError(
ValueError: Job with submission_id c-one-1-abc already exists. Please use a different submission_id.
.
"""
NO_LOG_FILE = """Traceback (most recent call last):
  File "/ray/dashboard/modules/job/job_manager.py", line 98, in _get_job_driver_logger
    job_driver_handler = logging.FileHandler(job_driver_log_path)
OSError: [Errno 28] No space left on device: '/tmp/ray/session/logs/job-driver-c-one-1-abc.log'
.
"""
BAD_REQUEST = """Traceback (most recent call last):
  File "/ray/dashboard/modules/job/common.py", line 524, in __post_init__
    raise TypeError(
TypeError: entrypoint_num_cpus must be a number, got <class 'str'>
"""
NO_AGENT = "No available agent to submit job, please try again later."
UNKNOWN = "Job c-one-1-abc does not exist"
NOT_OVER = "RuntimeError: Attempted to delete job 'c-one-1-abc', but it is in a non-terminal state PENDING.\n.\n"


@dataclass(slots=True)
class Dashboard:
    """Answers each request with the status and text that are set for it. None: it closes the connection."""

    url: str
    answers: dict[str, tuple[int, str] | None]
    requests: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    gate: threading.Event | None = None

    def set(self, request: str, status: int, answer: Any) -> None:
        self.answers[request] = (status, answer if isinstance(answer, str) else json.dumps(answer))


class _Handler(BaseHTTPRequestHandler):
    dashboard: Dashboard

    def _respond(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.dashboard.requests.append(f"{self.command} {self.path}")
        self.dashboard.headers.append(dict(self.headers))
        if body:
            self.dashboard.bodies.append(json.loads(body))
        answer = self.dashboard.answers.get(f"{self.command} {self.path}", (404, "404: Not Found"))
        if answer is None:
            if self.dashboard.gate is not None:
                self.dashboard.gate.wait(60)
            return
        self.send_response(answer[0])
        if answer[0] == 302:
            self.send_header("Location", "http://127.0.0.1:9/")
        self.end_headers()
        self.wfile.write(answer[1].encode())

    do_GET = do_POST = do_DELETE = _respond

    def log_message(self, *_: Any) -> None:
        """Stay silent."""


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    state = Dashboard(url=f"http://127.0.0.1:{server.server_port}", answers={})
    state.set("GET /api/version", 200, VERSION)
    handler.dashboard = state  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield state
    if state.gate is not None:
        state.gate.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def ray(dashboard: Dashboard) -> RayEngine:
    return RayEngine(DashboardClient(dashboard.url))


def error_of(call: Callable[[], object]) -> ControllerError:
    with pytest.raises(EngineUnreachableError) as raised:
        call()
    return raised.value


def test_a_submission_is_one_request_with_all_reservations(dashboard: Dashboard, ray: RayEngine) -> None:
    dashboard.set("POST /api/jobs/", 200, {"job_id": JOB.job_id, "submission_id": JOB.job_id})
    resources = JobResources(cpus=2.5, gpus=1, memory=1 << 30, custom={"tape": 2})

    assert ray.submit(JOB) == SESSION
    ray.submit(Job(job_id="c-2", argv=("run", "it's"), variables={"A": "$HOME", "B": "c"}, resources=resources))

    assert dashboard.requests == ["POST /api/jobs/", "GET /api/version"] * 2
    assert dashboard.bodies == [
        {
            "submission_id": "c-one-1-abc",
            "entrypoint": "exec python3 -c 'print(1)'",
            "entrypoint_num_cpus": 1.0,
            "runtime_env": {"env_vars": {"A": "b"}},
            "metadata": {"run": "one"},
        },
        {
            "submission_id": "c-2",
            "entrypoint": """exec env 'A=$HOME' run 'it'"'"'s'""",
            "entrypoint_num_cpus": 2.5,
            "entrypoint_num_gpus": 1,
            "entrypoint_memory": 1 << 30,
            "entrypoint_resources": {"tape": 2},
            "runtime_env": {"env_vars": {"B": "c"}},
            "metadata": {},
        },
    ]


def test_a_job_that_exists_already_is_submitted(dashboard: Dashboard, ray: RayEngine) -> None:
    dashboard.set("POST /api/jobs/", 500, DUPLICATE)

    assert ray.submit(JOB) == SESSION
    assert dashboard.requests == ["POST /api/jobs/", "GET /api/version"]


@pytest.mark.parametrize(
    ("status", "text"),
    [(500, NO_LOG_FILE), (500, NO_AGENT), (500, "500 Internal Server Error"), (502, "bad"), (503, ""), (504, "")],
)
def test_after_an_error_a_job_that_ray_knows_is_submitted(
    dashboard: Dashboard, ray: RayEngine, status: int, text: str
) -> None:
    dashboard.set("POST /api/jobs/", status, text)
    dashboard.set("GET /api/jobs/c-one-1-abc", 200, {"status": "PENDING"})

    assert ray.submit(JOB) == SESSION


@pytest.mark.parametrize(
    ("status", "text", "message"),
    [
        (500, NO_AGENT, f"500 Internal Server Error: {NO_AGENT}"),
        (500, "", "500 Internal Server Error."),
        (503, "<html>\nupstream is away\n", "503 Service Unavailable: upstream is away."),
        (504, "Traceback", "504 Gateway Timeout: Traceback."),
    ],
)
def test_after_an_error_a_job_that_ray_does_not_know_may_be_submitted_again(
    dashboard: Dashboard, ray: RayEngine, status: int, text: str, message: str
) -> None:
    dashboard.set("POST /api/jobs/", status, text)
    dashboard.set("GET /api/jobs/c-one-1-abc", 404, UNKNOWN)

    error = error_of(lambda: ray.submit(JOB))

    assert error.message == f"The Ray dashboard at {dashboard.url} answered {message}"
    assert error.hint == "The logs of Ray's head may tell why."


@pytest.mark.parametrize(
    ("status", "text", "why"),
    [
        (400, BAD_REQUEST, "TypeError: entrypoint_num_cpus must be a number, got <class 'str'>"),
        (
            500,
            NO_LOG_FILE,
            "OSError: [Errno 28] No space left on device: '/tmp/ray/session/logs/job-driver-c-one-1-abc.log'",
        ),
    ],
)
def test_a_job_that_ray_refuses_has_rays_reason(
    dashboard: Dashboard, ray: RayEngine, status: int, text: str, why: str
) -> None:
    dashboard.set("POST /api/jobs/", status, text)
    dashboard.set("GET /api/jobs/c-one-1-abc", 404, UNKNOWN)

    with pytest.raises(JobRefusedError) as refused:
        ray.submit(JOB)

    assert refused.value.message == f"Ray refused the job: {why}"


def test_a_submission_without_an_answer_may_have_been_accepted(
    dashboard: Dashboard, ray: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_SUBMIT_SECONDS", 0.05)
    dashboard.gate = threading.Event()
    dashboard.answers["POST /api/jobs/"] = None
    dashboard.set("GET /api/jobs/c-one-1-abc", 404, UNKNOWN)

    assert error_of(lambda: ray.submit(JOB)).message == (
        f"The Ray dashboard at {dashboard.url} did not answer within 0.05 seconds."
    )
    dashboard.set("GET /api/jobs/c-one-1-abc", 200, {"status": "RUNNING"})
    assert ray.submit(JOB) == SESSION


def test_a_connection_that_is_closed_without_an_answer_is_an_unknown_result(
    dashboard: Dashboard, ray: RayEngine
) -> None:
    dashboard.answers["POST /api/jobs/"] = None
    dashboard.set("GET /api/jobs/c-one-1-abc", 404, UNKNOWN)

    assert "closed the connection without an answer" in error_of(lambda: ray.submit(JOB)).message


def test_each_state_of_ray_is_a_phase(dashboard: Dashboard, ray: RayEngine) -> None:
    traceback = "Failed to start: 'no'. Full traceback:\nTraceback (most recent call last):\n  File\nValueError: no\n"
    states = {
        "PENDING": "Job has not started yet.",
        "RUNNING": "",
        "SUCCEEDED": None,
        "FAILED": traceback,
        "STOPPED": "Job was intentionally stopped.",
        "NEWLY_INVENTED": "x" * 1000,
    }
    jobs = [
        {"type": "SUBMISSION", "submission_id": state, "status": state, "message": text}
        for state, text in states.items()
    ]
    silent = {"submission_id": "w", "status": "PENDING"}
    of_a_client = {"type": "DRIVER", "submission_id": None, "job_id": "02000000", "status": "RUNNING"}
    dashboard.set("GET /api/jobs/", 200, [*jobs, silent, of_a_client])

    listed = ray.list_jobs()

    assert listed.session == SESSION
    assert listed.jobs == {
        "PENDING": JobStatus(phase=JobPhase.WAITING, message="Job has not started yet."),
        "RUNNING": JobStatus(phase=JobPhase.RUNNING),
        "SUCCEEDED": JobStatus(phase=JobPhase.OVER),
        "FAILED": JobStatus(phase=JobPhase.OVER, message="Failed to start: 'no'"),
        "STOPPED": JobStatus(phase=JobPhase.OVER, message="Job was intentionally stopped."),
        "NEWLY_INVENTED": JobStatus(phase=JobPhase.RUNNING, message="x" * 300),
        "w": JobStatus(phase=JobPhase.WAITING),
    }


def test_a_job_that_has_waited_too_long_for_ray_has_expired(dashboard: Dashboard, ray: RayEngine) -> None:
    message = "Job supervisor actor failed to start within 900.0 seconds. This timeout can be configured by setting "
    message += "the environment variable RAY_JOB_START_TIMEOUT_SECONDS."
    entry = {"submission_id": "a", "status": "FAILED", "message": message}
    dashboard.set("GET /api/jobs/", 200, [{**entry, "error_type": "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"}])

    assert ray.list_jobs().jobs["a"] == JobStatus(phase=JobPhase.OVER, message=message, has_expired=True)


def test_a_job_that_is_not_over_stays_in_the_list(dashboard: Dashboard, ray: RayEngine) -> None:
    dashboard.set("DELETE /api/jobs/c-one-1-abc", 500, NOT_OVER)

    ray.forget("c-one-1-abc")

    assert dashboard.requests == ["DELETE /api/jobs/c-one-1-abc"]


def test_stopping_and_forgetting_unknown_jobs_does_nothing(dashboard: Dashboard, ray: RayEngine) -> None:
    dashboard.set("POST /api/jobs/a%2Fb/stop", 404, UNKNOWN)

    ray.stop("a/b")
    ray.forget("a/b")

    dashboard.set("POST /api/jobs/a%2Fb/stop", 500, NO_AGENT)
    dashboard.set("DELETE /api/jobs/a%2Fb", 500, NO_AGENT)
    assert NO_AGENT in error_of(lambda: ray.stop("a/b")).message
    assert NO_AGENT in error_of(lambda: ray.forget("a/b")).message


@pytest.mark.parametrize(
    ("status", "text", "why"),
    [
        (404, "404: Not Found", "is not a Ray dashboard: it answered 404 Not Found."),
        (200, "<html>", "is not a Ray dashboard: its answer is not JSON."),
        (200, "[]", "is not a Ray dashboard: it does not tell Ray's version."),
        (200, '{"version": 1}', "is not a Ray dashboard: it does not tell Ray's version."),
    ],
)
def test_another_server_is_named_as_such(
    dashboard: Dashboard, ray: RayEngine, status: int, text: str, why: str
) -> None:
    dashboard.set("GET /api/version", status, text)

    error = error_of(ray.list_jobs)

    assert error.message == f"The server at {dashboard.url} {why}"
    assert error.hint is not None
    assert "8265" in error.hint


@pytest.mark.parametrize("text", ["{}", '["a"]', '[{"submission_id": "a"}]', "3", "null"])
def test_a_list_in_an_unknown_format_is_an_error(dashboard: Dashboard, ray: RayEngine, text: str) -> None:
    dashboard.set("GET /api/jobs/", 200, text)

    if text == "{}":
        assert ray.list_jobs().jobs == {}
    else:
        assert "its list of jobs has an unknown format" in error_of(ray.list_jobs).message


def test_another_version_of_the_jobs_api_is_an_error(dashboard: Dashboard, ray: RayEngine) -> None:
    dashboard.set("GET /api/version", 200, {**VERSION, "version": "5", "ray_version": "3.0.0"})

    error = error_of(ray.list_jobs)

    assert error.message == (f"Ray 3.0.0 at {dashboard.url} has another Jobs API: version 5, where controller knows 4.")


def test_a_redirect_is_not_followed(dashboard: Dashboard, ray: RayEngine) -> None:
    dashboard.set("GET /api/version", 302, "")

    error = error_of(ray.list_jobs)

    assert error.message == f"The server at {dashboard.url} redirects to another address: 302 Found."
    assert dashboard.requests == ["GET /api/version"]


def test_an_answer_that_is_too_long_is_an_error(ray: RayEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_MAX_ANSWER_BYTES", 10)

    assert error_of(ray.list_jobs).hint == "Delete old jobs from the cluster: `ray job delete`."


def test_a_port_that_speaks_something_else_is_no_dashboard() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection = server.accept()[0]
            with connection:
                connection.recv(1000)
                connection.sendall(b"\0\0\0\4\0\0\0\0\0\n")

        thread = threading.Thread(target=answer)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        error = error_of(RayEngine(DashboardClient(address)).list_jobs)
        thread.join()

    assert error.message == f"The server at {address} is not a Ray dashboard: it does not speak HTTP."


def test_a_host_without_a_listener_can_not_be_reached() -> None:
    address = f"http://127.0.0.1:{free_port()}"

    error = error_of(RayEngine(DashboardClient(address)).list_jobs)

    assert error.message == f"The Ray dashboard at {address} can't be reached: connection refused."
    assert error.hint == "Check --ray-address, and that Ray's head is running."


def test_an_unknown_host_is_named() -> None:
    error = error_of(RayEngine(DashboardClient("http://head.invalid:8265")).list_jobs)

    assert error.message == "The host head.invalid is not known."


def test_tls_problems_are_told(tmp_path: Path, dashboard: Dashboard) -> None:
    with webhook_receiver(tmp_path) as receiver:
        untrusted = error_of(RayEngine(DashboardClient(receiver.url)).list_jobs)
    plain = error_of(RayEngine(DashboardClient(dashboard.url.replace("http:", "https:"))).list_jobs)

    assert untrusted.message.startswith(f"The certificate of {receiver.url} is not trusted: ")
    assert plain.hint == "Use http:// in --ray-address."


def test_the_token_is_read_for_each_request(dashboard: Dashboard, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    ray = RayEngine(DashboardClient(dashboard.url, token_file))
    dashboard.set("GET /api/jobs/", 200, [])
    for content in ("first\n", "second"):
        token_file.write_text(content)
        ray.list_jobs()

    sent = [headers["Authorization"] for headers in dashboard.headers]
    assert sent == ["Bearer first"] * 2 + ["Bearer second"] * 2
    for content in ("", "two words", "a\nb", "ä"):
        token_file.write_text(content, encoding="utf-8")
        assert str(token_file) in error_of(ray.list_jobs).message
    token_file.unlink()
    error = error_of(ray.list_jobs)
    assert error.message == f"Ray's token can't be read from {token_file}: No such file or directory."
    assert len(dashboard.requests) == 4


@pytest.mark.parametrize("status", [401, 403])
def test_a_rejected_token_never_appears_in_the_error(dashboard: Dashboard, tmp_path: Path, status: int) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("s3cret")
    dashboard.set("GET /api/version", status, "Forbidden: s3cret")

    error = error_of(RayEngine(DashboardClient(dashboard.url, token_file)).list_jobs)

    assert "s3cret" not in error.message + str(error.hint)
    assert "does not accept the token" in error.message


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("10.0.0.5:8265", "http://10.0.0.5:8265"),
        ("ray://10.0.0.5:10001", "client library"),
        ("http://", "http://10.0.0.5:8265"),
        ("http://host:port", "http://10.0.0.5:8265"),
        ("http://host/?a", "http://10.0.0.5:8265"),
        ("http://user:pw@host", "--ray-token-file"),
    ],
)
def test_an_address_that_is_no_url_of_a_dashboard_is_refused(address: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        DashboardClient(address)

    assert error.value.hint is not None
    assert words in error.value.hint
    assert "pw" not in error.value.message


def test_an_address_may_have_the_path_of_a_proxy(dashboard: Dashboard) -> None:
    dashboard.set("GET /ray/api/version", 200, VERSION)
    dashboard.set("GET /ray/api/jobs/", 200, [])

    assert RayEngine(DashboardClient(f"{dashboard.url}/ray/")).list_jobs().session == SESSION
