"""Conditions as every surface shows them, in Kubernetes' spelling: `Ready`, `"True"` or `"False"`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from controller.model.status import Condition


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
