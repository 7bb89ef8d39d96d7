"""The API client, with one method per endpoint."""

import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from controller.client.connection import Endpoint, no_answer_errors
from controller.client.idempotency_keys import KEY_RULE, is_valid_key
from controller.client.notifications import NotificationMethods
from controller.client.problems import NoAnswerError, ProblemError
from controller.client.shapes import (
    Approved,
    BackfillDetail,
    Backfilled,
    BackfillProgress,
    BulkResult,
    ChangedRun,
    Deployment,
    DeploymentDetail,
    Document,
    Fault,
    Form,
    Host,
    LogPart,
    LostHost,
    NextFire,
    NumberedEvent,
    Occurrence,
    Plan,
    PythonEnvironment,
    PythonEnvironmentDetail,
    Run,
    RunDetail,
    Triggered,
)
from controller.client.status_reader import StatusReader
from controller.client.urls import part, query

DEFAULT_URL = "http://127.0.0.1:4200"
ANSWER_SECONDS = 40.0
"""Default timeout of a request. It is longer than the controller waits for a locked state database, so that the client
receives the error message instead of timing out."""
PASS_SECONDS = 630.0
"""Timeout of requests that wait for a reconcile pass; the controller itself gives up after 600 seconds."""
_STREAM_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Message:
    """One server-sent event; pass its `id` to resume after it."""

    event: str
    id: str
    data: Any


class Client(NotificationMethods, StatusReader):
    """A client for one controller. It may be shared between threads: each call opens its own connection.

    `timeout` is the timeout of a response in seconds. All methods raise ProblemError if the controller rejects a
    request, and NoAnswerError (an OSError) if it does not respond.
    """

    def __init__(
        self,
        url: str | Path = DEFAULT_URL,
        token: str = "",
        *,
        timeout: float = ANSWER_SECONDS,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._endpoint = Endpoint(url, token, tls)
        self._timeout = timeout

    @classmethod
    def of_state(cls, directory: str | Path, *, timeout: float = ANSWER_SECONDS) -> "Client":
        """Connect over the Unix socket of a state directory: on the same machine, as the same user, without a token."""
        return cls(Path(directory) / "control.sock", timeout=timeout)

    def python_environments(self) -> list[PythonEnvironment]:
        """Return the Python environments, those with problems first."""
        return cast("list[PythonEnvironment]", self._get("/python"))

    def python_environment(self, digest: str) -> PythonEnvironmentDetail:
        """Return one Python environment, by the beginning of its digest."""
        return cast(
            "PythonEnvironmentDetail", self._get(f"/python/{part(digest, 'Python environment', 'python list')}")
        )

    def hosts(self) -> list[Host]:
        """Return the hosts whose controllers share the state, by name."""
        return cast("list[Host]", self._get("/hosts"))

    def declare_host_lost(self, name: str) -> LostHost:
        """End the runs in progress on a host that will not come back."""
        return cast("LostHost", self._post(f"/hosts/{part(name, 'host', 'hosts')}/lost", {}))

    def plan(self, ref: str | None = None) -> Plan:
        """Return the changes that a ref would make; by default the ref that the controller follows."""
        return cast("Plan", self._get("/plan", ref=ref))

    def next_fires(self, *, limit: int = 50) -> list[NextFire]:
        """Return the next fire time of each deployment, earliest first."""
        return cast("list[NextFire]", self._get("/fire-times", limit=limit))

    def deployments(self, **filters: Any) -> Iterator[Deployment]:
        """Iterate over deployments by name. Filters: `search`, `tag`, `sync`, `health`, `document`."""
        return cast("Iterator[Deployment]", self._pages("/deployments", {"order": "name", **filters}))

    def deployment(self, name: str) -> DeploymentDetail:
        """Return a deployment."""
        return cast("DeploymentDetail", self._get(f"/deployments/{part(name)}"))

    def fire_times(self, name: str, *, limit: int = 10, after: str | None = None) -> list[str]:
        """Return the next fire times strictly after `after`, an ISO 8601 time; by default after now."""
        return cast(
            "list[str]", self._get(f"/deployments/{part(name)}/fire-times", limit=limit, after=after)["fire_times"]
        )

    def occurrences(self, name: str, **filters: Any) -> Iterator[Occurrence]:
        """Iterate over the due times of a deployment and their outcomes, newest first."""
        return cast("Iterator[Occurrence]", self._pages(f"/deployments/{part(name)}/occurrences", filters))

    def form(self, name: str) -> Form:
        """Return the parameters that the flow of a deployment accepts."""
        return cast("Form", self._get(f"/deployments/{part(name)}/form"))

    def document(self, name: str) -> Document:
        """Return the last valid document, also for a deployment that was deleted in the last 30 days."""
        return cast("Document", self._get(f"/deployments/{part(name)}/document"))

    def runs(self, **filters: Any) -> Iterator[Run]:
        """Iterate over runs, newest first.

        Filters: `deployment`, `state` (one or more), `tag`, `trigger`, `revision`, `since`, `until`, `backfill`.
        """
        return cast("Iterator[Run]", self._pages("/runs", filters))

    def run(self, run_id: str) -> RunDetail:
        """Return a run."""
        return cast("RunDetail", self._get(f"/runs/{part(run_id, 'run')}"))

    def log(self, run_id: str) -> str:
        """Return the whole log of a run so far."""
        texts: list[str] = []
        offset = 0
        while True:
            part = self.log_part(run_id, offset=offset, limit=1 << 20)
            if not part["text"]:
                return "".join(texts)
            texts.append(part["text"])
            offset = part["next_offset"]

    def log_part(self, run_id: str, *, offset: int = 0, limit: int | None = None, tail: int | None = None) -> LogPart:
        """Return at most `limit` bytes of the log from byte `offset` on, or its last `tail` lines."""
        return cast("LogPart", self._get(f"/runs/{part(run_id, 'run')}/logs", offset=offset, limit=limit, tail=tail))

    def events(self, **filters: Any) -> Iterator[NumberedEvent]:
        """Iterate over events, newest first. Filters: `about`, `severity`, `run`, `tag`, `reason`, `after_id`."""
        return cast("Iterator[NumberedEvent]", self._pages("/events", filters))

    def check(self, name: str, parameters: Mapping[str, Any]) -> list[Fault]:
        """Return the errors in these parameters, without running anything."""
        answer = self._post(f"/deployments/{part(name)}/check", {"parameters": dict(parameters)})
        return cast("list[Fault]", answer["errors"])

    def trigger(
        self,
        name: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        due_time: str | None = None,
        idempotency_key: str | None = None,
    ) -> Triggered:
        """Run a deployment now, for the `due_time` if one is given (ISO 8601). The same key returns the same run."""
        body: dict[str, Any] = {"parameters": dict(parameters or {})}
        if due_time is not None:
            body["due_time"] = due_time
        return cast("Triggered", self._post(f"/deployments/{part(name)}/runs", body, _key_header(idempotency_key)))

    def cancel(self, run_id: str, reason: str = "cancelled by a client") -> ChangedRun:
        """Cancel a run."""
        return cast("ChangedRun", self._post(f"/runs/{part(run_id, 'run')}/cancel", {"reason": reason}))

    def cancel_many(self, run_ids: Sequence[str], reason: str = "cancelled by a client") -> BulkResult:
        """Cancel up to 1,000 runs. Those that have finished are reported with a reason."""
        return cast("BulkResult", self._post("/runs/bulk/cancel", {"run_ids": list(run_ids), "reason": reason}))

    def cancel_matching(
        self, reason: str = "cancelled by a client", *, dry_run: bool = False, cursor: str | None = None, **filters: Any
    ) -> BulkResult:
        """Cancel the next 250 unfinished runs that match, or count all with `dry_run`; pass `next` as the `cursor`.

        Filters: those of `runs`, with `state` as a list. A `backfill` alone is cancelled as a whole.
        """
        body = {**filters, "reason": reason, "dry_run": dry_run, "cursor": cursor}
        return cast("BulkResult", self._post("/runs/bulk/cancel", body))

    def retry(self, run_id: str, *, latest: bool = False, idempotency_key: str | None = None) -> Triggered:
        """Retry a finished run: create a new run with the same commit, or with `latest` of the active deployment."""
        path, body = f"/runs/{part(run_id, 'run')}/retry", {"latest": True} if latest else {}
        return cast("Triggered", self._post(path, body, _key_header(idempotency_key)))

    def retry_many(
        self, run_ids: Sequence[str], *, latest: bool = False, idempotency_key: str | None = None
    ) -> BulkResult:
        """Retry up to 1,000 finished runs. The same key retries no run twice."""
        body = {"run_ids": list(run_ids), "latest": latest}
        return cast("BulkResult", self._post("/runs/bulk/retry", body, _key_header(idempotency_key)))

    def retry_matching(
        self,
        *,
        latest: bool = False,
        dry_run: bool = False,
        cursor: str | None = None,
        idempotency_key: str | None = None,
        **filters: Any,
    ) -> BulkResult:
        """Retry the next 250 finished runs that match, or count all with `dry_run`; pass `next` as the `cursor`.

        Filters: as in `cancel_matching`. The same key retries no run twice.
        """
        body = {**filters, "latest": latest, "dry_run": dry_run, "cursor": cursor}
        return cast("BulkResult", self._post("/runs/bulk/retry", body, _key_header(idempotency_key)))

    def backfill(  # noqa: PLR0913
        self,
        name: str,
        since: str,
        until: str | None = None,
        *,
        redo: str | None = None,
        code: str = "latest",
        parameters: Mapping[str, Any] | None = None,
        parallel: int | None = None,
        most: int | None = None,
        dry_run: bool = False,
    ) -> Backfilled:
        """Create a backfill of a past range; `since` and `until` (default: now) are ISO 8601 times.

        It runs due times without a run, and with `redo` (`failed`, `skipped` or `all`) also others. `code` is `latest`
        or `original`. `most` limits it to the latest due times.
        """
        body: dict[str, Any] = {"since": since, "until": until, "max": most, "dry_run": dry_run}
        body |= {"redo": redo, "code": code, "parameters": dict(parameters or {}), "parallel": parallel}
        return cast("Backfilled", self._post(f"/deployments/{part(name)}/backfill", body))

    def backfills(self, **filters: Any) -> Iterator[BackfillProgress]:
        """Iterate over backfills, newest first. Filter: `deployment`."""
        return cast("Iterator[BackfillProgress]", self._pages("/backfills", filters))

    def backfill_progress(self, backfill_id: str) -> BackfillDetail:
        """Return a backfill with its progress, what failed and what is left."""
        return cast("BackfillDetail", self._get(f"/backfills/{part(backfill_id, 'backfill')}"))

    def pause_backfill(self, backfill_id: str) -> BackfillProgress:
        """Start no more runs of a backfill."""
        return self._change_backfill(backfill_id, "pause")

    def resume_backfill(self, backfill_id: str) -> BackfillProgress:
        """Continue a paused backfill."""
        return self._change_backfill(backfill_id, "resume")

    def cancel_backfill(self, backfill_id: str) -> BackfillProgress:
        """Cancel a backfill and its unfinished runs."""
        return self._change_backfill(backfill_id, "cancel")

    def hold(self, name: str, reason: str, until: str | None = None) -> DeploymentDetail:
        """Hold the schedules of a deployment; `until` is an ISO 8601 time with an offset."""
        body = {"reason": reason, "until": until}
        return cast("DeploymentDetail", self._post(f"/deployments/{part(name)}/hold", body))

    def resume(self, name: str) -> DeploymentDetail:
        """End the hold of a deployment."""
        return cast("DeploymentDetail", self._post(f"/deployments/{part(name)}/resume", {}))

    def reconcile(self, *, wait: bool = False) -> bool:
        """Request a reconcile pass. Return whether it is done; with `wait`, wait for it, which may take minutes."""
        return bool(self._post("/reconcile", {"wait": wait}, seconds=PASS_SECONDS if wait else None)["is_done"])

    def approve(self, digest: str) -> Approved:
        """Approve exactly these withheld deletions, and wait for the reconcile pass."""
        return cast("Approved", self._post("/approvals", {"digest": digest}, seconds=PASS_SECONDS))

    def login_link(self) -> str:
        """Return a one-time link that opens the dashboard in a browser."""
        return str(self._post("/login-links", {})["url"])

    def wait(self, run_id: str) -> RunDetail:
        """Wait until a run is finished, and return it. This follows the log stream and discards the output."""
        while self.run(run_id)["finished_at"] is None:
            for message in self.follow_log(run_id, offset=1 << 59):
                if message.event == "end":
                    break
        return self.run(run_id)

    def watch(self, run_id: str) -> Iterator[RunDetail]:
        """Yield a run now and after each change, until it is finished. Raises NoAnswerError if the controller stops."""
        last = None
        for _ in self.follow_events():
            run = self.run(run_id)
            if run != last:
                yield run
            if run["finished_at"] is not None:
                return
            last = run

    def follow_log(self, run_id: str, *, offset: int = 0) -> Iterator[Message]:
        """Stream the log from byte `offset` on: messages `log` with `text`, and a final `end` with `state`."""
        for message in self._stream(f"/runs/{part(run_id, 'run')}/logs/stream?offset={offset}", None):
            yield message
            if message.event == "end":
                return

    def follow_events(self, last_id: int | None = None) -> Iterator[Message]:
        """Stream the events after event `last_id`: messages `event`; `change` for other changes; `gap` for lost ones.

        Raises NoAnswerError when the controller stops.
        """
        return self._stream("/events/stream", last_id)

    def _change_backfill(self, backfill_id: str, verb: str) -> BackfillProgress:
        return cast("BackfillProgress", self._post(f"/backfills/{part(backfill_id, 'backfill')}/{verb}", {}))

    def _get(self, path: str, **filters: Any) -> Any:
        return self._request("GET", path + query(filters), None, {}, self._timeout)

    def _post(
        self, path: str, body: Any, headers: Mapping[str, bytes] | None = None, seconds: float | None = None
    ) -> Any:
        return self._request("POST", path, body, headers or {}, seconds or self._timeout)

    def _pages(self, path: str, filters: Mapping[str, Any]) -> Iterator[Any]:
        cursor = None
        while True:
            page = self._get(path, **{**filters, "cursor": cursor})
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def _request(self, method: str, path: str, body: Any, headers: Mapping[str, bytes], seconds: float) -> Any:
        response = self._endpoint.request(method, path, body, headers, seconds)
        with response, no_answer_errors():
            return json.loads(response.read())

    def _stream(self, path: str, last_id: int | None) -> Iterator[Message]:
        headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
        response = self._endpoint.request("GET", path, None, headers, max(self._timeout, _STREAM_SECONDS))
        messages = _messages(response)
        with response:
            while True:
                with no_answer_errors():
                    message = next(messages, None)
                if message is None:
                    raise NoAnswerError("The controller closed the stream.")
                yield message


def _messages(lines: Any) -> Iterator[Message]:
    event, number, data = "message", "", ""
    for raw in lines:
        line = raw.decode("utf-8").rstrip("\n")
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "id":
            number = value
        elif name == "data":
            data += value
        elif not line and data:
            yield Message(event, number, json.loads(data))
            event, data = "message", ""


def _key_header(key: str | None) -> dict[str, bytes]:
    if key is None:
        return {}
    if not is_valid_key(key):
        raise ProblemError({"reason": "Usage", "detail": KEY_RULE}, 422)
    return {"Idempotency-Key": key.encode("utf-8", "surrogatepass")}
