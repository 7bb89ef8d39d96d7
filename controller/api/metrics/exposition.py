"""Collects all metrics and writes them in the format that the client asks for: Prometheus' text, or OpenMetrics."""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from controller.api.metrics.deployment_series import deployment_series
from controller.api.metrics.parts import RunningParts
from controller.api.metrics.process_families import process_families
from controller.api.metrics.state_families import state_families
from controller.clock import Clock
from controller.queries.deployment_cache import DeploymentCache
from controller.queries.last_successes import LastSuccesses
from controller.store import Store
from controller.store.condition_file import NOTICES, read_notices
from controller.store.state_directory import StateDirectory

_END = b"# EOF\n"


class Exposition:
    """All metrics of one controller. Safe to use from several threads."""

    def __init__(
        self, parts: RunningParts, store: Store, state: StateDirectory, deployments: DeploymentCache, clock: Clock
    ) -> None:
        self._parts = parts
        self._store = store
        self._state = state
        self._deployments = deployments
        self._clock = clock
        self._successes = LastSuccesses()

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics, and their content type according to the `Accept` header. Raises StateError."""
        now = self._clock.now()
        views = self._deployments.deployments()
        notices = read_notices(self._state.path / NOTICES)
        series = ""
        with self._store.read() as tx:
            families = [*process_families(self._parts, self._store.writes, self._state.file, now)]
            families += state_families(tx, views, notices, self._parts.oldest_due(tx, now), now)
            if self._parts.has_deployment_series:
                successes = self._successes.refresh(tx, [view.name for view in views])
                series = deployment_series(views, successes)
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Families(families))
        encode, content_type = choose_encoder(accept)
        body: bytes = encode(registry)
        end = _END if body.endswith(_END) else b""
        return body.removesuffix(end) + series.encode("utf-8", "replace") + end, content_type


@dataclass(frozen=True, slots=True, eq=False)
class _Families:
    """A collector of prometheus_client that returns what was read before, so that errors of the state are raised."""

    families: Iterable[Metric]

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""
        return self.families
