"""The metrics of controllers that share a state: which one leads, and what a standby forwards."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from controller.queries.leadership import Role, Standing


def leadership_families(standing: Standing | None) -> Iterator[Metric]:
    """Yield the metrics of this controller's role; none for a state in a file."""
    if standing is None:
        return
    text = "1 if this controller leads, 0 if it is a standby."
    yield GaugeMetricFamily("controller_leads", text, int(standing.role is Role.LEADER))
    if standing.lag_seconds is not None:
        text = "How long ago this standby last asked the database who leads."
        yield GaugeMetricFamily("controller_standby_lag_seconds", text, standing.lag_seconds)
    if standing.forwarded_requests is not None:
        text = "Requests that this standby has forwarded to the leader."
        yield CounterMetricFamily("controller_forwarded_requests", text, standing.forwarded_requests)
