"""Notifications: which failures are reported to whom, and the messages that report them.

The operator declares channels and rules in `notify.yaml`; a deployment declares rules in its manifest. An incident is
one cause that affects one or more deployments, from the first failure until all of them have recovered.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Any

from controller.model import INTERNAL
from controller.model.commit_statuses import COMMIT_STATUS_CHANNEL, CommitStatusSettings
from controller.model.policies import Secret
from controller.records import dataclass
from controller.time_format import in_utc


class Trouble(StrEnum):
    """A trouble: a run's final state, a missed deadline, or a problem of the controller or the source.

    `recovered` is the end of any of them.
    """

    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"
    LATE = "late"
    OVERDUE = "overdue"
    INVALID = "invalid"
    WITHHELD = "withheld"
    PYTHON = "python"
    SOURCE = "source"
    STORAGE = "storage"
    RECOVERED = "recovered"


RUN_TROUBLES = frozenset({Trouble.FAILED, Trouble.TIMED_OUT, Trouble.CRASHED})
"""The troubles that are final states of runs."""
DEFAULT_ON = (*sorted(RUN_TROUBLES), Trouble.LATE, Trouble.OVERDUE, Trouble.RECOVERED)
"""The default of `on` in the rules of a deployment."""
SOURCE_SUBJECT, CONTROLLER_SUBJECT = "the source", "the controller"
"""The subjects of incidents about the source and the controller. The names of deployments contain no spaces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """The hours of each day in which a channel receives nothing: from `start` to `end`, which may be the next day."""

    start: time
    end: time
    timezone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Where messages go: a URL of apprise, or a JSON webhook. Exactly one of `url` and `webhook` is set.

    The channel of commit statuses has `commit_status` instead.

    - `url`, `webhook`: the URL itself, or the secret that holds it. `hmac`: the key that signs webhooks.
    - `quiet`: messages wait until these hours are over. `digest`: messages are collected, and sent once a day at this
      time, in `timezone`. `log_lines`: how many of the last lines of a run's log a message has.
    """

    name: str
    url: str | Secret | None = field(default=None, repr=False)
    webhook: str | Secret | None = field(default=None, repr=False)
    hmac: Secret | None = None
    quiet: QuietHours | None = None
    digest: time | None = None
    timezone: str = "UTC"
    log_lines: int = 0
    commit_status: CommitStatusSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyRule:
    """Reports troubles to channels.

    - `to`: names of channels. `on`: what is reported.
    - `failures`: report a deployment only after this many consecutive failures. `wait`: and only if the trouble has
      lasted this long.
    - `deployments` (globs) and `tags`: which deployments the rule is for, in `notify.yaml`; empty for all. A rule of
      a manifest is for its deployment.
    """

    to: tuple[str, ...]
    on: tuple[Trouble, ...] = DEFAULT_ON
    failures: int = 1
    wait: timedelta = timedelta(0)
    deployments: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySettings:
    """The content of `notify.yaml`.

    - `channels`: those that rules can name. `group_wait`: how long to collect deployments with one cause before a
      message.
    - `commit_status`: where the results of commits are reported to, if that is declared.
    """

    channels: Mapping[str, Channel] = field(default_factory=dict)
    rules: tuple[NotifyRule, ...] = ()
    group_wait: timedelta = timedelta(seconds=10)
    commit_status: CommitStatusSettings | None = None

    @property
    def receivers(self) -> Mapping[str, Channel]:
        """All channels by name, with that of commit statuses."""
        if self.commit_status is None:
            return self.channels
        channel = Channel(name=COMMIT_STATUS_CHANNEL, commit_status=self.commit_status)
        return {**self.channels, COMMIT_STATUS_CHANNEL: channel}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """The deadlines of a deployment (`expect`). None means no deadline.

    - `start_within`, `finish_within`: for each due time, counted from it.
    - `success_every`: the time between two successful runs.
    """

    start_within: timedelta | None = None
    finish_within: timedelta | None = None
    success_every: timedelta | None = None

    def __bool__(self) -> bool:
        return not (self.start_within is self.finish_within is self.success_every is None)


class DeadlineKind(StrEnum):
    """A key of `expect`."""

    START_WITHIN = "start_within"
    FINISH_WITHIN = "finish_within"
    SUCCESS_EVERY = "success_every"

    @property
    def trouble(self) -> Trouble:
        """The trouble that a missed deadline of this kind is."""
        return Trouble.LATE if self is DeadlineKind.START_WITHIN else Trouble.OVERDUE


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedDeadline:
    """A deadline that a deployment has missed, and that is not met yet.

    - `due_time`: the due time that was missed last; None for `success_every` and for runs without a due time.
    - `deadline`: the deadline of that due time or run. `since`: that of the first one that was missed in a row.
    - `count`: how many were missed in a row.
    - `run_id`: the run that is late, if one was created. `reason`: why it is late, as a fragment that names no run, so
      that deployments that are late for the same reason have the same text.
    """

    deployment: str
    kind: DeadlineKind
    due_time: datetime | None
    deadline: datetime
    since: datetime
    count: int = 1
    run_id: str | None = None
    reason: str = ""

    @property
    def trouble(self) -> Trouble:
        """`late` or `overdue`."""
        return self.kind.trouble

    @property
    def message(self) -> str:
        """A sentence that says what was missed, and why."""
        deadline = in_utc(self.deadline)
        reason = f": {self.reason}" if self.reason else ""
        if self.kind is DeadlineKind.SUCCESS_EVERY:
            return f"No run has succeeded by {deadline}{reason}."
        run = "A triggered run" if self.due_time is None else f"The run due at {in_utc(self.due_time)}"
        verb = "start" if self.kind is DeadlineKind.START_WITHIN else "finish"
        return f"{run} did not {verb} by {deadline}{reason}."


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineRecord:
    """What is recorded about a deadline that a deployment declares.

    - `length`: the declared duration.
    - `checked_at`: deadlines up to this instant were evaluated, or do not apply because their due times are from before
      the deployment was declared, resumed or no longer suspended. With `success_every`: the later one of the last
      success and that time.
    - `miss`: the deadline that was missed and is not met yet.
    """

    deployment: str
    kind: DeadlineKind
    length: timedelta
    checked_at: datetime
    miss: MissedDeadline | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentMember:
    """A deployment that an incident affects, or `the source` or `the controller`, which is its `subject`.

    - `trouble`: what happened last. `since`: the end of the first failed run, or the time of the missed deadline.
    - `failures`: the number of consecutive failures. `run_id`: the last failed run. `reason`: its reason.
    - `closed_at`: when it recovered, or ceased to exist.
    """

    incident_id: int = field(metadata=INTERNAL)
    subject: str
    trouble: Trouble
    since: datetime
    failures: int = 1
    run_id: str | None = None
    reason: str = ""
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One cause of trouble. Incidents with the same `key` are the same cause; at most one of them is open.

    `cause` is the text that its members share.
    """

    id: int
    key: str
    trouble: Trouble
    cause: str
    opened_at: datetime
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """The state of an incident for a channel: what its last message reported, and when the next one is due.

    - `due_at`: when to compare `subjects` with what is failing; None if nothing has changed.
    - `announced_at`: when the first message was written; None until then, and again after a recovery.
    - `updated_at`: when the last message was written.
    - `subjects`: the members that failed according to the last message.
    - `recovered_at`: when the recovery was written.
    - `openings`: when the last failures with this key were announced, at most three.
    - `flapping_since`: since when it fails and recovers too often to report each change; None if it doesn't.
    - `changed_at`: while it is flapping, when it last failed or recovered.
    """

    incident_id: int
    channel: str
    due_at: datetime | None = None
    announced_at: datetime | None = None
    updated_at: datetime | None = None
    subjects: tuple[str, ...] = ()
    recovered_at: datetime | None = None
    openings: tuple[datetime, ...] = ()
    flapping_since: datetime | None = None
    changed_at: datetime | None = None


class MessageState(StrEnum):
    """The state of a message: `waiting` to be sent, `sent`, or `undeliverable` after a day of attempts.

    `superseded`: a commit status that was not sent because a newer one replaced it.
    """

    WAITING = "waiting"
    SENT = "sent"
    UNDELIVERABLE = "undeliverable"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to a channel. It is written in a transaction, and sent afterwards, at least once.

    - `id`: a UUIDv7, the delivery id by which a receiver detects repetitions.
    - `state`: the trouble that it reports, `recovered`, `flapping`, `digest`, `test`, `heartbeat`,
      or `commit_status`.
    - `title` and `body`: the text for people; `payload`: the JSON for webhooks.
    - `not_before`: the time of the next attempt. `attempts`: how many were made. `error`: why the last one failed.
    """

    id: str
    channel: str
    state: str
    title: str
    body: str
    created_at: datetime
    not_before: datetime = field(metadata=INTERNAL)
    deployment: str | None = None
    run_id: str | None = None
    reason: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict, metadata=INTERNAL)
    incident_id: int | None = None
    delivery: MessageState = MessageState.WAITING
    attempts: int = 0
    sent_at: datetime | None = None
    error: str | None = None


class ChannelState(StrEnum):
    """The state of a channel: `ready`, `misconfigured` (it can't be used), or `failing` (the last delivery failed)."""

    READY = "ready"
    MISCONFIGURED = "misconfigured"
    FAILING = "failing"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelStatus:
    """The status of a channel.

    - `kind`: `webhook`, or the scheme of its apprise URL, such as `mailto`. The URL itself is shown nowhere. For commit
      statuses, the software of the git server, such as `github`.
    - `since`: since when it has this state. `sent_at`: the last delivery.
    """

    name: str
    kind: str
    state: ChannelState
    message: str
    since: datetime
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsProblem:
    """Why the current version of `notify.yaml` is not used, and since when. The last valid version stays in use."""

    message: str
    hint: str | None = None
    since: datetime
