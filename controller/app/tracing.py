"""Traces as one component of the controller: connects the passes and the runs with the exporter of spans.

`controller.app.controller` opens and closes it. Without an endpoint, nothing is traced and opentelemetry is not loaded.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from controller.app.spans import attempt_span, pass_span, traceparent
from controller.errors import ControllerError, UsageError
from controller.model.runs import Run, RunOutcome
from controller.reconcile.loop import Loop
from controller.reconcile.reconciler import PassResult
from controller.runs.engine import Engine

if TYPE_CHECKING:
    from controller.app.otlp import SpanExporter

_URL = re.compile(r"https?://[!-~]+")


class Tracing:
    """Exports a span for each pass and each attempt of a run.

    Raises UsageError if the endpoint is not a URL, or the extra `otel` is not installed.
    """

    def __init__(self, endpoint: str | None) -> None:
        self._exporter = None if endpoint is None else _open_exporter(endpoint)

    def connect(self, loop: Loop, engine: Engine) -> None:
        """Export spans for the passes of this loop and the attempts of this engine."""
        if self._exporter is not None:
            loop.on_pass = self._export_pass
            engine.statistics.on_end = self._export_attempt

    def flow_variables(self, run: Run) -> Mapping[str, str]:
        """Return the variables that let the flow of this run continue its trace; none without tracing."""
        return {} if self._exporter is None else {"TRACEPARENT": traceparent(run)}

    def close(self) -> None:
        """Send the last spans, for a short time."""
        if self._exporter is not None:
            self._exporter.close()

    def _export_pass(self, result: PassResult | ControllerError, now: datetime, seconds: float) -> None:
        if self._exporter is not None:
            self._exporter.export(pass_span(result, now, seconds))

    def _export_attempt(self, run: Run, outcome: RunOutcome, now: datetime) -> None:
        if self._exporter is not None:
            self._exporter.export(attempt_span(run, outcome, now))


def _open_exporter(endpoint: str) -> "SpanExporter":
    if not _is_base_url(endpoint):
        raise UsageError(
            "--otlp-endpoint: expected the http(s) URL of an OTLP receiver, without user, query and fragment.",
            hint="For example: --otlp-endpoint http://localhost:4318. Set credentials in OTEL_EXPORTER_OTLP_HEADERS.",
        )
    try:
        from controller.app.otlp import SpanExporter
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--otlp-endpoint needs OpenTelemetry, which is not installed (no module {error.name}).",
            hint="Install the extra: pip install 'flow-controller[otel]'. Or unset OTEL_EXPORTER_OTLP_ENDPOINT.",
        ) from error
    return SpanExporter(endpoint)


def _is_base_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return _URL.fullmatch(text) is not None and has_host and not {"?", "#", "@"} & set(text)
