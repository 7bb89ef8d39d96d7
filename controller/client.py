"""A small client of the HTTP API for Python programs: the standard library and nothing else of ours.

    client = Client.of_state(".controller")
    run = client.trigger("nightly", {"day": "2026-11-23"})
    print(client.wait(run["run_id"])["state"])

Answers are the JSON that docs/api.md describes. What the controller refuses is raised as `ProblemError`.
"""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

Json = dict[str, Any]
DEFAULT_URL = "http://127.0.0.1:4200"
_STREAM_SECONDS = 60.0


class ProblemError(Exception):
    """What the controller answered instead (RFC 9457)."""

    def __init__(self, problem: Mapping[str, Any], status: int) -> None:
        super().__init__(str(problem.get("detail") or f"The controller answered {status}."))
        self.status = status
        self.reason = str(problem.get("reason", "Failed"))
        self.detail = str(self)
        self.hint: str | None = problem.get("hint")
        self.errors: list[Json] = list(problem.get("errors") or [])


@dataclass(frozen=True, slots=True)
class Message:
    """One server-sent event; `id` is what to go on from."""

    event: str
    id: str
    data: Any


class Client:
    """One controller. Each call is a connection of its own, so it may be shared between threads.

    `timeout` is in seconds, for one answer. An `OSError` is raised where nobody answers.
    """

    def __init__(
        self, url: str = DEFAULT_URL, token: str = "", *, timeout: float = 30.0, tls: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not an http:// or https:// URL")
        self._parts = parts
        self._token = token
        self._timeout = timeout
        self._tls = tls

    @classmethod
    def of_state(cls, directory: str | Path, url: str = DEFAULT_URL) -> "Client":
        """With the token of this state directory."""
        return cls(url, (Path(directory) / "token").read_text(encoding="ascii").strip())

    def status(self) -> Json:
        """The whole picture."""
        return self._get("/status")

    def source(self) -> Json:
        """The source and its conditions."""
        return self._get("/source")

    def plan(self, ref: str | None = None) -> Json:
        """What a ref would change."""
        return self._get("/plan", ref=ref)

    def deployments(self, **asked: Any) -> Iterator[Json]:
        """All deployments that match, by name: `search`, `tag`, `sync`, `health`."""
        return self._pages("/deployments", {"order": "name", **asked})

    def deployment(self, name: str) -> Json:
        """Everything about one."""
        return self._get(f"/deployments/{_part(name)}")

    def runs(self, **asked: Any) -> Iterator[Json]:
        """Runs, newest first: `deployment`, `state` (one or more), `tag`, `trigger`, `revision`, `since`, `until`."""
        return self._pages("/runs", asked)

    def run(self, run_id: str) -> Json:
        """One run."""
        return self._get(f"/runs/{_part(run_id)}")

    def log(self, run_id: str) -> str:
        """All that a run has printed so far."""
        found: list[str] = []
        offset = 0
        while True:
            part = self._get(f"/runs/{_part(run_id)}/logs", offset=offset, limit=1 << 20)
            if not part["text"]:
                return "".join(found)
            found.append(part["text"])
            offset = part["next_offset"]

    def events(self, **asked: Any) -> Iterator[Json]:
        """Events, newest first: `about`, `severity`."""
        return self._pages("/events", asked)

    def check(self, name: str, parameters: Mapping[str, Any]) -> list[Json]:
        """What is wrong with these parameters."""
        return list(self._post(f"/deployments/{_part(name)}/check", {"parameters": dict(parameters)})["errors"])

    def trigger(
        self, name: str, parameters: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> Json:
        """Run it now; `run_id` and `state`. The same key gives the same run."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return self._post(f"/deployments/{_part(name)}/runs", {"parameters": dict(parameters or {})}, headers)

    def cancel(self, run_id: str, reason: str = "cancelled by a client") -> Json:
        """End a run."""
        return self._post(f"/runs/{_part(run_id)}/cancel", {"reason": reason})

    def retry(self, run_id: str, *, idempotency_key: str | None = None) -> Json:
        """A new run that does the same again; `run_id` and `state`."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return self._post(f"/runs/{_part(run_id)}/retry", {}, headers)

    def backfill(self, name: str, since: str, until: str, *, most: int = 100, dry_run: bool = False) -> Json:
        """Run the due times of a past range that have no run: `run_ids`, `times`, `already_run`, `left_out`."""
        body = {"since": since, "until": until, "max": most, "dry_run": dry_run}
        return self._post(f"/deployments/{_part(name)}/backfill", body)

    def hold(self, name: str, reason: str, until: str | None = None) -> Json:
        """Hold its schedules; `until` is an ISO 8601 time with its offset."""
        return self._post(f"/deployments/{_part(name)}/hold", {"reason": reason, "until": until})

    def resume(self, name: str) -> Json:
        """End its hold."""
        return self._post(f"/deployments/{_part(name)}/resume", {})

    def reconcile(self, *, wait: bool = False) -> Json:
        """Look at the source now."""
        return self._post("/reconcile", {"wait": wait})

    def approve(self, digest: str) -> Json:
        """Release exactly these withheld deletions."""
        return self._post("/approvals", {"digest": digest})

    def wait(self, run_id: str) -> Json:
        """The run, once it is final. Follows its log meanwhile and drops it; raises OSError if the controller ends."""
        while self.run(run_id)["finished_at"] is None:
            for message in self.follow_log(run_id, offset=1 << 59):
                if message.event == "end":
                    break
        return self.run(run_id)

    def follow_log(self, run_id: str, *, offset: int = 0) -> Iterator[Message]:
        """What it prints from this byte on: messages `log` with `text`, and at last `end` with `state`."""
        return self._stream(f"/runs/{_part(run_id)}/logs/stream?offset={offset}", None)

    def follow_events(self, last_id: int | None = None) -> Iterator[Message]:
        """Messages `event` with an event and `change` as a hint, without an end; after the event of this number."""
        return self._stream("/events/stream", last_id)

    def _get(self, path: str, **asked: Any) -> Json:
        return self._ask("GET", path + _query(asked), None, {})

    def _post(self, path: str, body: Json, headers: Mapping[str, str] | None = None) -> Json:
        return self._ask("POST", path, body, headers or {})

    def _pages(self, path: str, asked: Mapping[str, Any]) -> Iterator[Json]:
        cursor = None
        while True:
            page = self._get(path, **{**asked, "cursor": cursor})
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def _ask(self, method: str, path: str, body: Json | None, headers: Mapping[str, str]) -> Json:
        connection = self._connect(self._timeout)
        try:
            answer = self._send(connection, method, path, body, headers)
            found: Json = json.loads(answer.read())
            return found
        finally:
            connection.close()

    def _stream(self, path: str, last_id: int | None) -> Iterator[Message]:
        connection = self._connect(max(self._timeout, _STREAM_SECONDS))
        try:
            headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
            yield from _messages(self._send(connection, "GET", path, None, headers))
        finally:
            connection.close()

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._parts.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=timeout)

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Json | None,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        sent = {"Authorization": f"Bearer {self._token}", "Accept": "application/json", **headers}
        data = None
        if body is not None:
            data = json.dumps(body, allow_nan=False).encode()
            sent["Content-Type"] = "application/json"
        # Who refuses a body does not read it to its end; the answer says why.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, f"{self._parts.path.rstrip('/')}/api/v1{path}", data, sent)
        answer = connection.getresponse()
        if answer.status >= 300:
            raise ProblemError(_problem(answer.read()), answer.status)
        return answer


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


def _query(asked: Mapping[str, Any]) -> str:
    given: list[tuple[str, str]] = []
    for name, value in asked.items():
        several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        given += [(name, str(one)) for one in several if one is not None]
    return f"?{urlencode(given)}" if given else ""


def _part(text: str) -> str:
    return quote(text, safe="")


def _problem(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
