"""The one place that writes conditions and events of a pass. Pure: what happened in, words out."""

from collections.abc import Iterable
from datetime import datetime

from controller.errors import SourceError
from controller.model.findings import Finding, Severity
from controller.model.status import Condition, ConditionType, Event, EventSeverity, InventoryEntry
from controller.reconcile.plan import Plan

MAX_FINDINGS = 1000


def ready(
    status: bool, reason: str, message: str, now: datetime, before: Iterable[Condition] = ()
) -> tuple[Condition, ...]:
    """The Ready condition; its transition time moves only when the answer changes."""
    since = next(
        (old.last_transition_time for old in before if old.type is ConditionType.READY and old.status is status), now
    )
    return (
        Condition(type=ConditionType.READY, status=status, reason=reason, message=message, last_transition_time=since),
    )


def applied(plan: Plan, now: datetime, before: Iterable[Condition]) -> tuple[Condition, ...]:
    """The source's conditions after its revision was applied."""
    errors = [finding for finding in plan.findings if finding.severity is Severity.ERROR]
    if not errors:
        return ready(True, "Applied", f"Applied {plan.revision}.", now, before)
    files = len({finding.file for finding in errors})
    noun = "file" if files == 1 else "files"
    return ready(False, "InvalidManifest", f"{files} bad {noun}; all else is applied: {where(errors[0])}", now, before)


def unavailable(error: SourceError, now: datetime, before: Iterable[Condition]) -> tuple[Condition, ...]:
    """The source's conditions when it could not be read: everything in force stays in force."""
    return ready(False, error.reason, _sentence(error), now, before)


def source_events(
    old: Iterable[Condition], new: Iterable[Condition], revision: str | None, now: datetime
) -> list[Event]:
    """What to tell about the source: only changes of its answer or reason."""
    was = {condition.type: (condition.status, condition.reason, condition.message) for condition in old}
    found = []
    for condition in new:
        said = (condition.status, condition.reason, condition.message)
        before = was.get(condition.type)
        if before == said or (before is not None and before[0] and condition.status):
            continue
        found.append(
            Event(
                time=now,
                severity=EventSeverity.INFO if condition.status else EventSeverity.ERROR,
                reason=condition.reason,
                message=condition.message,
                about="source",
                revision=revision,
            )
        )
    return found


def plan_events(plan: Plan, recorded: Iterable[InventoryEntry], now: datetime) -> list[Event]:
    """What to tell about deployments: what was created, updated, pruned, and what became bad or good again."""
    said = {entry.name: {(old.status, old.message) for old in entry.conditions} for entry in recorded}
    found = [_event(now, "Pruned", "It left the repository.", entry.name, plan) for entry in plan.delete]
    found += [_event(now, "Created", f"Declared in {new.file}:{new.line}.", new.name, plan) for new in plan.create]
    for update in plan.update:
        message = f"Declared in {update.after.file}:{update.after.line}."
        reason = "Updated" if update.before.is_valid else "Recovered"
        found.append(_event(now, reason, message, update.after.name, plan))
    for kept in plan.keep:
        if (False, kept.message) not in said.get(kept.entry.name, set()):
            message = f"Its last good version stays in force: {kept.message}"
            event = _event(now, "InvalidManifest", message, kept.entry.name, plan, EventSeverity.ERROR)
            found.append(event)
    return found


def where(finding: Finding) -> str:
    """A finding in one line."""
    return f"{finding.file}:{finding.line}:{finding.column}: {finding.message}"


def _event(
    now: datetime,
    reason: str,
    message: str,
    about: str,
    plan: Plan,
    severity: EventSeverity = EventSeverity.INFO,
) -> Event:
    return Event(time=now, severity=severity, reason=reason, message=message, about=about, revision=plan.revision)


def _sentence(error: SourceError) -> str:
    return error.message if error.hint is None else f"{error.message} {error.hint}"
