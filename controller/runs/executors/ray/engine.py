"""The job engine for Ray: submits, lists, stops and removes jobs by the Jobs API of Ray's dashboard."""

import re
import shlex
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from controller.runs.executors.ray.client import Answer, DashboardClient, NoAnswerError, last_line
from controller.runs.executors.remote.job_engine import (
    EngineUnreachableError,
    Job,
    JobList,
    JobPhase,
    JobRefusedError,
    JobResources,
    JobStatus,
)

_API_VERSION = "4"
_JOBS = "/api/jobs/"
# Together they stay below the 30 seconds that each method of an engine may take.
_SUBMIT_SECONDS = 15.0
_LIST_SECONDS = 15.0
_SECONDS = 5.0
_DUPLICATE = "already exists"
_NOT_OVER = "in a non-terminal state"
_NO_AGENT = "No available agent"
_EXPIRED = "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"
_PHASES = {
    "PENDING": JobPhase.WAITING,
    "RUNNING": JobPhase.RUNNING,
    "SUCCEEDED": JobPhase.OVER,
    "FAILED": JobPhase.OVER,
    "STOPPED": JobPhase.OVER,
}
_LOGS = re.compile(r", last available logs[^\n]*\n(?P<logs>.*)", re.DOTALL)
_RAYS_OWN_LINE = re.compile(r"^(?:Running entrypoint for job |.*\tINFO job_manager).*$", re.MULTILINE)
_TRACEBACK = re.compile(r"\.? *(?:Full traceback:\s*)?\n?Traceback \(most recent call last\):.*", re.DOTALL)
_DETAIL = re.compile(r"^\s+\w+: .*$", re.MULTILINE)
_MAX_MESSAGE = 300


class RayEngine:
    """A Ray cluster as an engine for jobs. Several threads may use it."""

    name = "ray"

    def __init__(self, client: DashboardClient) -> None:
        self._client = client

    def submit(self, job: Job) -> str:
        """Submit a job, unless it was submitted already; return the session.

        Raises JobRefusedError, and EngineUnreachableError: it may have been submitted.
        """
        try:
            answer = self._client.send("POST", _JOBS, _body(job), seconds=_SUBMIT_SECONDS)
        except NoAnswerError:
            if not self._has(job.job_id):
                raise
        else:
            self._check_submission(job.job_id, answer)
        return self._session()

    def list_jobs(self) -> JobList:
        """Return all jobs that were submitted by the Jobs API, also those of others."""
        session = self._session()
        entries = self._client.get(_JOBS, seconds=_LIST_SECONDS)
        try:
            jobs = {entry["submission_id"]: _status(entry) for entry in entries if entry.get("submission_id")}
        except (AttributeError, KeyError, TypeError):
            raise self._client.not_ray("its list of jobs has an unknown format") from None
        return JobList(session=session, jobs=jobs)

    def stop(self, job_id: str) -> None:
        """Stop a job if it exists. Its runner gets SIGTERM, and SIGKILL three seconds later.

        Ray does nothing about a job that still waits for resources.
        """
        self._change("POST", f"{_path(job_id)}/stop")

    def forget(self, job_id: str) -> None:
        """Remove a job that is over from Ray's list. Ray itself removes none."""
        self._change("DELETE", _path(job_id))

    def _session(self) -> str:
        version = self._client.get("/api/version", seconds=_SECONDS)
        if not isinstance(version, dict) or "ray_version" not in version:
            raise self._client.not_ray("it does not tell Ray's version")
        if version.get("version") != _API_VERSION or not isinstance(version.get("session_name"), str):
            message = f"Ray {version['ray_version']} at {self._client.address} has another Jobs API: version "
            message += f"{version.get('version')}, where controller knows {_API_VERSION}."
            raise EngineUnreachableError(message, hint="Use a version of Ray that docs/ray.md names.")
        session: str = version["session_name"]
        return session

    def _check_submission(self, job_id: str, answer: Answer) -> None:
        if answer.status == HTTPStatus.OK or (answer.status >= 500 and _DUPLICATE in answer.text):
            return
        if answer.status == HTTPStatus.BAD_REQUEST:
            raise JobRefusedError(f"Ray refused the job: {last_line(answer.text)}")
        if answer.status < HTTPStatus.INTERNAL_SERVER_ERROR or not self._has(job_id):
            is_final = answer.status == HTTPStatus.INTERNAL_SERVER_ERROR and "Traceback" in answer.text
            if is_final and _NO_AGENT not in answer.text:
                raise JobRefusedError(f"Ray refused the job: {last_line(answer.text)}")
            raise self._client.unexpected(answer)

    def _has(self, job_id: str) -> bool:
        answer = self._client.send("GET", _path(job_id), seconds=_SECONDS)
        if answer.status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            raise self._client.unexpected(answer)
        return answer.status == HTTPStatus.OK

    def _change(self, method: str, path: str) -> None:
        answer = self._client.send(method, path, seconds=_SECONDS)
        is_done = answer.status in (HTTPStatus.OK, HTTPStatus.NOT_FOUND)
        if not is_done and _NOT_OVER not in answer.text:
            raise self._client.unexpected(answer)


def _path(job_id: str) -> str:
    return _JOBS + quote(job_id, safe="")


def _body(job: Job) -> dict[str, Any]:
    """Return the request for a submission.

    With `exec` the runner replaces Ray's shell, so that the signals of a stop reach it. Without a resource Ray would
    start every job on the head. In `env_vars` Ray expands `$NAME`, so the program `env` sets variables with a dollar.
    """
    verbatim = [f"{name}={value}" for name, value in job.variables.items() if "$" in value]
    command = ["env", *verbatim, *job.argv] if verbatim else job.argv
    return {
        "submission_id": job.job_id,
        "entrypoint": f"exec {shlex.join(command)}",
        "runtime_env": {"env_vars": {name: value for name, value in job.variables.items() if "$" not in value}},
        "metadata": dict(job.labels),
        **_reservation(job.resources),
    }


def _reservation(resources: JobResources) -> dict[str, Any]:
    reserved = {
        "entrypoint_num_gpus": resources.gpus,
        "entrypoint_memory": resources.memory,
        "entrypoint_resources": dict(resources.custom),
    }
    return {"entrypoint_num_cpus": resources.cpus} | {name: value for name, value in reserved.items() if value}


def _status(entry: dict[str, Any]) -> JobStatus:
    """Return the status in an entry of Ray's list. A status that is not known is treated as running."""
    return JobStatus(
        phase=_PHASES.get(entry["status"], JobPhase.RUNNING),
        message=_plain(entry.get("message") or ""),
        has_expired=entry.get("error_type") == _EXPIRED,
    )


def _plain(message: str) -> str | None:
    """Return Ray's words in one line: without tracebacks, and with only the last line of the job's output."""
    logs = _LOGS.search(message)
    if logs is not None:
        last = last_line(_RAYS_OWN_LINE.sub("", logs["logs"]))
        message = message[: logs.start()] + (f": {last}" if last else "")
    text = " ".join(_DETAIL.sub("", _TRACEBACK.sub("", message)).split())
    return text[:_MAX_MESSAGE] or None
