"""The sources of the metrics: the running parts of the controller, as `app` connects them."""

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime

from controller.model.python_environments import PythonStatistics
from controller.notify.delivery_statistics import DeliveryStatistics
from controller.reconcile.pass_statistics import PassStatistics
from controller.records import dataclass
from controller.runs.run_statistics import RunStatistics
from controller.store import Transaction
from controller.triggers.webhook_guard import WebhookResult


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningParts:
    """The statistics of the running parts.

    `python` returns what was built and which fork servers run. `git_requests` counts the requests to the server of a
    remote repository, by command and result. `oldest_due` returns when the oldest message was written that should have
    been sent by now. `webhook_requests` returns the number of requests to webhooks by name and result.
    `has_deployment_series` includes series of each deployment.
    """

    passes: PassStatistics
    runs: RunStatistics
    python: Callable[[], PythonStatistics]
    deliveries: DeliveryStatistics
    oldest_due: Callable[[Transaction, datetime], datetime | None]
    git_requests: Mapping[tuple[str, str], int]
    webhook_requests: Callable[[], Mapping[tuple[str, WebhookResult], int]] = field(default=dict)
    has_deployment_series: bool = True
