"""Traces: a real OTLP/HTTP receiver gets a span for each pass and each attempt, and flows get the trace context."""

import http.server
import logging
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from controller.app.otlp import SpanExporter
from controller.app.spans import Span as ExportedSpan
from controller.app.tracing import Tracing
from controller.errors import UsageError
from tests.conftest import NOW, PATIENCE_SECONDS, new_repository
from tests.receivers import free_port
from tests.unit.api.conftest import FLOWS, Served, serve
from tests.unit.store.test_records import run

pytestmark = pytest.mark.integration

DEPLOYMENTS = """
name: context
command: [sh, -c, "echo context=$TRACEPARENT"]
---
name: own
command: [sh, -c, "echo context=$TRACEPARENT"]
env: {TRACEPARENT: mine}
---
name: twice
command: ["false"]
retries: {limit: 1, delay: 1s}
"""


@dataclass
class Receiver:
    """An OTLP receiver that keeps all spans."""

    url: str = ""
    may_respond: threading.Event = field(default_factory=threading.Event)
    requests: int = 0
    spans: list[Span] = field(default_factory=list)
    resource: dict[str, str] = field(default_factory=dict)

    def receive(self, body: bytes) -> None:
        self.requests += 1
        message = ExportTraceServiceRequest()
        message.ParseFromString(body)
        for group in message.resource_spans:
            self.resource = {pair.key: pair.value.string_value for pair in group.resource.attributes}
            self.spans += [span for scope in group.scope_spans for span in scope.spans]

    def of(self, **attributes: Any) -> list[dict[str, Any]]:
        """Return the attributes of the spans that have these."""
        found = [{"span": span, **attributes_of(span)} for span in self.spans]
        return [one for one in found if all(one.get(name) == value for name, value in attributes.items())]


def attributes_of(span: Span) -> dict[str, Any]:
    return {
        pair.key.removeprefix("controller."): pair.value.int_value or pair.value.string_value
        for pair in span.attributes
    }


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.may_respond.set()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/v1/traces":
                receiver.receive(body)
            receiver.may_respond.wait(PATIENCE_SECONDS)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def traced(folder: Path, endpoint: str | None) -> Iterator[Served]:
    repository = new_repository(folder / "repo")
    repository.commit({"flows/all.py": FLOWS, "deployments/all.yaml": DEPLOYMENTS})
    served = serve(repository, folder / "state", otlp_endpoint=endpoint)
    try:
        yield served
    finally:
        served.controller.stop()


def context_of(served: Served, run_id: str) -> str:
    log = served.get(f"/api/v1/runs/{run_id}/logs/raw").text
    match = re.search(r"context=(\S*)", log)
    assert match is not None
    return match[1]


def test_passes_and_attempts_are_exported_and_flows_continue_the_trace(tmp_path: Path) -> None:
    with receiving() as receiver:
        with traced(tmp_path, receiver.url) as served:
            done, failed = served.run("context"), served.run("twice")
            context = context_of(served, done["id"])
            assert context_of(served, served.run("own")["id"]) == "mine"
        # The end of the controller has sent everything.
        [span] = receiver.of(run_id=done["id"])
        version, trace, parent, flags = context.split("-")
        assert (version, flags) == ("00", "01")
        assert (span["span"].trace_id.hex(), span["span"].span_id.hex()) == (trace, parent)
        assert (span["deployment"], span["state"], span["attempt"]) == ("context", "succeeded", 1)
        assert (span["revision"], span["trigger"]) == (done["revision"], "manual")
        assert span["span"].status.code == Status.STATUS_CODE_UNSET
        started = datetime.fromtimestamp(span["span"].start_time_unix_nano / 1e9, UTC)
        assert abs((started - datetime.fromisoformat(done["started_at"])).total_seconds()) < 5
        attempts = receiver.of(run_id=failed["id"])
        assert [one["attempt"] for one in attempts] == [1, 2]
        assert len({one["span"].trace_id for one in attempts}) == 1
        assert len({one["span"].span_id for one in attempts}) == 2
        assert {one["span"].status.code for one in attempts} == {Status.STATUS_CODE_ERROR}
        [applied] = receiver.of(result="applied")
        assert (applied["span"].name, applied["created"]) == ("reconcile pass", 3)
        assert applied["revision"] == done["revision"]
        assert receiver.resource["service.name"] == "controller"


def test_a_receiver_that_does_not_respond_delays_nothing() -> None:
    span = ExportedSpan(name="s", trace_id=1, span_id=1, start=NOW, end=NOW)
    with receiving() as receiver:
        receiver.may_respond.clear()
        exporter = SpanExporter(receiver.url)
        exporter.export(span)
        exporter.close()
        assert receiver.requests == 1  # it has not been answered
        receiver.may_respond.set()


def test_errors_are_logged_as_ours_and_less_and_less_often(caplog: pytest.LogCaptureFixture) -> None:
    SpanExporter(f"http://127.0.0.1:{free_port()}").close()
    for number in range(1, 9):
        logging.getLogger("opentelemetry.exporter").warning("no connection %d", number)
    errors = [getattr(record, "error", "") for record in caplog.records if record.name == "controller.app.otlp"]
    assert errors == [f"no connection {number}" for number in (1, 2, 4, 8)]


def test_without_an_endpoint_flows_have_no_trace_context() -> None:
    assert Tracing(None).flow_variables(run()) == {}


@pytest.mark.parametrize(
    "endpoint", ["localhost:4318", "ftp://host", "http://", "http://user:secret@host:4318", "http://host?x=1"]
)
def test_an_endpoint_that_is_no_base_url_is_rejected_without_its_credentials(endpoint: str) -> None:
    with pytest.raises(UsageError) as caught:
        Tracing(endpoint)
    assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_without_the_extra_the_error_has_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "controller.app.otlp", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    for name in [name for name in sys.modules if name.startswith("opentelemetry.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(UsageError) as caught:
        Tracing("http://localhost:4318")
    assert caught.value.hint is not None
    assert "pip install 'flow-controller[otel]'" in caught.value.hint
