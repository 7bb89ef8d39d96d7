"""The spans of traces: one for each reconcile pass and one for each attempt of a run. Pure.

The ids of a run's trace follow from the id of the run, so that the controller that records the end of an attempt can
write its span, even if another one started it, and no id must be stored.
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta

from controller.errors import ControllerError
from controller.model.runs import FAILURES, Run, RunOutcome
from controller.reconcile.pass_statistics import pass_outcome
from controller.reconcile.reconciler import PassResult
from controller.records import dataclass

Attribute = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span. `trace_id` has 128 bits and `span_id` 64. `error`: why it failed, None if it did not fail."""

    name: str
    trace_id: int
    span_id: int
    start: datetime
    end: datetime
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    error: str | None = None


def traceparent(run: Run) -> str:
    """Return the W3C trace context of an attempt of this run, for the environment of its flow."""
    return f"00-{_trace_id(run):032x}-{_span_id(run):016x}-01"


def attempt_span(run: Run, outcome: RunOutcome, now: datetime) -> Span:
    """Return the span of the attempt that ended with this outcome; `run` is the run as it was during the attempt."""
    end = outcome.finished_at or now
    start = run.started_at or end
    if outcome.seconds is not None:
        start = end - timedelta(seconds=outcome.seconds)
    has_failed = outcome.state in FAILURES
    optional: Mapping[str, Attribute | None] = {
        "controller.due_time": None if run.scheduled_for is None else run.scheduled_for.isoformat(),
        "controller.reason": outcome.reason,
        "controller.exit_code": outcome.exit_code,
        "controller.signal": outcome.signal,
        "controller.backfill_id": run.backfill_id,
    }
    return Span(
        name=f"run {run.deployment}",
        trace_id=_trace_id(run),
        span_id=_span_id(run),
        start=min(start, end),
        end=end,
        attributes={
            "controller.deployment": run.deployment,
            "controller.run_id": run.id,
            "controller.attempt": run.attempt,
            "controller.state": outcome.state.value,
            "controller.revision": run.revision,
            "controller.trigger": run.trigger.value,
            "controller.queue": run.queue,
            **{name: value for name, value in optional.items() if value is not None},
        },
        error=(outcome.reason or outcome.state.value) if has_failed else None,
    )


def pass_span(result: PassResult | ControllerError, now: datetime, seconds: float) -> Span:
    """Return the span of a pass that ended now and took this many seconds."""
    attributes: dict[str, Attribute] = {"controller.result": pass_outcome(result).value}
    error = result if isinstance(result, ControllerError) else result.error
    if error is not None:
        attributes["controller.reason"] = error.reason
    if isinstance(result, PassResult):
        if (revision := result.status.last_applied_revision) is not None:
            attributes["controller.revision"] = revision
        if (plan := result.plan) is not None:
            counts = {"created": plan.create, "changed": plan.changed, "pruned": plan.delete, "kept": plan.keep}
            attributes |= {f"controller.{name}": len(names) for name, names in counts.items()}
    return Span(
        name="reconcile pass",
        trace_id=secrets.randbits(128) | 1,
        span_id=secrets.randbits(64) | 1,
        start=now - timedelta(seconds=seconds),
        end=now,
        attributes=attributes,
        error=None if error is None else error.message,
    )


def _trace_id(run: Run) -> int:
    return int(run.id.replace("-", ""), 16)


def _span_id(run: Run) -> int:
    digest = hashlib.sha256(f"{run.id}/{run.attempt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") | 1
