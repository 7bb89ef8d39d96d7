"""Exports spans with OpenTelemetry over OTLP/HTTP. The only module that uses opentelemetry, which is an extra.

`tracing` opens it, if the operator named an endpoint. A thread of OpenTelemetry sends the spans in batches. Nothing
else waits for the server: if it does not respond, spans are dropped.
"""

import logging
import threading

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from controller import __version__
from controller.app.spans import Span

log = logging.getLogger(__name__)

CLOSE_SECONDS = 2.0
"""How long `close` waits until the last spans are sent."""
_PATH = "/v1/traces"
_SCOPE = InstrumentationScope("controller", __version__)


class SpanExporter:
    """Sends spans to `endpoint`, the base URL of an OTLP receiver. `OTEL_*` variables set headers, TLS and resource."""

    def __init__(self, endpoint: str) -> None:
        _forward_logs()
        # `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` replace these.
        own = Resource({"service.name": "controller", "service.version": __version__})
        self._resource = own.merge(OTELResourceDetector().detect())
        self._exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}{_PATH}")
        self._processor = BatchSpanProcessor(self._exporter)

    def export(self, span: Span) -> None:
        """Queue a span to be sent. Returns at once; drops the oldest spans if the queue is full."""
        status = Status(StatusCode.ERROR, span.error) if span.error is not None else Status()
        self._processor.on_end(
            ReadableSpan(
                span.name,
                SpanContext(span.trace_id, span.span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)),
                resource=self._resource,
                attributes=dict(span.attributes),
                status=status,
                start_time=int(span.start.timestamp() * 1e9),
                end_time=int(span.end.timestamp() * 1e9),
                instrumentation_scope=_SCOPE,
            )
        )

    def close(self) -> None:
        """Send what is queued, for at most `CLOSE_SECONDS`."""
        closing = threading.Thread(target=self._processor.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)
        if closing.is_alive():
            logging.getLogger("opentelemetry").handlers = [logging.NullHandler()]  # it would log each step of its end
            self._exporter.shutdown()  # type: ignore[no-untyped-call]


def _forward_logs() -> None:
    """Log warnings and errors of OpenTelemetry as ours, on which `logs` decides where they go."""
    logger = logging.getLogger("opentelemetry")
    logger.propagate = False
    logger.handlers = [_Forwarder(logging.WARNING)]


class _Forwarder(logging.Handler):
    """Logs the first, second, fourth, eighth … record: each batch that can't be sent causes several."""

    _count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self._count += 1
        if self._count & (self._count - 1) == 0:
            log.warning("Traces can't be exported", extra={"error": record.getMessage()})
