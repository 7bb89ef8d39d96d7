"""The conditions `Late` and `Overdue` of a deployment that has missed a deadline."""

from collections.abc import Iterable

from controller.model.notifications import DeadlineKind, MissedDeadline, Trouble
from controller.model.status import Condition, ConditionStatus, ConditionType

_REASONS = {
    DeadlineKind.START_WITHIN: "NotStarted",
    DeadlineKind.FINISH_WITHIN: "NotFinished",
    DeadlineKind.SUCCESS_EVERY: "NoSuccess",
}


def deadline_conditions(missed: Iterable[MissedDeadline]) -> tuple[Condition, ...]:
    """Return the conditions `Late` and `Overdue`, as far as deadlines were missed."""
    conditions: dict[Trouble, Condition] = {}
    for miss in missed:
        if miss.trouble not in conditions:
            conditions[miss.trouble] = Condition(
                type=ConditionType(miss.trouble.value.title()),
                status=ConditionStatus.TRUE,
                reason=_REASONS[miss.kind],
                message=miss.message,
                last_transition_time=miss.since,
            )
    return tuple(conditions.values())
