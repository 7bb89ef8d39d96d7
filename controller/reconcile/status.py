"""The one place that writes conditions and events of a pass. Pure: what happened in, words out."""

from collections.abc import Iterable
from datetime import datetime

from controller.errors import SourceError
from controller.model.findings import Finding
from controller.model.snapshots import PROJECT_FILE
from controller.model.status import INVALID, KEPT, WITHHELD, Condition, ConditionType, Event, EventSeverity
from controller.reconcile.plan import Kept, Plan

MAX_FINDINGS = 1000
_TOLD = (ConditionType.READY, ConditionType.PRUNE_WITHHELD)
"""The others say nothing that these do not."""
_SEVERITIES = {ConditionType.PRUNE_WITHHELD: EventSeverity.WARNING}


def condition(
    kind: ConditionType, status: bool, reason: str, message: str, now: datetime, before: Iterable[Condition]
) -> Condition:
    """One condition; its transition time moves only when the answer changes."""
    since = next((old.last_transition_time for old in before if old.type is kind and old.status is status), now)
    return Condition(type=kind, status=status, reason=reason, message=message, last_transition_time=since)


def ready(
    status: bool, reason: str, message: str, now: datetime, before: Iterable[Condition] = ()
) -> tuple[Condition, ...]:
    """The Ready condition alone."""
    return (condition(ConditionType.READY, status, reason, message, now, before),)


def kept(one: Kept, now: datetime) -> tuple[Condition, ...]:
    """The conditions of a deployment that stays though git does not declare it (well)."""
    return ready(one.reason == KEPT, one.reason, one.message, now, one.entry.conditions)


def applied(plan: Plan, now: datetime, before: Iterable[Condition]) -> tuple[Condition, ...]:
    """The source's conditions after a plan was carried out, or was blocked.

    Ready is always there, the others only while they are true; none of them is while Ready is.
    """
    known = tuple(before)
    found: list[Condition] = []

    def say(kind: ConditionType, status: bool, reason: str, message: str) -> None:
        found.append(condition(kind, status, reason, message, now, known))

    if plan.errors:
        say(ConditionType.READY, False, INVALID, _about_errors(plan))
        say(ConditionType.STALLED, True, INVALID, "It goes on with the next commit.")
    elif plan.withheld is not None:
        say(ConditionType.READY, False, WITHHELD, f"Applied {plan.revision}, but for deletions.")
    else:
        say(ConditionType.READY, True, "Applied", f"Applied {plan.revision}.")
    if plan.withheld is not None:
        message = f"{plan.withheld.reason}; to release that: controller approve {plan.withheld.digest}"
        say(ConditionType.PRUNE_WITHHELD, True, "DeletionGuard", message[0].upper() + message[1:])
    return tuple(found)


def _about_errors(plan: Plan) -> str:
    files = len({finding.file for finding in plan.errors})
    noun = "file" if files == 1 else "files"
    return f"{files} bad {noun}; {_about_the_rest(plan)}: {where(plan.errors[0])}"


def _about_the_rest(plan: Plan) -> str:
    """What becomes of what is not bad: a broken controller.yaml leaves nothing, a bad file casts doubt on others."""
    files, names = ({getattr(finding, key) for finding in plan.errors} for key in ("file", "deployment"))
    is_project_broken = PROJECT_FILE in files and not (plan.changes_anything or plan.unchanged)
    if plan.is_blocked or is_project_broken:
        return "nothing is applied"
    waiting = [
        one for one in plan.keep if one.reason == INVALID and not (one.entry.file in files or one.entry.name in names)
    ]
    if not waiting:
        return "all else is applied"
    return (
        f"all else is applied, but {len(waiting)} may have moved there and {'is' if len(waiting) == 1 else 'are'} kept"
    )


def unavailable(error: SourceError, now: datetime, before: Iterable[Condition]) -> tuple[Condition, ...]:
    """The source's conditions when it could not be read: everything in force stays in force."""
    known = tuple(before)
    found = [*ready(False, error.reason, _sentence(error), now, known)]
    if error.needs_change:
        found.append(condition(ConditionType.STALLED, True, error.reason, "Somebody has to change it.", now, known))
    else:
        message = "It is tried again, less and less often."
        found.append(condition(ConditionType.RECONCILING, True, "ProgressingWithRetry", message, now, known))
    withheld = [old for old in known if old.type is ConditionType.PRUNE_WITHHELD]
    return (*found, *withheld)


def source_events(
    old: Iterable[Condition], new: Iterable[Condition], revision: str | None, now: datetime
) -> list[Event]:
    """What to tell about the source: only changes of an answer, or of the reason for a bad one."""
    was = {condition.type: (condition.status, condition.reason, condition.message) for condition in old}
    found = []
    for said in new:
        before = was.get(said.type)
        is_good = said.status is (said.type is ConditionType.READY)
        is_same = before == (said.status, said.reason, said.message)
        is_told_below = said.type is ConditionType.READY and said.reason == WITHHELD
        if said.type not in _TOLD or is_told_below or is_same or (before is not None and before[0] and is_good):
            continue
        found.append(
            Event(
                time=now,
                severity=EventSeverity.INFO if is_good else _SEVERITIES.get(said.type, EventSeverity.ERROR),
                reason=said.reason if said.type is ConditionType.READY else said.type.value,
                message=said.message,
                about="source",
                revision=revision,
            )
        )
    return found


def plan_events(plan: Plan, now: datetime) -> list[Event]:
    """What to tell about deployments: what was created, updated, renamed, pruned, kept, or became good again."""
    found = [_event(now, "Pruned", "It left the repository.", entry.name, plan) for entry in plan.delete]
    found += [_event(now, "Created", f"Declared in {new.file}:{new.line}.", new.name, plan) for new in plan.create]
    for update in plan.changed:
        message = f"Declared in {update.after.file}:{update.after.line}."
        reason = "Updated" if update.before.is_valid else "Recovered"
        if update.is_renamed:
            reason, message = "Renamed", f"It was {update.before.name}; its history came along. {message}"
        found.append(_event(now, reason, message, update.after.name, plan))
    for one in plan.keep:
        if (one.reason, one.message) not in {(old.reason, old.message) for old in one.entry.conditions}:
            severity = {INVALID: EventSeverity.ERROR, WITHHELD: EventSeverity.WARNING}.get(one.reason)
            message = f"Its last good version stays in force: {one.message}"
            found.append(_event(now, one.reason, message, one.entry.name, plan, severity or EventSeverity.INFO))
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
