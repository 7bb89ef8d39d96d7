"""The client: one method for each thing that the API answers or does."""

import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlencode

from controller.client.connection import Endpoint, answering
from controller.client.problems import NoAnswerError, ProblemError
from controller.client.shapes import (
    Approved,
    Backfilled,
    Deployment,
    DeploymentDetail,
    Document,
    Fault,
    Form,
    LogPart,
    NextFire,
    NumberedEvent,
    Occurrence,
    Pass,
    Plan,
    Run,
    RunDetail,
    Source,
    Status,
    Triggered,
)

DEFAULT_URL = "http://127.0.0.1:4200"
ANSWER_SECONDS = 40.0
"""Longer than the controller waits for its state when another process holds it, so that it comes to say so."""
PASS_SECONDS = 630.0
"""How long a pass that is waited for may take, and a little more."""
_STREAM_SECONDS = 60.0
_LONGEST_KEY = 200


@dataclass(frozen=True, slots=True)
class Message:
    """One server-sent event; `id` is what to go on from."""

    event: str
    id: str
    data: Any


class Client:
    """One controller. Each call is a connection of its own, so it may be shared between threads.

    `timeout` is in seconds, for one answer. All methods raise ProblemError for what the controller refuses, and
    NoAnswerError (an OSError) where none answers.
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
        """By the socket of this state directory, which needs no token: for its user, on its machine."""
        return cls(Path(directory) / "control.sock", timeout=timeout)

    def status(self) -> Status:
        """The whole picture."""
        return cast("Status", self._get("/status"))

    def source(self) -> Source:
        """The source and its conditions."""
        return cast("Source", self._get("/source"))

    def passes(self, *, limit: int = 50) -> list[Pass]:
        """The passes that found something new or failed, newest first."""
        return cast("list[Pass]", self._get("/passes", limit=limit))

    def plan(self, ref: str | None = None) -> Plan:
        """What a ref would change."""
        return cast("Plan", self._get("/plan", ref=ref))

    def next_fires(self, *, limit: int = 50) -> list[NextFire]:
        """When deployments fire next, one row each, in the order of time."""
        return cast("list[NextFire]", self._get("/fire-times", limit=limit))

    def deployments(self, **asked: Any) -> Iterator[Deployment]:
        """All deployments that match, by name: `search`, `tag`, `sync`, `health`."""
        return cast("Iterator[Deployment]", self._pages("/deployments", {"order": "name", **asked}))

    def deployment(self, name: str) -> DeploymentDetail:
        """Everything about one."""
        return cast("DeploymentDetail", self._get(f"/deployments/{_part(name)}"))

    def fire_times(self, name: str, *, limit: int = 10, after: str | None = None) -> list[str]:
        """Its next fire times, strictly after `after`, an ISO 8601 time; by default after now."""
        return cast(
            "list[str]", self._get(f"/deployments/{_part(name)}/fire-times", limit=limit, after=after)["fire_times"]
        )

    def occurrences(self, name: str, **asked: Any) -> Iterator[Occurrence]:
        """Its due times and what became of them, newest first."""
        return cast("Iterator[Occurrence]", self._pages(f"/deployments/{_part(name)}/occurrences", asked))

    def form(self, name: str) -> Form:
        """What its flow takes."""
        return cast("Form", self._get(f"/deployments/{_part(name)}/form"))

    def document(self, name: str) -> Document:
        """Its last good document, to be committed again; also of one that left the repository lately."""
        return cast("Document", self._get(f"/deployments/{_part(name)}/document"))

    def runs(self, **asked: Any) -> Iterator[Run]:
        """Runs, newest first: `deployment`, `state` (one or more), `tag`, `trigger`, `revision`, `since`, `until`."""
        return cast("Iterator[Run]", self._pages("/runs", asked))

    def run(self, run_id: str) -> RunDetail:
        """One run."""
        return cast("RunDetail", self._get(f"/runs/{_part(run_id, 'run')}"))

    def log(self, run_id: str) -> str:
        """All that a run has printed so far."""
        found: list[str] = []
        offset = 0
        while True:
            part = self.log_part(run_id, offset=offset, limit=1 << 20)
            if not part["text"]:
                return "".join(found)
            found.append(part["text"])
            offset = part["next_offset"]

    def log_part(self, run_id: str, *, offset: int = 0, limit: int | None = None, tail: int | None = None) -> LogPart:
        """What it has printed from byte `offset` on, of `limit` bytes at most; with `tail` its last lines."""
        return cast("LogPart", self._get(f"/runs/{_part(run_id, 'run')}/logs", offset=offset, limit=limit, tail=tail))

    def events(self, **asked: Any) -> Iterator[NumberedEvent]:
        """Events, newest first: `about`, `severity`."""
        return cast("Iterator[NumberedEvent]", self._pages("/events", asked))

    def check(self, name: str, parameters: Mapping[str, Any]) -> list[Fault]:
        """What is wrong with these parameters."""
        answer = self._post(f"/deployments/{_part(name)}/check", {"parameters": dict(parameters)})
        return cast("list[Fault]", answer["errors"])

    def trigger(
        self, name: str, parameters: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> Triggered:
        """Run it now. The same key gives the same run."""
        body = {"parameters": dict(parameters or {})}
        return cast("Triggered", self._post(f"/deployments/{_part(name)}/runs", body, _key(idempotency_key)))

    def cancel(self, run_id: str, reason: str = "cancelled by a client") -> Triggered:
        """End a run."""
        return cast("Triggered", self._post(f"/runs/{_part(run_id, 'run')}/cancel", {"reason": reason}))

    def retry(self, run_id: str, *, idempotency_key: str | None = None) -> Triggered:
        """A new run that does the same again."""
        return cast("Triggered", self._post(f"/runs/{_part(run_id, 'run')}/retry", {}, _key(idempotency_key)))

    def backfill(self, name: str, since: str, until: str, *, most: int = 100, dry_run: bool = False) -> Backfilled:
        """Run the due times of a past range, given as ISO 8601 times, that have no run."""
        body = {"since": since, "until": until, "max": most, "dry_run": dry_run}
        return cast("Backfilled", self._post(f"/deployments/{_part(name)}/backfill", body))

    def hold(self, name: str, reason: str, until: str | None = None) -> DeploymentDetail:
        """Hold its schedules; `until` is an ISO 8601 time with its offset."""
        body = {"reason": reason, "until": until}
        return cast("DeploymentDetail", self._post(f"/deployments/{_part(name)}/hold", body))

    def resume(self, name: str) -> DeploymentDetail:
        """End its hold."""
        return cast("DeploymentDetail", self._post(f"/deployments/{_part(name)}/resume", {}))

    def reconcile(self, *, wait: bool = False) -> bool:
        """Look at the source now. Whether that is done, which with `wait` may take minutes."""
        return bool(self._post("/reconcile", {"wait": wait}, seconds=PASS_SECONDS if wait else None)["is_done"])

    def approve(self, digest: str) -> Approved:
        """Release exactly these withheld deletions, and wait for the pass."""
        return cast("Approved", self._post("/approvals", {"digest": digest}, seconds=PASS_SECONDS))

    def login_link(self) -> str:
        """A link that opens the dashboard in a browser, once."""
        return str(self._post("/login-links", {})["url"])

    def wait(self, run_id: str) -> RunDetail:
        """The run, once it is final. Follows its log meanwhile and drops it."""
        while self.run(run_id)["finished_at"] is None:
            for message in self.follow_log(run_id, offset=1 << 59):
                if message.event == "end":
                    break
        return self.run(run_id)

    def follow_log(self, run_id: str, *, offset: int = 0) -> Iterator[Message]:
        """What it prints from this byte on: messages `log` with `text`, and at last `end` with `state`."""
        for message in self._stream(f"/runs/{_part(run_id, 'run')}/logs/stream?offset={offset}", None):
            yield message
            if message.event == "end":
                return

    def follow_events(self, last_id: int | None = None) -> Iterator[Message]:
        """Messages `event` with an event and a hint `change`, after the event `last_id`, until the controller goes."""
        return self._stream("/events/stream", last_id)

    def _get(self, path: str, **asked: Any) -> Any:
        return self._ask("GET", path + _query(asked), None, {}, self._timeout)

    def _post(
        self, path: str, body: Any, headers: Mapping[str, bytes] | None = None, seconds: float | None = None
    ) -> Any:
        return self._ask("POST", path, body, headers or {}, seconds or self._timeout)

    def _pages(self, path: str, asked: Mapping[str, Any]) -> Iterator[Any]:
        cursor = None
        while True:
            page = self._get(path, **{**asked, "cursor": cursor})
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def _ask(self, method: str, path: str, body: Any, headers: Mapping[str, bytes], seconds: float) -> Any:
        answer = self._endpoint.ask(method, path, body, headers, seconds)
        with answer, answering():
            return json.loads(answer.read())

    def _stream(self, path: str, last_id: int | None) -> Iterator[Message]:
        headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
        answer = self._endpoint.ask("GET", path, None, headers, max(self._timeout, _STREAM_SECONDS))
        messages = _messages(answer)
        with answer:
            while True:
                with answering():
                    message = next(messages, None)
                if message is None:
                    raise NoAnswerError("The controller has ended what it was telling.")
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


def _query(asked: Mapping[str, Any]) -> str:
    given: list[tuple[str, str]] = []
    for name, value in asked.items():
        several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        given += [(name, str(one)) for one in several if one is not None]
    return f"?{urlencode(given, errors='surrogatepass')}" if given else ""


def _part(text: str, kind: str = "deployment") -> str:
    """A name or id as a part of a path. What can't be one names nothing."""
    if "/" in text or text in ("", ".", ".."):
        hint = f"See `controller {kind}s list`."
        raise ProblemError({"reason": "NotFound", "detail": f"There is no {kind} {text!r}.", "hint": hint}, 404)
    return quote(text, safe="", errors="surrogatepass")


def _key(given: str | None) -> dict[str, bytes]:
    if given is None:
        return {}
    if not 0 < len(given.strip()) == len(given) <= _LONGEST_KEY or not given.isprintable():
        detail = f"An idempotency key is a line of 1 to {_LONGEST_KEY} characters, without spaces around it."
        raise ProblemError({"reason": "Usage", "detail": detail}, 422)
    return {"Idempotency-Key": given.encode("utf-8", "surrogatepass")}
