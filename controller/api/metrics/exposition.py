"""Collects all metrics and writes them in the format that the client asks for: Prometheus' text, or OpenMetrics."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from controller.api.metrics.deployment_series import deployment_series
from controller.api.metrics.leadership_families import leadership_families
from controller.api.metrics.parts import RunningParts
from controller.api.metrics.process_families import process_families
from controller.api.metrics.state_families import state_families
from controller.clock import Clock
from controller.queries.deployment_cache import DeploymentCache
from controller.queries.last_successes import LastSuccesses
from controller.queries.leadership import Standing
from controller.records import dataclass
from controller.store import Store
from controller.store.condition_file import NOTICES, read_notices
from controller.store.state_directory import StateDirectory

_END = b"# EOF\n"


class Exposition:
    """All metrics of one controller. Safe to use from several threads.

    A standby has no `parts`, and only the metrics of its process and its role: those of the state are the leader's.
    """

    def __init__(
        self,
        parts: RunningParts | None,
        store: Store,
        state: StateDirectory,
        deployments: DeploymentCache,
        clock: Clock,
        standing: Callable[[], Standing | None],
    ) -> None:
        self._parts = parts
        self._store = store
        self._state = state
        self._deployments = deployments
        self._clock = clock
        self._standing = standing
        self._successes = LastSuccesses()

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics, and their content type according to the `Accept` header. Raises StateError."""
        families = list(leadership_families(self._standing()))
        series = "" if self._parts is None else self._render_parts(self._parts, families)
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Families(families))
        encode, content_type = choose_encoder(accept)
        body: bytes = encode(registry)
        end = _END if body.endswith(_END) else b""
        return body.removesuffix(end) + series.encode("utf-8", "replace") + end, content_type

    def _render_parts(self, parts: RunningParts, families: list[Metric]) -> str:
        """Add the metrics of the running parts and of the state. Return the series of deployments as text."""
        now = self._clock.now()
        views = self._deployments.deployments()
        notices = read_notices(self._state.path / NOTICES)
        with self._store.read() as tx:
            families += process_families(parts, self._store.writes, self._state.file, now)
            families += state_families(tx, views, notices, parts.oldest_due(tx, now), now)
            if not parts.has_deployment_series:
                return ""
            return deployment_series(views, self._successes.refresh(tx, [view.name for view in views]))


@dataclass(frozen=True, slots=True, eq=False)
class _Families:
    """A collector of prometheus_client that returns what was read before, so that errors of the state are raised."""

    families: Iterable[Metric]

    def collect(self) -> Iterable[Metric]:
        """Return the metrics."""
        return self.families
