"""The progress of a running run: a share for its bar, and the same as text. The overview page shows both."""

from datetime import datetime

from controller.api.dashboard.template_filters import seconds
from controller.queries.progress import RunningRun
from controller.records import dataclass
from controller.text import format_count

_MAX_PERCENT = 100.0
_LONG = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is, in percent, and why we think so. `percent` is None if nothing is known."""

    percent: float | None
    text: str


def run_progress(run: RunningRun, now: datetime) -> Progress:
    """Return the progress of a run: by its tasks, or else by the median duration of the deployment's last runs."""
    elapsed = 0.0 if run.running_since is None else max(0.0, (now - run.running_since).total_seconds())
    left = _time_left(elapsed, run.typical_seconds)
    if run.tasks_seen:
        text = f"{run.tasks_done} of {format_count(run.tasks_seen, 'task')}"
        return Progress(
            percent=run.tasks_done / run.tasks_seen * _MAX_PERCENT, text=f"{text}, {left}" if left else text
        )
    if not run.typical_seconds:
        return Progress(percent=None, text="")
    return Progress(percent=min(_MAX_PERCENT, elapsed / run.typical_seconds * _MAX_PERCENT), text=left)


def _time_left(elapsed: float, typical: float | None) -> str:
    if not typical:
        return ""
    if elapsed < typical:
        return f"~{seconds(round(typical - elapsed))} left"
    return f"usually {seconds(typical)}" if elapsed > typical * _LONG else "almost done"
