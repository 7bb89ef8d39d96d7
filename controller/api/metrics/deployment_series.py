"""The series of each deployment, as text. Called by `exposition`.

With thousands of deployments, the encoder of prometheus_client needs half a second for them, during which no other
thread makes progress. Gauges look the same in all text formats.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from controller.model.status import ConditionType
from controller.queries.deployments import DeploymentView, Sync


class _Series(NamedTuple):
    labels: str
    value: float


def deployment_series(views: Sequence[DeploymentView], successes: Mapping[str, datetime]) -> str:
    """Return the series of these deployments. `successes` has the time of their last successful run."""
    active = [view for view in views if view.observed_generation]
    families = (
        (
            "controller_deployment_last_success_timestamp_seconds",
            "When the last successful run ended. Missing for a deployment that never succeeded.",
            (_Series(_name(view), at.timestamp()) for view in active if (at := successes.get(view.name)) is not None),
        ),
        (
            "controller_deployment_last_run",
            "1, with the state of the last run that was not skipped.",
            (_Series(f'{_name(view)},state="{state}"', 1) for view in active if (state := _last_state(view))),
        ),
        (
            "controller_deployment_next_due_timestamp_seconds",
            "The next due time. Missing without one, for example while the deployment is held.",
            (_Series(_name(view), at.timestamp()) for view in active if (at := view.next_fire_time) is not None),
        ),
        (
            "controller_deployment_consecutive_failures",
            "Failed runs since the last successful one.",
            (_Series(_name(view), _failures(view)) for view in active),
        ),
        (
            "controller_deployment_condition",
            "1 while the condition is true, otherwise missing: held, suspended, late, overdue, invalid.",
            (_Series(f'{_name(view)},condition="{condition}"', 1) for view in views for condition in _conditions(view)),
        ),
    )
    return "".join(line for name, text, series in families for line in _lines(name, text, series))


def _lines(name: str, text: str, series: Iterator[_Series]) -> Iterator[str]:
    yield f"# HELP {name} {text}\n# TYPE {name} gauge\n"
    for labels, value in series:
        yield f"{name}{{{labels}}} {value}\n"


def _name(view: DeploymentView) -> str:
    # The name of a deployment that has never been valid can be any string.
    name = view.name.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'deployment="{name}"'


def _last_state(view: DeploymentView) -> str | None:
    run = view.last_run
    return None if run is None else (run.relevant or run).state.public.value


def _failures(view: DeploymentView) -> int:
    return 0 if view.last_run is None or view.last_run.streak is None else view.last_run.streak.count


def _conditions(view: DeploymentView) -> Iterator[str]:
    types = {condition.type for condition in view.conditions if condition.is_true}
    states = {
        "held": view.held,
        "suspended": view.suspended,
        "late": view.is_late and (ConditionType.LATE in types or ConditionType.OVERDUE not in types),
        "overdue": ConditionType.OVERDUE in types,
        "invalid": view.sync is Sync.INVALID,
    }
    return (name for name, is_true in states.items() if is_true)
