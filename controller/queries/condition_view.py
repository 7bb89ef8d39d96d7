"""Conditions as all user interfaces show them, spelled as in Kubernetes: `"True"`, `"False"` or `"Unknown"`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from controller.model.status import Condition, ConditionType
from controller.time_format import in_utc


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionView:
    """One condition, and the time since which it has had this status."""

    type: str
    status: str
    reason: str
    message: str
    last_transition_time: datetime


def condition_views(conditions: Iterable[Condition]) -> tuple[ConditionView, ...]:
    """Convert conditions to views."""
    return tuple(
        ConditionView(
            type=condition.type.value,
            status=str(condition.status),
            reason=condition.reason,
            message=condition.message,
            last_transition_time=condition.last_transition_time,
        )
        for condition in conditions
    )


def source_conditions(conditions: Iterable[Condition], overdue_since: datetime | None) -> tuple[ConditionView, ...]:
    """Convert the conditions of the source to views. While a pass is overdue, `Ready` is `Unknown`."""
    views = condition_views(conditions)
    if overdue_since is None:
        return views
    unknown = ConditionView(
        type=ConditionType.READY.value,
        status="Unknown",
        reason="PassOverdue",
        message=f"The pass that began at {in_utc(overdue_since)} has not finished; schedules keep firing.",
        last_transition_time=overdue_since,
    )
    return (unknown, *(view for view in views if view.type != unknown.type))
