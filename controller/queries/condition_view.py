"""Conditions as every surface shows them, in Kubernetes' spelling: `Ready`, `"True"`, `"False"` or `"Unknown"`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from controller.model.status import Condition, ConditionType
from controller.time_format import in_utc


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionView:
    """One answer, and since when it holds."""

    type: str
    status: str
    reason: str
    message: str
    last_transition_time: datetime


def condition_views(conditions: Iterable[Condition]) -> tuple[ConditionView, ...]:
    """Show these conditions."""
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
    """Show those of the source. While a pass does not end, nobody knows whether it is ready."""
    views = condition_views(conditions)
    if overdue_since is None:
        return views
    unknown = ConditionView(
        type=ConditionType.READY.value,
        status="Unknown",
        reason="PassOverdue",
        message=f"The pass that began at {in_utc(overdue_since)} has not ended; schedules go on.",
        last_transition_time=overdue_since,
    )
    return (unknown, *(view for view in views if view.type != unknown.type))
