"""The metrics that the running parts of the controller count, and those of its files. Called by `exposition`."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from math import isinf
from pathlib import Path
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from controller import __version__
from controller.api.metrics.parts import RunningParts
from controller.counters import Histogram
from controller.model.python_environments import PythonStatistics
from controller.model.runs import TERMINAL
from controller.reconcile.pass_statistics import PassOutcome, PassStatistics
from controller.runs.run_statistics import RunStatistics
from controller.triggers.webhook_guard import GIT, WebhookResult

_GIT_REQUESTS = [(command, result) for command in ("ls-remote", "fetch") for result in ("success", "failure")]


def process_families(parts: RunningParts, writes: Histogram, database: Path, now: datetime) -> Iterator[Metric]:
    """Yield the metrics of passes, git requests, launches, Python builds, the store and deliveries since the start.

    `writes` has the durations of write transactions, and `database` is the database file.
    """
    info = GaugeMetricFamily("controller_info", "The running version.", labels=["version"])
    info.add_metric([__version__], 1)
    yield info
    yield GaugeMetricFamily("controller_time_seconds", "The controller's clock, as Unix time.", now.timestamp())
    yield from _pass_families(parts.passes)
    requests = CounterMetricFamily(
        "controller_git_request", "Requests to the server of a remote repository.", labels=["type", "result"]
    )
    for labels in _GIT_REQUESTS:
        requests.add_metric(labels, parts.git_requests.get(labels, 0))
    yield requests
    yield from _run_families(parts.runs)
    yield from _python_families(parts.python())
    yield _histogram("controller_store_write_seconds", "Durations of write transactions.", writes)
    yield from _disk_families(database)
    results = {"sent": parts.deliveries.sent, "failed": parts.deliveries.failed}
    text = "Attempts to deliver a message by result."
    yield _counter("controller_notification_deliveries", text, "result", results)
    yield _webhook_family(parts.webhook_requests())


def _webhook_family(counts: Mapping[tuple[str, WebhookResult], int]) -> Metric:
    family = CounterMetricFamily(
        "controller_webhook_requests", "Requests to webhooks by result.", labels=["webhook", "result"]
    )
    for name in sorted({GIT, *(name for name, _ in counts)}):
        for result in WebhookResult:
            family.add_metric([name, result], counts.get((name, result), 0))
    return family


def _pass_families(passes: PassStatistics) -> Iterator[Metric]:
    text = "Durations of the reconcile passes."
    yield _histogram("controller_reconcile_duration_seconds", text, passes.seconds)
    outcomes = {outcome: passes.outcomes[outcome] for outcome in PassOutcome}
    yield _counter("controller_reconcile", "Reconcile passes by result.", "result", outcomes)
    text = "Time from the commit of a revision until it was applied."
    yield _histogram("controller_commit_to_active_seconds", text, passes.commit_to_active)
    text = "When the source was last read successfully; 0 if it was not since the start."
    read_at = 0.0 if passes.read_at is None else passes.read_at.timestamp()
    yield GaugeMetricFamily("controller_source_last_success_timestamp_seconds", text, read_at)
    text = "Jobs that did not match their deployment, and were repaired."
    yield CounterMetricFamily("controller_drift", text, passes.drifts)


def _run_families(runs: RunStatistics) -> Iterator[Metric]:
    text = "Time from the due times of scheduled runs, with their jitter, to the start of their flows."
    yield _histogram("controller_fire_skew_seconds", text, runs.skew)
    text = "Time that runs waited in the queue before their first attempt."
    yield _histogram("controller_queue_wait_seconds", text, runs.waits)
    launches = {"cold": runs.cold_launches, "warm": runs.warm_launches}
    text = "Supervisors that were started: cold in a new interpreter, or warm by a fork server."
    yield _counter("controller_launches", text, "start", launches)
    text = "Supervisors that could not be started, or did not become ready."
    yield CounterMetricFamily("controller_launch_failures", text, runs.launch_failures)
    attempts = {state: runs.attempts[state] for state in sorted(TERMINAL)}
    yield _counter("controller_run_attempts", "Attempts that have ended by state.", "state", attempts)


def _python_families(statistics: PythonStatistics) -> Iterator[Metric]:
    text = "Builds of Python environments that have ended since the start."
    yield CounterMetricFamily("controller_python_builds", text, statistics.builds)
    text = "Builds of Python environments that have failed since the start."
    yield CounterMetricFamily("controller_python_build_failures", text, statistics.failures)
    text = "Duration of the last build of a Python environment."
    yield GaugeMetricFamily("controller_python_last_build_seconds", text, round(statistics.last_build_seconds, 3))
    text = "Running fork servers of Python environments."
    yield GaugeMetricFamily("controller_python_fork_servers", text, statistics.fork_servers)


def _disk_families(database: Path) -> Iterator[Metric]:
    size = 0
    for file in (database, database.with_name(f"{database.name}-wal")):
        with suppress(OSError):
            size += file.stat().st_size
    yield GaugeMetricFamily("controller_store_bytes", "Size of the database on disk.", size)
    with suppress(OSError):
        disk = os.statvfs(database.parent)
        text = "Free space on the disk of the state directory."
        yield GaugeMetricFamily("controller_state_disk_free_bytes", text, disk.f_bavail * disk.f_frsize)
        text = "Size of the disk of the state directory."
        yield GaugeMetricFamily("controller_state_disk_bytes", text, disk.f_blocks * disk.f_frsize)


def _counter(name: str, text: str, label: str, values: Mapping[Any, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family


def _histogram(name: str, text: str, histogram: Histogram) -> HistogramMetricFamily:
    buckets = [("+Inf" if isinf(bound) else str(bound), count) for bound, count in histogram.buckets()]
    return HistogramMetricFamily(name, text, buckets, histogram.sum)
