"""Heartbeats: requests to a monitor outside, such as Healthchecks, which alerts when they stop.

`controller.app.notifications` makes `Heartbeats` a collector of each evaluation, in its transaction: the outbox
delivers the heartbeats of deployments. `notifier` sends that of the controller when `ControllerHeartbeat.is_due`.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from controller.clock import Clock
from controller.manifests.active_deployments import ActiveDeployments
from controller.model.notifications import Message
from controller.model.policies import Secret
from controller.model.runs import COMMIT_DELAY, FAILURES, RunState, creation_time, first_id, first_unread_id
from controller.notify.declared import DeclaredDeployments
from controller.store import heartbeats, runs
from controller.store.heartbeats import SignalledRun, SignalState
from controller.store.store import Transaction

STATE, CHANNEL_PREFIX = "heartbeat", "heartbeat/"
"""The state of messages that are heartbeats, and the beginning of their channel, which ends with the deployment."""
START, SUCCESS, FAILURE = "/start", "", "/fail"
"""The suffixes of the path of the URL."""
MARK_EVERY = timedelta(minutes=1)
"""How often to record up to which run all were read, while only other deployments have runs."""
PERIOD = timedelta(minutes=1)
STALLED_AFTER = timedelta(minutes=5)
"""A thread without a sign of life for this time has stalled."""
SignalRecord = tuple[str, str, SignalState]
"""A signal that was sent for a run: the deployment, the id of the run, and the state."""


class Heartbeats:
    """The heartbeats of deployments, with the protocol of Healthchecks. Not thread-safe."""

    def __init__(self, deployments: ActiveDeployments, new_id: Callable[[datetime], str]) -> None:
        self._declared = DeclaredDeployments(deployments, "heartbeat")
        self._new_id = new_id
        self._may_have_others = True

    def has_work(self, tx: Transaction, _: datetime) -> bool:
        """Return whether `collect` has something to record. `tx` may be a read transaction."""
        if self._may_have_others or self._declared.is_stale(tx):
            return True
        if not self._declared.deployments:
            return False
        newest = heartbeats.newest_id(tx)
        return newest is None or self._find_signals(tx, newest) != ([], [])

    def collect(self, tx: Transaction, now: datetime) -> list[Message]:
        """Return the heartbeats of runs that started or ended since the last call, and record that they were collected.

        The caller adds them to the outbox in the same transaction. A message has the state `heartbeat`, the channel
        `heartbeat/<deployment>`, and the payload `{"suffix": "/start" | "" | "/fail"}`. Its body is the body of the
        request. The URL may be a secret, and is resolved for each delivery: see `find_url`.

        A run that was cancelled, or skipped before it started, has no heartbeat of its end.
        """
        self._refresh(tx)
        names = self._declared.deployments.keys()
        if self._may_have_others:
            heartbeats.delete_others(tx, names)
            tx.after_commit(self._confirm_deletion)
        if not names:
            return []
        newest = heartbeats.newest_id(tx)
        if newest is None:  # runs that exist already have no heartbeats
            last_run = runs.newest_id(tx)
            begin = now if last_run is None else max(now, creation_time(last_run) + timedelta(milliseconds=1))
            heartbeats.save(tx, [("", first_id(begin + COMMIT_DELAY), SignalState.ENDED)])
            return []
        signals, records = self._find_signals(tx, newest)
        if records:
            heartbeats.save(tx, records)
            heartbeats.delete_ended(tx, first_unread_id(newest))
        return [self._message(run, suffix, now) for run, suffix in signals]

    def find_url(self, tx: Transaction, message: Message) -> str | Secret | None:
        """Return the URL that the deployment declares, without the suffix; None if it declares none any more."""
        self._refresh(tx)
        deployment = self._declared.deployments.get(message.channel.removeprefix(CHANNEL_PREFIX))
        return None if deployment is None else deployment.heartbeat

    def _find_signals(self, tx: Transaction, newest: str) -> tuple[list[tuple[SignalledRun, str]], list[SignalRecord]]:
        """Return the heartbeats to send, as runs with suffixes, and the records to save. `newest` is in the records."""
        signals: list[tuple[SignalledRun, str]] = []
        records: list[SignalRecord] = []
        names = self._declared.deployments.keys()
        for run in heartbeats.find_unsignalled(tx, names, first_unread_id(newest)):
            state, suffixes = _signals(run)
            signals += [(run, suffix) for suffix in suffixes]
            if state is not run.signalled:
                records.append((run.deployment, run.id, state))
        mark = runs.newest_id(tx) or newest
        if creation_time(mark) - creation_time(newest) > MARK_EVERY:
            records.append(("", mark, SignalState.ENDED))
        return signals, records

    def _refresh(self, tx: Transaction) -> None:
        before = self._declared.deployments
        changed = self._declared.refresh(tx) or ()
        self._may_have_others |= any(name in before and name not in self._declared.deployments for name in changed)

    def _confirm_deletion(self) -> None:
        self._may_have_others = False

    def _message(self, run: SignalledRun, suffix: str, now: datetime) -> Message:
        reason = (run.reason or "") if suffix == FAILURE else ""
        event = "started" if suffix == START else run.state.value.replace("_", " ")
        return Message(
            id=self._new_id(now),
            channel=f"{CHANNEL_PREFIX}{run.deployment}",
            state=STATE,
            title=f"Heartbeat of {run.deployment}",
            body=f"Run {run.id} {event}" + (f": {reason}" if reason else ""),
            created_at=now,
            not_before=now,
            deployment=run.deployment,
            run_id=run.id,
            reason=reason,
            payload={"suffix": suffix},
        )


def _signals(run: SignalledRun) -> tuple[SignalState, list[str]]:
    """Return what is signalled of a run from now on, and the suffixes of the heartbeats to send for that."""
    is_started = run.started_at is not None
    suffixes = [START] if is_started and run.signalled is not SignalState.STARTED else []
    if not run.state.is_terminal:
        return SignalState.STARTED if is_started else SignalState.WAITING, suffixes
    if run.state in FAILURES:
        suffixes.append(FAILURE)
    elif run.state is RunState.SUCCEEDED or (run.state is RunState.SKIPPED and is_started):
        suffixes.append(SUCCESS)
    return SignalState.ENDED, suffixes


class ControllerHeartbeat:
    """When to send the heartbeat of the controller: each minute while passes and turns of the engine progress.

    `stamps` return when each thread last made progress, on the monotonic clock.
    """

    def __init__(self, clock: Clock, stamps: Callable[[], list[float]]) -> None:
        self._clock = clock
        self._stamps = stamps
        self._sent_at: float | None = None

    def is_due(self) -> bool:
        """Return whether to send a heartbeat now, and take it as sent."""
        now = self._clock.monotonic()
        if self._sent_at is not None and now - self._sent_at < PERIOD.total_seconds():
            return False
        if any(now - stamp > STALLED_AFTER.total_seconds() for stamp in self._stamps()):
            return False
        self._sent_at = now
        return True
