"""Conditions and events of a pass. Pure functions, called by `apply` and `reconciler`.

All texts about the source and its deployments that a pass stores are written here.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from controller.errors import SourceError, shortage
from controller.model.python_environments import PythonEnvironment, PythonState
from controller.model.snapshots import PROJECT_FILE
from controller.model.status import (
    INVALID,
    KEPT,
    MISSING_UPSTREAM,
    WITHHELD,
    Condition,
    ConditionStatus,
    ConditionType,
    Event,
    EventSeverity,
    InventoryEntry,
)
from controller.reconcile.plan import Kept, Plan
from controller.text import join_and

MAX_FINDINGS = 1000
_WITH_EVENTS = (ConditionType.READY, ConditionType.PRUNE_WITHHELD)
"""Condition types whose changes become events; the others repeat what these say."""
_SEVERITIES = {ConditionType.PRUNE_WITHHELD: EventSeverity.WARNING}


def condition(
    kind: ConditionType, status: bool, reason: str, message: str, now: datetime, before: Iterable[Condition]
) -> Condition:
    """Return a condition whose transition time is that of `before` as long as its status is the same."""
    since = next((old.last_transition_time for old in before if old.type is kind and old.is_true is status), now)
    return Condition(
        type=kind,
        status=ConditionStatus(str(status)),
        reason=reason,
        message=message,
        last_transition_time=since,
    )


def ready_condition(
    status: bool, reason: str, message: str, now: datetime, before: Iterable[Condition] = ()
) -> tuple[Condition, ...]:
    """Return the conditions of something that has only a Ready condition."""
    return (condition(ConditionType.READY, status, reason, message, now, before),)


def kept_conditions(kept: Kept, now: datetime) -> tuple[Condition, ...]:
    """Return the conditions of a deployment that stays active although git does not declare this version of it."""
    before = kept.entry.conditions
    ready = ready_condition(kept.reason == KEPT, kept.reason, kept.message, now, before)
    stalled = stalled_conditions(before)
    if kept.python is None:
        return (*ready, *(old for old in before if old.type is ConditionType.PYTHON_READY), *stalled)
    return (*ready, python_condition(kept.python, now, before), *stalled)


def stalled_conditions(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return the condition Stalled of a deployment, if it has it."""
    return tuple(condition for condition in conditions if condition.type is ConditionType.STALLED)


def upstream_conditions(entry: InventoryEntry, missing: Iterable[str], now: datetime) -> tuple[Condition, ...]:
    """Return the conditions of a deployment of which these upstream deployments are not active."""
    others = tuple(old for old in entry.conditions if old.type is not ConditionType.STALLED)
    names = list(missing)
    if not names:
        return others
    message = f"Waits for {join_and(names)}, which {'is' if len(names) == 1 else 'are'} not active."
    return (*others, condition(ConditionType.STALLED, True, MISSING_UPSTREAM, message, now, entry.conditions))


def upstream_event(entry: InventoryEntry, now: datetime, revision: str) -> Event:
    """Return the event for a deployment whose condition Stalled has changed."""
    stalled = stalled_conditions(entry.conditions)
    if stalled:
        [current] = stalled
        return new_event(entry.name, now, EventSeverity.WARNING, current.reason, current.message, revision)
    message = "All upstream deployments are active."
    return new_event(entry.name, now, EventSeverity.INFO, "UpstreamsActive", message, revision)


def python_condition(python: PythonEnvironment, now: datetime, before: Iterable[Condition]) -> Condition:
    """Return the condition PythonReady of a deployment with this Python environment."""
    is_ready = python.state is PythonState.READY
    message = _describe_python(python) if is_ready else python.message
    return condition(ConditionType.PYTHON_READY, is_ready, python.reason, message, now, before)


def _describe_python(python: PythonEnvironment) -> str:
    packages = "1 package" if len(python.packages) == 1 else f"{len(python.packages)} packages"
    return f"Python {python.version} with {packages}, declared in {python.declared_at}."


def python_conditions(entry: InventoryEntry, python: PythonEnvironment | None, now: datetime) -> tuple[Condition, ...]:
    """Return the conditions of an unchanged deployment that has this Python environment, or the controller's own."""
    others = tuple(old for old in entry.conditions if old.type is not ConditionType.PYTHON_READY)
    return others if python is None else (*others, python_condition(python, now, entry.conditions))


def python_event(entry: InventoryEntry, python: PythonEnvironment, now: datetime, revision: str) -> Event:
    """Return the event for a change of the Python environment of an active deployment."""
    severity = EventSeverity.ERROR if python.state is PythonState.FAILED else EventSeverity.INFO
    state = python_condition(python, now, entry.conditions)
    reason = state.type.value if state.is_true else state.reason
    return new_event(entry.name, now, severity, reason, state.message, revision)


def applied_conditions(plan: Plan, now: datetime, before: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return the source's conditions after a plan was carried out, or was blocked.

    Ready is always present, the others only while they are true. While Ready is true, there are no others.
    """
    previous = tuple(before)
    conditions: list[Condition] = []

    def add(kind: ConditionType, status: bool, reason: str, message: str) -> None:
        conditions.append(condition(kind, status, reason, message, now, previous))

    if plan.errors:
        add(ConditionType.READY, False, INVALID, _describe_errors(plan))
        add(ConditionType.STALLED, True, INVALID, "Will be retried at the next commit.")
    elif plan.withheld is not None:
        add(ConditionType.READY, False, WITHHELD, f"Applied {plan.revision}, except for its deletions.")
    else:
        add(ConditionType.READY, True, "Applied", f"Applied {plan.revision}.")
    if plan.withheld is not None:
        message = f"{plan.withheld.reason}; to approve: controller approve {plan.withheld.digest}"
        add(ConditionType.PRUNE_WITHHELD, True, "DeletionGuard", message[0].upper() + message[1:])
    return tuple(conditions)


def _describe_errors(plan: Plan) -> str:
    files = len({finding.file for finding in plan.errors})
    noun = "file" if files == 1 else "files"
    return f"{files} invalid {noun}; {_describe_valid_part(plan)}: {plan.errors[0]}"


def _describe_valid_part(plan: Plan) -> str:
    """Say what happens to the valid part of a revision that has errors.

    With an invalid controller.yaml nothing is applied. Deployments that may have moved into an invalid file are kept.
    """
    files, names = ({getattr(finding, key) for finding in plan.errors} for key in ("file", "deployment"))
    is_project_broken = PROJECT_FILE in files and not (plan.changes_anything or plan.unchanged)
    if plan.is_blocked or is_project_broken:
        return "nothing is applied"
    count = sum(
        kept.reason == INVALID and not (kept.entry.file in files or kept.entry.name in names) for kept in plan.keep
    )
    if not count:
        return "everything else is applied"
    deployments = "1 deployment" if count == 1 else f"{count} deployments"
    return (
        f"everything else is applied, but {deployments} may have moved there and {'is' if count == 1 else 'are'} kept"
    )


def read_error(error: OSError) -> SourceError:
    """Return the error of a pass to which the operating system refused to read the source."""
    where = f"{error.filename}: " if error.filename else ""
    reason = shortage(error, with_disk=False) or error.strerror
    return SourceError(f"The source can't be read at the moment: {where}{reason}.")


def internal_error(error: Exception) -> SourceError:
    """Return the error of a pass that failed by a bug while it read the source."""
    message = f"Internal error while reading the source: {type(error).__name__}: {error}."
    return SourceError(message, hint="This is a bug in controller. Please report it.")


def unavailable_conditions(error: SourceError, now: datetime, before: Iterable[Condition]) -> tuple[Condition, ...]:
    """Return the source's conditions when it could not be read: all deployments stay active."""
    previous = tuple(before)
    conditions = [*ready_condition(False, error.reason, _sentence(error), now, previous)]
    if error.needs_change:
        message = "Manual intervention is required."
        conditions.append(condition(ConditionType.STALLED, True, error.reason, message, now, previous))
    else:
        message = "Retrying with backoff."
        conditions.append(condition(ConditionType.RECONCILING, True, "ProgressingWithRetry", message, now, previous))
    withheld = [old for old in previous if old.type is ConditionType.PRUNE_WITHHELD]
    return (*conditions, *withheld)


def source_events(
    old: Iterable[Condition], new: Iterable[Condition], revision: str | None, now: datetime
) -> list[Event]:
    """Return events for the conditions of the source whose status changed, or whose reason for a failure did."""
    previous = {condition.type: (condition.is_true, condition.reason, condition.message) for condition in old}
    recorded = []
    for current in new:
        before = previous.get(current.type)
        is_good = current.is_true is (current.type is ConditionType.READY)
        is_same = before == (current.is_true, current.reason, current.message)
        # PruneWithheld has an event of its own.
        is_duplicate = current.type is ConditionType.READY and current.reason == WITHHELD
        if current.type not in _WITH_EVENTS or is_duplicate or is_same:
            continue
        if before is not None and before[0] and is_good:
            continue
        recorded.append(
            Event(
                time=now,
                severity=EventSeverity.INFO if is_good else _SEVERITIES.get(current.type, EventSeverity.ERROR),
                reason=current.reason if current.type is ConditionType.READY else current.type.value,
                message=current.message,
                about="source",
                revision=revision,
            )
        )
    return recorded


def _prune_message(entry: InventoryEntry, plan: Plan) -> str:
    if entry.name in plan.disabled:
        return f"Not enabled in this environment: {entry.file} has `enabled: false`."
    return "No longer declared in the repository."


def plan_events(plan: Plan, now: datetime) -> Iterator[Event]:
    """Yield the events for deployments that were created, updated, renamed, pruned or kept, or are valid again."""
    for old in plan.delete:
        yield _event(now, "Pruned", _prune_message(old, plan), old.name, plan)
    for new in plan.create:
        yield _event(now, "Created", f"Declared in {new.file}:{new.line}.", new.name, plan)
    for update in plan.changed:
        message = f"Declared in {update.after.file}:{update.after.line}."
        reason = "Updated" if update.before.is_valid else "Recovered"
        if update.is_renamed:
            reason, message = "Renamed", f"Renamed from {update.before.name}, with its history. {message}"
        yield _event(now, reason, message, update.after.name, plan)
    for kept in plan.keep:
        if _is_new(kept):
            severity = {INVALID: EventSeverity.ERROR, WITHHELD: EventSeverity.WARNING}.get(kept.reason)
            if kept.python is not None and kept.python.state is PythonState.FAILED:
                severity = EventSeverity.ERROR
            reason, message = kept.reason, f"The last valid version stays active: {kept.message}"
            if kept.python is not None:
                reason, message = kept.python.reason, f"{kept.message} {kept.python.message}"
            yield _event(now, reason, message, kept.entry.name, plan, severity or EventSeverity.INFO)


def _is_new(kept: Kept) -> bool:
    """Whether the reason for keeping a deployment is new. Each retry of a build may fail with another message."""
    entry = kept.entry
    if kept.python is None:
        return (kept.reason, kept.message) not in {(old.reason, old.message) for old in entry.conditions}
    return kept.python.request != entry.python_waiting or has_other_reason(kept.python, entry)


def has_other_reason(python: PythonEnvironment, entry: InventoryEntry) -> bool:
    """Whether the condition PythonReady of an active deployment has another status or reason than this environment."""
    key = (python.state is PythonState.READY, python.reason)
    return key not in {(old.is_true, old.reason) for old in entry.conditions if old.type is ConditionType.PYTHON_READY}


def _event(
    now: datetime,
    reason: str,
    message: str,
    name: str,
    plan: Plan,
    severity: EventSeverity = EventSeverity.INFO,
) -> Event:
    return new_event(name, now, severity, reason, message, plan.revision)


def new_event(
    name: str | None, now: datetime, severity: EventSeverity, reason: str, message: str, revision: str | None
) -> Event:
    """Return an event about this deployment, or about the source if `name` is None."""
    return Event(
        time=now,
        severity=severity,
        reason=reason,
        message=message,
        about=name or "source",
        revision=revision,
        deployment=name,
    )


def _sentence(error: SourceError) -> str:
    return error.message if error.hint is None else f"{error.message} {error.hint}"
