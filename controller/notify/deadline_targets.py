"""The targets of the deadlines of a deployment: its due times, and its runs without one. `deadlines` evaluates them.

A due time that the ledger does not have yet was not started. A due time that a policy skipped, and a run that a user
cancelled, have no deadline. Neither have runs that a user requested for an earlier due time.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from controller.model.deployments import Deployment
from controller.model.notifications import DeadlineKind, DeadlineRecord, MissedDeadline
from controller.model.queues import SHORTAGE
from controller.model.runs import ACTIVE, FAILURES, Occurrence, Outcome, RunId, RunState
from controller.records import dataclass
from controller.schedules import find_due, find_exclusion, is_exclusion
from controller.store import deadlines, occurrences
from controller.store.deadlines import TimedRun
from controller.store.store import Transaction

MOST = 100
"""How many due times of a deployment are evaluated at once: the newest ones."""
POLICY_SKIPS = frozenset({"overlap", "held", "suspended", "pruned"})
"""The reasons for which a due time is skipped as the deployment declares it, or as a user ordered."""
INSTANT = timedelta(microseconds=1)
_SKIPPED = {
    "catch-up": "no run was created for it, because the controller was not running",
    "deadline": "its run was skipped, because it could not start within its start_deadline",
}
NOT_PROCESSED = "the controller has not created a run for it"
NOT_RUNNING = "the controller was not running then"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One due time, or a run without one, and its deadline.

    - `came_at`: when it started, or with `finish_within` when it ended; None if it did not.
    - `can_come`: whether an unfinished run can still meet it. `is_expected`: whether the deadline applies.
    """

    due_time: datetime | None
    deadline: datetime
    run_id: str | None = None
    came_at: datetime | None = None
    can_come: bool = False
    is_expected: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """The facts that the reasons of missed deadlines depend on.

    - `now`: the time of the check. `began_at`: the time of the first check of this process.
    - `in_progress`: returns the deployments that have a run in progress.
    - `find_gates`: returns what a run still waits for, as a text; None if it waits for no upstream deployment.
    """

    now: datetime
    began_at: datetime
    in_progress: Callable[[], frozenset[str]]
    find_gates: Callable[[RunId], str | None]


def read_targets(
    tx: Transaction, record: DeadlineRecord, deployment: Deployment, cursor: datetime, situation: Situation
) -> list[Target]:
    """Return what has had a deadline since the last check, and since the first one that was missed, oldest first.

    `cursor` is that of the deployment: later due times are not in the ledger yet.
    """
    lower = record.checked_at if record.miss is None else min(record.checked_at, record.miss.since - INSTANT)
    since, until = lower - record.length, situation.now - record.length
    if until <= since:
        return []
    reader = _Reader(record=record, situation=situation)
    ledger = occurrences.find_newest(tx, deployment.name, MOST, since=since + INSTANT, until=until)[::-1]
    due_runs: dict[datetime, list[TimedRun]] = {}
    if ledger:
        for run in deadlines.find_due_runs(tx, deployment.name, ledger[0].scheduled_for, until):
            if run.scheduled_for is not None:
                due_runs.setdefault(run.scheduled_for, []).append(run)
    targets = [reader.recorded(entry, due_runs.get(entry.scheduled_for, ())) for entry in ledger]
    recorded = {entry.scheduled_for for entry in ledger}
    pending = find_due(deployment.schedules, max(cursor, since), until, MOST).times if cursor < until else ()
    targets += [
        reader.unrecorded(time)
        for time, schedule in pending
        if time not in recorded and find_exclusion(schedule, time) is None
    ]
    if record.kind is DeadlineKind.FINISH_WITHIN:
        manual = deadlines.find_manual_runs(tx, deployment.name, since, until)
        targets += [reader.of_runs(None, run.created_at, [run]) for run in manual]
    return sorted(targets, key=lambda target: target.deadline)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Builds the targets of one deadline."""

    record: DeadlineRecord
    situation: Situation

    def recorded(self, entry: Occurrence, due_runs: Sequence[TimedRun]) -> Target:
        """Return the target of a due time of the ledger, which has these runs."""
        if due_runs:
            return self.of_runs(entry.scheduled_for, entry.scheduled_for, due_runs)
        if entry.outcome is Outcome.RUN or _is_policy_skip(entry.reason):  # its runs were deleted, or it has none
            return replace(self.unrecorded(entry.scheduled_for), is_expected=False)
        reason = _SKIPPED.get(entry.reason or "", entry.reason or "")
        return replace(self.unrecorded(entry.scheduled_for), reason=reason)

    def unrecorded(self, due_time: datetime) -> Target:
        """Return the target of a due time for which no run was created."""
        deadline = due_time + self.record.length
        return Target(due_time=due_time, deadline=deadline, reason=self._past_reason(deadline) or NOT_PROCESSED)

    def of_runs(self, due_time: datetime | None, base: datetime, due_runs: Sequence[TimedRun]) -> Target:
        """Return the target of these runs, of which the first one decides. The deadline is counted from `base`."""
        deadline = base + self.record.length
        ends = [end for run in due_runs if (end := self._came_at(run)) is not None]
        active = [run for run in due_runs if run.state in ACTIVE]
        waiting = active[0] if active else None
        came_at = min(ends, default=None)
        reason = self._past_reason(deadline)
        if not reason and waiting is not None:
            reason = _waiting_reason(waiting, self.situation)
        is_expired = any(run.state is RunState.SKIPPED and not _is_policy_skip(run.reason) for run in due_runs)
        if is_expired and waiting is None:
            reason = next(_SKIPPED.get(run.reason or "", "") for run in due_runs if run.state is RunState.SKIPPED)
        return Target(
            due_time=due_time,
            deadline=deadline,
            run_id=(waiting or due_runs[0]).id,
            came_at=came_at,
            can_come=waiting is not None,
            is_expected=came_at is not None or waiting is not None or is_expired,
            reason=reason,
        )

    def _came_at(self, run: TimedRun) -> datetime | None:
        """Return when this run started or ended. A run that failed to start has started, as it has failed."""
        is_final = run.state in FAILURES or run.state is RunState.SUCCEEDED
        is_final = is_final or (run.state is RunState.SKIPPED and run.started_at is not None)
        if self.record.kind is DeadlineKind.START_WITHIN and run.started_at is not None:
            return run.started_at
        return run.finished_at if is_final else None

    def _past_reason(self, deadline: datetime) -> str:
        """Return the reason of a deadline that no check of this process could evaluate when it passed."""
        is_past = self.record.checked_at < deadline < self.situation.began_at
        return NOT_RUNNING if is_past else ""


def _is_policy_skip(reason: str | None) -> bool:
    """Return whether a due time was skipped as the deployment declares it, or as a user ordered."""
    return reason is not None and (reason in POLICY_SKIPS or is_exclusion(reason))


def _waiting_reason(run: TimedRun, situation: Situation) -> str:
    match run.state:
        case RunState.RUNNING:
            return "it is still running"
        case RunState.LAUNCHING:
            return "it is being launched"
        case RunState.RETRYING:
            return "its last attempt failed, and it waits for the next one"
    if run.reason is not None and run.reason.startswith(SHORTAGE):
        return f"it waits for {run.reason.removeprefix(SHORTAGE)}"
    waits_for = situation.find_gates(run.id)
    if waits_for is not None:
        return f"it waits for {waits_for}"
    if run.serial and run.deployment in situation.in_progress():
        return "it waits for an earlier run of the deployment"
    return f"it waits in the queue {run.queue}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result of an evaluation.

    - `miss`: what is missed now. `is_news`: whether another deadline was missed since the last check.
    - `is_met`: without a miss, whether the earlier one was met; otherwise it was withdrawn.
    - `is_open`: whether the miss is still not met.
    """

    miss: MissedDeadline | None
    is_news: bool = False
    is_met: bool = False
    is_open: bool = True


def evaluate_targets(
    record: DeadlineRecord, targets: Sequence[Target], now: datetime, has_come_later: Callable[[datetime], bool]
) -> Verdict:
    """Return what is missed now, given the targets since the last check.

    `has_come_later` returns whether a run of a due time after this one has started, or has ended.
    """
    expected = [target for target in targets if target.is_expected]
    news = [target for target in expected if target.deadline > record.checked_at and _is_missed(target, now)]
    still_open = [
        target for target in expected if target.came_at is None and _is_open(target, expected, has_come_later)
    ]
    old = record.miss
    if not news and old is None:
        return Verdict(miss=None)
    if not news and not still_open:
        assert old is not None
        is_met = any(target.came_at is not None for target in expected)
        is_met = is_met or (old.due_time is not None and has_come_later(old.due_time))
        return Verdict(miss=None, is_met=is_met)
    last = (still_open or news)[-1]
    miss = MissedDeadline(
        deployment=record.deployment,
        kind=record.kind,
        due_time=last.due_time,
        deadline=last.deadline,
        since=news[0].deadline if old is None else old.since,
        count=len(news) + (0 if old is None else old.count),
        run_id=last.run_id,
        reason=last.reason or ("" if old is None else old.reason) or "it came late",
    )
    return Verdict(miss=miss, is_news=bool(news), is_open=bool(still_open))


def _is_missed(target: Target, now: datetime) -> bool:
    """Return whether the deadline was missed. A start in the future was recorded by a clock that was ahead."""
    return target.came_at is None or target.deadline < target.came_at <= now


def _is_open(target: Target, targets: Iterable[Target], has_come_later: Callable[[datetime], bool]) -> bool:
    """Return whether a target that did not come is still missed: another due time may have come instead."""
    if target.can_come or target.due_time is None:
        return target.can_come
    due_time = target.due_time
    if any(other.due_time is not None and other.due_time > due_time and other.came_at for other in targets):
        return False
    return not has_come_later(due_time)
