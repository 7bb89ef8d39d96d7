"""The condition `FilesWatched` of a deployment whose files can't start runs, and its file triggers for people."""

from collections.abc import Iterable

from controller.model.status import Condition, ConditionStatus, ConditionType
from controller.model.trigger_texts import file_trigger_text
from controller.model.triggers import FileTrigger, WatchProblem
from controller.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTriggerView:
    """A watched folder: its declaration, and a description of what starts a run."""

    path: str
    pattern: str
    settle_seconds: float
    parameter: str | None
    text: str


def file_trigger_view(trigger: FileTrigger) -> FileTriggerView:
    """Return a file trigger for people."""
    return FileTriggerView(
        path=trigger.path,
        pattern=trigger.pattern,
        settle_seconds=trigger.settle.total_seconds(),
        parameter=trigger.parameter,
        text=file_trigger_text(trigger),
    )


def watch_conditions(problems: Iterable[WatchProblem]) -> tuple[Condition, ...]:
    """Return the condition `FilesWatched=False` for each folder with a problem."""
    return tuple(
        Condition(
            type=ConditionType.FILES_WATCHED,
            status=ConditionStatus.FALSE,
            reason=problem.reason,
            message=problem.message,
            last_transition_time=problem.since,
        )
        for problem in problems
    )
