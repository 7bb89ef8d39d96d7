"""Template filters for deployments and runs: success rates, slow runs, commits, times in options."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from controller.model.commits import commit_id
from controller.model.runs import Run
from controller.time_format import format_time

_SLOW = 3
_LEAST_SECONDS = 1.0
"""How much longer than the median a run must take to be called slow: short runs vary a lot."""
_IN_TENTHS = 10


def success_rate(succeeded: int, ended: int) -> str:
    """Format the percentage of ended runs that succeeded: `100 %` only if all did, and `0 %` only if none did."""
    percent = 100 * succeeded / ended
    if 0 < succeeded < ended:
        percent = min(99.9, max(0.1, percent))
    return f"{percent:.1f}".removesuffix(".0") + " %"


def slowness(run: Run, median: float | None, now: datetime) -> str:
    """Return by which factor a run is, or was, slower than the median of successful runs; empty if it is not slow."""
    took = run.took if run.running_since is None else (now - run.running_since).total_seconds()
    if not median or took is None or took < _SLOW * median or took - median < _LEAST_SECONDS:
        return ""
    factor = took / median
    return f"{factor:.1f}" if factor < _IN_TENTHS else f"{factor:.0f}"


def in_zone(moment: datetime, zone: str) -> str:
    """Format a time as text without an element, for options, in this time zone or in UTC."""
    return format_time(moment, ZoneInfo(zone) if zone else UTC)


DEPLOYMENT_FILTERS = {"success_rate": success_rate, "slowness": slowness, "commit_id": commit_id, "in_zone": in_zone}
