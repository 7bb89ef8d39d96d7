"""The metrics that are read from the database and from the list of deployments. Called by `exposition`."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from prometheus_client.core import GaugeMetricFamily

from controller.model.backfills import BackfillState
from controller.model.notifications import ChannelState, Trouble
from controller.model.policies import DEFAULT_QUEUE
from controller.model.python_environments import PythonState
from controller.model.queues import EVERYTHING, WaitKind, schedule_queue
from controller.model.runs import RunState, creation_time
from controller.model.status import Condition, ConditionType, SourceStatus
from controller.queries.deployments import DeploymentView, Health, Sync
from controller.queries.executor_conditions import list_cluster_executors
from controller.store import (
    Transaction,
    backfills,
    incidents,
    messages,
    python_environments,
    queues,
    run_statistics,
    source_status,
)

_WAITS_FOR_SLOT = (None, WaitKind.SLOT, WaitKind.LAST_SLOT)
_OF_DEPLOYMENTS = {
    ConditionType.PYTHON_READY,
    ConditionType.LATE,
    ConditionType.OVERDUE,
    ConditionType.FILES_WATCHED,
    ConditionType.EXECUTOR_READY,
}
"""The types of conditions that the source never has."""


def state_families(
    tx: Transaction,
    views: Sequence[DeploymentView],
    notices: Iterable[Condition],
    oldest_message: datetime | None,
    now: datetime,
) -> Iterator[GaugeMetricFamily]:
    """Yield the metrics of runs, backfills, deployments, Python environments, the source, queues and notifications.

    `notices` are the conditions that are not in the database. `oldest_message` is when the oldest message was written
    that should have been sent by now.
    """
    by_state = dict.fromkeys((state.public for state in RunState), 0)
    for state, count in run_statistics.by_state(tx).items():
        by_state[state.public] += count
    yield labelled("controller_runs", "Recorded runs by state.", "state", by_state)
    yield from _backfill_families(tx)
    syncs, healths = Counter(view.sync for view in views), Counter(view.health for view in views)
    text = "Deployments by sync status."
    yield labelled("controller_deployments_sync", text, "sync", {sync: syncs[sync] for sync in Sync})
    text = "Deployments by health status."
    yield labelled("controller_deployments_health", text, "health", {health: healths[health] for health in Health})
    yield from _python_families(tx)
    yield from _source_families(source_status.find(tx), notices)
    ready = {status.name: int(status.ready.is_true) for status in list_cluster_executors(tx)}
    text = "Executors that run flows on a cluster, 1 if the cluster answered the last request about its jobs."
    yield labelled("controller_executor_ready", text, "executor", ready)
    yield from _queue_families(tx, now)
    yield from _notification_families(tx, oldest_message, now)


def labelled(name: str, text: str, label: str, values: Mapping[Any, float]) -> GaugeMetricFamily:
    """Return a gauge with a series for each value, including zeros: a missing series would look like a failure."""
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family


def _backfill_families(tx: Transaction) -> Iterator[GaugeMetricFamily]:
    by_state = dict.fromkeys(BackfillState, 0) | backfills.count_by_state(tx)
    yield labelled("controller_backfills", "Backfills by state.", "state", by_state)
    unfinished = backfills.count(tx, [backfill.id for backfill in backfills.find_unfinished(tx)]).values()
    states = ("waiting", "running", "done", "failed", "cancelled")
    times = {state: sum(getattr(progress, state) for progress in unfinished) for state in states}
    text = "Due times of running and paused backfills by state."
    yield labelled("controller_backfill_due_times", text, "state", times)


def _python_families(tx: Transaction) -> Iterator[GaugeMetricFamily]:
    by_state = dict.fromkeys(PythonState, 0) | python_environments.count_by_state(tx)
    yield labelled("controller_python_environments", "Python environments by state.", "state", by_state)
    size = python_environments.bytes_on_disk(tx)
    yield GaugeMetricFamily("controller_python_bytes", "Size of the Python environments on disk.", size)


def _source_families(source: SourceStatus | None, notices: Iterable[Condition]) -> Iterator[GaugeMetricFamily]:
    conditions = {kind: 0 for kind in ConditionType if kind not in _OF_DEPLOYMENTS}
    recorded = () if source is None else source.conditions
    conditions |= {condition.type: int(condition.is_true) for condition in recorded}
    for notice in notices:
        conditions |= {ConditionType.READY: 0, notice.type: int(notice.is_true)}
    yield labelled("controller_source_condition", "Conditions of the source, 1 if true.", "type", conditions)
    withheld = len(source.withheld.deployments) if source is not None and source.withheld is not None else 0
    yield GaugeMetricFamily("controller_withheld_deletions", "Deletions awaiting approval.", withheld)


def _queue_families(tx: Transaction, now: datetime) -> Iterator[GaugeMetricFamily]:
    load = queues.read_load(tx, now)
    limits = {name: limit for name, limit in load.limits.items() if name != EVERYTHING}
    depth = Counter(dict.fromkeys((DEFAULT_QUEUE, *limits), 0))
    oldest = dict.fromkeys(depth, 0.0)
    for run, reason in schedule_queue(queues.find_startable(tx, now), load, now):
        if (None if reason is None else reason.kind) not in _WAITS_FOR_SLOT:
            continue
        depth[run.queue] += 1
        since = max(creation_time(run.id), run.not_before or creation_time(run.id))
        seconds = 0.0 if run.attempt else (now - since).total_seconds()
        oldest[run.queue] = max(oldest.get(run.queue, 0.0), seconds)
    running = {name: load.running.get(name, 0) for name in depth}
    yield labelled("controller_queue_depth", "Runs that wait for a free slot, by queue.", "queue", depth)
    text = "How long the oldest run that waits for a free slot could have started, in seconds."
    yield labelled("controller_queue_oldest_wait_seconds", text, "queue", oldest)
    yield labelled("controller_queue_running", "Runs in progress by queue.", "queue", running)
    yield labelled("controller_queue_limit", "Limits of the queues that have one.", "queue", limits)
    total = load.running.get(EVERYTHING, 0)
    yield GaugeMetricFamily("controller_running_runs", "Runs in progress.", total)
    yield GaugeMetricFamily("controller_max_running", "The value of --max-running.", load.limits.get(EVERYTHING, 0))


def _notification_families(tx: Transaction, oldest: datetime | None, now: datetime) -> Iterator[GaugeMetricFamily]:
    text = "Open incidents by trouble."
    counts = Counter(incident.trouble for incident in incidents.find_open(tx))
    troubles = {trouble: counts[trouble] for trouble in Trouble if trouble is not Trouble.RECOVERED}
    yield labelled("controller_incidents_open", text, "trouble", troubles)
    text = "Recorded messages by delivery state."
    yield labelled("controller_notification_messages", text, "delivery", messages.count_by_delivery(tx))
    seconds = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
    text = "Age of the oldest message that should have been sent and was not, 0 without one."
    yield GaugeMetricFamily("controller_notification_oldest_waiting_seconds", text, seconds)
    channels = Counter(channel.state for channel in messages.find_channels(tx))
    text = "Notification channels by state."
    yield labelled(
        "controller_notification_channels", text, "state", {state: channels[state] for state in ChannelState}
    )
