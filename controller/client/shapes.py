# Generated from the OpenAPI document by `make generate`. Do not edit.
"""The answers of the HTTP API as types: JSON objects by the names of their fields.

Times are ISO 8601 strings in UTC with `Z`. A later version may add fields to an answer and removes none.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

__all__ = [
    "Activity",
    "Address",
    "After",
    "Approved",
    "Artifact",
    "Attempt",
    "Attention",
    "AttentionCode",
    "AttentionGroup",
    "BackfillDetail",
    "BackfillProgress",
    "BackfillState",
    "BackfillTime",
    "Backfilled",
    "BulkMatches",
    "BulkResult",
    "BulkRun",
    "Change",
    "ChangedHoliday",
    "ChangedRun",
    "ChannelState",
    "ChannelStatus",
    "CodeChange",
    "CodeVersion",
    "Commit",
    "CommitRange",
    "Condition",
    "ConditionStatus",
    "ConditionType",
    "Controller",
    "DeclaredField",
    "Deployment",
    "DeploymentDetail",
    "DeploymentNames",
    "DeploymentState",
    "DiffLine",
    "Document",
    "DueRun",
    "Edge",
    "EdgeChange",
    "EdgeKind",
    "EnvironmentPlan",
    "EventSeverity",
    "ExecutorStatus",
    "Fault",
    "FieldChange",
    "Fields",
    "FileChange",
    "FileChanges",
    "FileTriggerView",
    "Finding",
    "FireTimeChange",
    "Form",
    "FormField",
    "GraphNode",
    "GraphView",
    "Health",
    "Hold",
    "HolidayChange",
    "HookAnswer",
    "Host",
    "HostState",
    "Incident",
    "IncidentMember",
    "KeptDeployment",
    "KeptHistory",
    "LastRun",
    "Leader",
    "Leadership",
    "LeftOut",
    "Limits",
    "LogAttempt",
    "LogLine",
    "LogLines",
    "LogPart",
    "LogSearch",
    "LostHost",
    "MessageState",
    "NextFire",
    "NodeKind",
    "NotificationMessage",
    "NotificationStatus",
    "NotifyView",
    "NumberedEvent",
    "Occurrence",
    "OnRedo",
    "Outcome",
    "PackageChange",
    "ParameterChange",
    "Pass",
    "Plan",
    "PythonChange",
    "PythonEnvironment",
    "PythonEnvironmentDetail",
    "PythonState",
    "PythonSummary",
    "QueueChange",
    "QueueLoad",
    "RecordedCommit",
    "Redo",
    "ResultKind",
    "Role",
    "RuleView",
    "Run",
    "RunComparison",
    "RunCounts",
    "RunDetail",
    "RunState",
    "RunningRun",
    "RunsInProgress",
    "Schedule",
    "SearchResult",
    "Settings",
    "SettingsProblem",
    "Severity",
    "Source",
    "SpecChange",
    "StateUsage",
    "Status",
    "StatusSummary",
    "Summary",
    "Sync",
    "TaskRun",
    "Trigger",
    "Triggered",
    "Trouble",
    "Unread",
    "Upstream",
    "UpstreamOutcome",
    "UpstreamRun",
    "WaitingRun",
    "WaitingRuns",
    "WebhookSignature",
    "WebhookView",
    "Withheld",
]

AttentionCode = Literal[
    "withheld",
    "source",
    "channel",
    "invalid_file",
    "invalid_deployment",
    "no_python",
    "no_upstream",
    "no_files",
    "no_executor",
    "executor",
    "failed_run",
    "late",
    "held",
]
BackfillState = Literal["running", "paused", "succeeded", "failed", "cancelled"]
ChannelState = Literal["ready", "misconfigured", "failing"]
CodeVersion = Literal["latest", "original"]
ConditionStatus = Literal["True", "False", "Unknown"]
ConditionType = Literal[
    "Ready",
    "Reconciling",
    "Stalled",
    "PruneWithheld",
    "StorageFull",
    "PythonReady",
    "Late",
    "Overdue",
    "FilesWatched",
    "ExecutorReady",
]
DeploymentState = Literal["invalid", "failing", "out_of_sync", "late", "held", "suspended", "ok"]
EdgeKind = Literal["gate", "event", "file", "webhook"]
EventSeverity = Literal["info", "warning", "error"]
Health = Literal["Healthy", "Degraded", "Running", "Suspended", "Unknown"]
HostState = Literal["leading", "standby", "away"]
MessageState = Literal["waiting", "sent", "undeliverable", "superseded"]
NodeKind = Literal["deployment", "file", "webhook", "missing"]
OnRedo = Literal["ignore", "run"]
Outcome = Literal["run", "skipped"]
PythonState = Literal["waiting", "building", "ready", "failed"]
Redo = Literal["failed", "skipped", "all"]
ResultKind = Literal["deployment", "page", "tag", "file", "run", "backfill"]
Role = Literal["leader", "standby"]
RunState = Literal[
    "scheduled",
    "pending",
    "launching",
    "running",
    "retrying",
    "succeeded",
    "failed",
    "timed_out",
    "cancelled",
    "crashed",
    "skipped",
]
Severity = Literal["error", "warning"]
Sync = Literal["Synced", "OutOfSync", "Invalid", "Unknown"]
Trigger = Literal["schedule", "manual", "backfill", "retry", "upstream", "file", "webhook"]
Trouble = Literal[
    "failed",
    "timed_out",
    "crashed",
    "late",
    "overdue",
    "invalid",
    "withheld",
    "python",
    "source",
    "storage",
    "recovered",
]
UpstreamOutcome = Literal["succeeded", "failed", "finished"]
WebhookSignature = Literal["hmac-sha256", "token", "standard-webhooks", "stripe", "slack"]


class Activity(TypedDict):
    """The finished runs that were created in one half hour, by outcome. `other` counts cancelled and skipped runs."""

    start: str
    succeeded: int
    failed: int
    other: int


class Address(TypedDict):
    """Where HTTP is served. `url` is that for browsers."""

    url: str | None
    host: str
    port: int
    is_tls: bool
    is_behind_proxy: bool
    public_hosts: list[str]


class After(TypedDict):
    """The value of `after`: all `upstreams` have to finish as required, or with `any` each of them releases a run.

    For a deployment with schedules it is a gate: its due times wait. For one without, it is an event that starts
    runs.
    """

    upstreams: list[Upstream]
    any: bool


class Approved(TypedDict):
    """The result of an approval. `pending`: the deletions happen as soon as a revision can be applied."""

    digest: str
    deleted: list[str]
    remaining: list[str]
    pending: bool
    revision: str | None


class Artifact(TypedDict):
    """One artifact. `kind` decides the shape of `data`.

    - `markdown`: a string.
    - `link`: a mapping with `url` and `text` (or None).
    - `table`: a mapping with `columns` (or None) and `rows`.
    """

    key: str | None
    kind: str
    data: Any


class Attempt(TypedDict):
    """One attempt of a run."""

    number: int
    state: RunState
    started_at: str | None
    finished_at: str | None
    exit_code: int | None
    signal: int | None
    reason: str | None
    executor: str
    job_id: str | None
    node: str | None


class Attention(TypedDict):
    """One problem that needs attention. `kind` is `error` or `warning`; `deployment` and `run_id` say where it is.

    - `subject`: what has the problem: a deployment, a file with the line, or `source`.
    - `count`: the number of consecutive failures, or of deletions that wait for approval.
    - `next_fire_time`: the next fire time of the deployment.
    - `recent`: the states of its last 10 runs, oldest first.
    """

    code: AttentionCode
    kind: str
    title: str
    message: str
    subject: str
    deployment: str | None
    run_id: str | None
    since: str | None
    count: int
    next_fire_time: str | None
    recent: list[RunState]


class AttentionGroup(TypedDict):
    """Problems with the same cause, in the order of `rank`; mostly a single one.

    - `title`, `cause`: describe all of them. `since`: when the first of them began.
    - `count`: the number of problems. `subjects`: the first 20 of what has them.
    """

    code: AttentionCode
    kind: str
    title: str
    cause: str
    since: str | None
    count: int
    subjects: list[str]


_BackfillProgress = TypedDict("_BackfillProgress", {"from": str})


class BackfillProgress(_BackfillProgress):
    """A backfill, and how many of its due times are in which state. The numbers add up to `total`.

    `waiting` includes due times whose run has not been created yet; `done` are those that succeeded or were skipped.
    """

    id: str
    deployment: str
    state: BackfillState
    to: str
    created_at: str
    finished_at: str | None
    author: str
    revision: str
    redo: Redo | None
    code: CodeVersion
    parameters: dict[str, Any]
    parallel: int
    total: int
    done: int
    failed: int
    cancelled: int
    running: int
    waiting: int


class BackfillTime(TypedDict):
    """A due time of a backfill with its latest run. `state` is None if it has no run yet."""

    due_time: str
    run_id: str | None
    state: RunState | None
    reason: str | None


class Backfilled(TypedDict):
    """The new backfill and its first runs; the others are created when those have finished.

    `backfill_id` is None if there was nothing to run, or with `dry_run`. `times` are all selected due times.
    `older_schedule` are those of them that were due only under an older schedule. `have_run`, also as `already_run`:
    the number of due times of the range that were not selected; `planned`: that of those among them that another
    backfill will run; `left_out`: that of the selected ones beyond `max`.
    """

    backfill_id: str | None
    run_ids: list[str]
    times: list[str]
    older_schedule: list[str]
    have_run: int
    already_run: int
    planned: int
    left_out: int


class BulkMatches(TypedDict):
    """A number of runs of one deployment and state. `reason` says why the request leaves them out."""

    deployment: str
    state: RunState
    count: int
    reason: str | None


class BulkResult(TypedDict):
    """The result for each run of a request, in its order. `count` is the number of runs that it applied to.

    With filters also:

    - `left_out`: the runs that match and are not retried, because a later run exists; in a dry run at most 1,000.
    - `due_times`: the number of due times without a run that were cancelled with their backfill.
    - `matches`: in a dry run all runs that match, by deployment and state.
    - `next`: the `cursor` of the next request; None if no more runs match. In a dry run, that of the first request:
      it limits the change to the runs that the dry run counted.
    """

    count: int
    runs: list[BulkRun]
    left_out: list[LeftOut]
    due_times: int
    matches: list[BulkMatches]
    next: str | None


class BulkRun(TypedDict):
    """The run that was cancelled, or the new run of a retry, in which `retry_of` is the run that was requested.

    `reason` says why the request does not apply to this run, for example because it has finished; then `state` is
    None.
    """

    run_id: str
    state: RunState | None
    retry_of: str | None
    reason: str | None


class Change(TypedDict):
    """A deployment to be created, updated or deleted; `file` and `line` locate its document.

    `renamed_from` is the name whose history it takes over. `warnings` are those about its document. `runs_in_flight`
    is the number of its unfinished runs, or 0 if the plan was made without a state. `reason` is why it is deleted
    although git still declares it.
    """

    action: str
    deployment: str
    file: str
    line: int
    fields: list[FieldChange]
    fire_times: FireTimeChange
    renamed_from: str | None
    warnings: list[str]
    runs_in_flight: int
    reason: str | None


class ChangedHoliday(TypedDict):
    """A day that was `added` to a calendar, or `removed`: `2027-05-08`, and the name of the holiday."""

    action: str
    calendar: str
    day: str
    name: str


class ChangedRun(TypedDict):
    """The run, and its state after the change."""

    run_id: str
    state: str


class ChannelStatus(TypedDict):
    """The status of a channel.

    - `kind`: `webhook`, or the scheme of its apprise URL, such as `mailto`. The URL itself is shown nowhere. For
      commit statuses, the software of the git server, such as `github`.
    - `since`: since when it has this state. `sent_at`: the last delivery.
    """

    name: str
    kind: str
    state: ChannelState
    message: str
    since: str
    sent_at: str | None


class CodeChange(TypedDict):
    """A deployment whose code changes, and the changed files among those that its run would load."""

    deployment: str
    files: list[str]


class Commit(TypedDict):
    """One commit. `author` and `subject` are shortened and printable; `author_date` is the author's, not checked."""

    sha: str
    author: str
    author_date: str
    subject: str


class CommitRange(TypedDict):
    """The commits between two revisions, newest first.

    `new` are those that only the run's revision contains, `missing` those that only the other revision contains, for
    example because the branch was reset. At most 50 of each are listed; `has_more` tells that there are more.
    """

    new: list[Commit]
    missing: list[Commit]
    has_more: bool


class Condition(TypedDict):
    """One condition, with a PascalCase `reason` and the time since which it has had this status."""

    type: ConditionType
    status: ConditionStatus
    reason: str
    message: str
    last_transition_time: str


class Controller(TypedDict):
    """The controller's process; all fields but `running` are None if there is none. `url` is that of its dashboard."""

    running: bool
    pid: int | None
    started_at: str | None
    version: str | None
    url: str | None


class DeclaredField(TypedDict):
    """One field of a document, its value as plain JSON, and its location.

    `changed_in` is the commit that last changed its lines, None if that is unknown.
    """

    name: str
    value: Any
    file: str
    line: int
    changed_in: Commit | None


class Deployment(TypedDict):
    """One deployment in a list.

    `file` (relative to the repository root) and `line` say where it is declared; `flow` is None for a command.
    `generation` counts the versions of its document; `observed_generation` lags behind while the newest is not
    applied. `next_start` is when its next run starts: at `next_fire_time`, or before it, if jitter delays a run that
    was due. `state` sums up `sync`, `health` and the hold; a deployment that is running and has no problem is `ok`.
    `matrix` has the values of a deployment whose document declares several. `timezone` is that of all its schedules,
    or without schedules the declared one; None if there is none, or if the schedules have different ones.
    """

    name: str
    flow: str | None
    command: list[str] | None
    description: str
    file: str
    line: int
    tags: list[str]
    version: str | None
    sync: Sync
    health: Health
    suspended: bool
    held: bool
    hold: Hold | None
    generation: int
    observed_generation: int
    next_fire_time: str | None
    next_start: str | None
    last_run: LastRun | None
    conditions: list[Condition]
    state: DeploymentState
    matrix: dict[str, str | int | float | bool]
    timezone: str | None


class DeploymentNames(TypedDict):
    """A number of deployments, and the first 100 of their names, sorted."""

    count: int
    names: list[str]


class DiffLine(TypedDict):
    """A line of a unified diff. `kind` is `add`, `del` or `same`, or `place` for a hunk header (`@@ …`)."""

    kind: str
    text: str


class Document(TypedDict):
    """The last valid document: as a mapping, and as text, which is the original text if `is_whole`."""

    document: dict[str, Any]
    text: str
    is_whole: bool
    file: str
    revision: str


class DueRun(TypedDict):
    """The id and the state of one of the runs of a due time."""

    run_id: str
    state: RunState


_Edge = TypedDict("_Edge", {"from": str})


class Edge(_Edge):
    """A dependency of the node `target` on the node `source`.

    `on` is how a run of an upstream deployment has to end, None for a file or a webhook. With `any`, this upstream
    deployment starts a run on its own, without the others.
    """

    to: str
    kind: EdgeKind
    on: UpstreamOutcome | None
    any: bool


class EdgeChange(TypedDict):
    """A dependency between deployments, or of a deployment on a file or a webhook, that is `added` or `removed`."""

    action: str
    edge: Edge


class EnvironmentPlan(TypedDict):
    """The plan of the same commit for a controller that runs with `--environment NAME`."""

    name: str
    digest: str
    summary: Summary
    changes: list[Change]
    withheld: Withheld | None
    findings: list[Finding]
    kept: list[KeptDeployment]
    graph: list[EdgeChange]


class ExecutorStatus(TypedDict):
    """An executor of the controller that leads, or led last. Its condition says whether flows can start there."""

    name: str
    conditions: list[Condition]


class Fault(TypedDict):
    """One error in a set of parameters. `path` leads to the invalid value and begins with the parameter's name."""

    code: str
    message: str
    path: list[str | int]
    hint: str | None


class FieldChange(TypedDict):
    """One field by its JSON path, such as `$.schedules[0].cron`; the value is None on a side that lacks the field."""

    path: str
    before: Any
    after: Any


class Fields(TypedDict):
    """The fields of the active version, in the order of the document."""

    items: list[DeclaredField]


class FileChange(TypedDict):
    """One file that was `added`, `removed` or `changed`, which is its `kind`.

    `is_own`: it declares the deployment, or the run loads it. `note` says why lines are missing, None if all are
    there.
    """

    path: str
    kind: str
    is_own: bool
    lines: list[DiffLine]
    note: str | None


class FileChanges(TypedDict):
    """The files that differ, the run's own first; `left_out` more are not listed. `problem`: why that is unknown."""

    files: list[FileChange]
    left_out: int
    problem: str | None


class FileTriggerView(TypedDict):
    """A watched folder: its declaration, and a description of what starts a run."""

    path: str
    pattern: str
    settle_seconds: float
    parameter: str | None
    text: str


class Finding(TypedDict):
    """One problem at one location of a file.

    `line` and `column` count from 1. `path` is the JSON path of the invalid node inside its document, such as
    `$.schedules[0].cron`. `code` is PascalCase and stable. `deployment` is the name that the document declares, or
    None if it declares no valid name.
    """

    code: str
    message: str
    file: str
    line: int
    column: int
    severity: Severity
    hint: str | None
    path: str
    deployment: str | None


class FireTimeChange(TypedDict):
    """Fire times before and after a change: the next ones, or those that differ. At most a few of each."""

    before: list[str]
    after: list[str]


class Form(TypedDict):
    """The parameters of one deployment. With `is_open`, other parameters are accepted too.

    `passed_as` is `arguments` for a Python flow and `file` for a command.
    """

    deployment: str
    fields: list[FormField]
    is_open: bool
    passed_as: str


class FormField(TypedDict):
    """One parameter. `kind` is `text`, `integer`, `number`, `boolean`, `choice` or `json`.

    `type` and `default` are Python source text. `value` is the value from the manifest if `is_given`, else None.
    `resolved`: if `value` contains references, the value that a run without a due time would get now. References to
    what is known only with the run, such as its id, stay as they are in it. `format` is `date`, `date-time`, `time`
    or `duration` for a text in this format. `fields` has the fields of a dataclass or typed dictionary, whose `kind`
    is `json`.
    """

    name: str
    kind: str
    type: str | None
    required: bool
    nullable: bool
    default: str | None
    choices: list[Any]
    is_given: bool
    value: Any
    resolved: Any
    format: str | None
    has_default: bool
    fields: list[FormField]


class GraphNode(TypedDict):
    """A node. A deployment has a `state`, and the id and the state of its newest run if it has any."""

    name: str
    kind: NodeKind
    state: DeploymentState | None
    run_id: str | None
    run_state: RunState | None


class GraphView(TypedDict):
    """The nodes that have an edge, sorted by name, and all edges. `independent` counts the deployments without one."""

    nodes: list[GraphNode]
    edges: list[Edge]
    independent: int


class Hold(TypedDict):
    """An operator's order that the schedules of a deployment do not fire, with its author, reason and end."""

    deployment: str
    reason: str
    author: str
    since: str
    until: str | None


class HolidayChange(TypedDict):
    """A deployment whose fire times move because of another version of the `holidays` package.

    `before` and `after` are the versions. `fire_times` has only the times that differ.
    """

    deployment: str
    before: str
    after: str
    days: list[ChangedHoliday]
    fire_times: FireTimeChange


class HookAnswer(TypedDict):
    """The run that the delivery has started."""

    run_id: str


class Host(TypedDict):
    """A machine whose controllers use the state.

    `seen_at` is the last sign of life of a controller there, None if none is recorded. `running` is the number of
    runs in progress there. `directories` are where its controllers keep the files of runs.
    """

    name: str
    state: HostState
    seen_at: str | None
    running: int
    directories: list[str]


class Incident(TypedDict):
    """One cause of trouble. Incidents with the same `key` are the same cause; at most one of them is open.

    - `cause`: the text that its members share. `members`: the first 20 deployments that it affects, or `source` or
      `controller`; those that have not recovered come first. `member_count` counts all.
    - `channels`: those that a message about it was written to.
    """

    id: int
    key: str
    trouble: Trouble
    cause: str
    opened_at: str
    closed_at: str | None
    members: list[IncidentMember]
    member_count: int
    channels: list[str]


class IncidentMember(TypedDict):
    """A deployment that an incident affects, or `the source` or `the controller`, which is its `subject`.

    - `trouble`: what happened last. `since`: the end of the first failed run, or the time of the missed deadline.
    - `failures`: the number of consecutive failures. `run_id`: the last failed run. `reason`: its reason.
    - `closed_at`: when it recovered, or ceased to exist.
    """

    subject: str
    trouble: Trouble
    since: str
    failures: int
    run_id: str | None
    reason: str
    closed_at: str | None


class KeptDeployment(TypedDict):
    """A deployment that stays active without a valid document in git, and why."""

    deployment: str
    reason: str
    message: str


class KeptHistory(TypedDict):
    """The defaults of retention: finished runs of each deployment, days, and events."""

    runs: int
    days: int
    events: int


class LastRun(TypedDict):
    """A summary of the newest run of a deployment.

    The health of a deployment does not depend on skipped runs: `relevant` is the newest run that was not skipped.
    """

    id: str
    state: RunState
    reason: str | None
    scheduled_for: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    waits_for: str | None


class Leader(TypedDict):
    """The controller that leads, or led last. `leads`: whether it has renewed its lease in the last 6 seconds.

    `url` is the address to which standbys forward requests; None if the leader serves none.
    """

    leads: bool
    host: str
    pid: int
    version: str
    since: str
    term: int
    url: str | None


class Leadership(TypedDict):
    """The controller that leads, and the role of the one with this state directory; both None for a state in a file.

    `role` is also None if no controller runs with the state directory. See `Standing` for the last two.
    """

    leader: Leader | None
    role: Role | None
    lag_seconds: float | None
    forwarded_requests: int | None


class LeftOut(TypedDict):
    """A run that matches the filters, and the later run of its due time or chain because of which it is not retried."""

    run_id: str
    later_run: str
    reason: str


class Limits(TypedDict):
    """The limits of the controller: `queues` by name, and how much history it keeps."""

    max_running: int
    queues: dict[str, int]
    history: KeptHistory


class LogAttempt(TypedDict):
    """The part of the output that one attempt printed: `lines` lines from number `first_line` on.

    The line before introduces the attempt, except for the first one. `state` is `running` until the end is recorded.
    """

    number: int
    state: str
    started_at: str | None
    first_line: int
    lines: int


class LogLine(TypedDict):
    """One line of the output of a run.

    - `text`: its first 4 KiB, without the line ending; `left_out` is the number of bytes after that.
    - `level`: DEBUG, INFO, WARNING, ERROR or CRITICAL, if the line names one in a common format.
    - `time`: when the line arrived, in UTC; None if it was not recorded, and for the line between two attempts.
    """

    number: int
    text: str
    left_out: int
    level: str | None
    time: str | None
    attempt: int


class LogLines(TypedDict):
    """Lines of the output of a run, out of `total_lines` so far. `complete`: the run has finished."""

    lines: list[LogLine]
    total_lines: int
    complete: bool
    attempts: list[LogAttempt]


class LogPart(TypedDict):
    """A part of the output. `text` has the bytes from `offset` up to `next_offset`, out of `size` bytes so far."""

    offset: int
    next_offset: int
    size: int
    text: str


class LogSearch(TypedDict):
    """The lines that match: how many (`count`), the numbers of the first 100,000 of them, and the first of them."""

    count: int
    numbers: list[int]
    lines: list[LogLine]
    total_lines: int


class LostHost(TypedDict):
    """A host that was declared lost, and the runs that were ended."""

    host: str
    run_ids: list[str]


class NextFire(TypedDict):
    """When the next run of a deployment starts: its next fire time, or before it if jitter delays a run."""

    deployment: str
    fire_time: str


class NotificationMessage(TypedDict):
    """One message to a channel. It is written in a transaction, and sent afterwards, at least once.

    - `id`: a UUIDv7, the delivery id by which a receiver detects repetitions.
    - `state`: the trouble that it reports, `recovered`, `flapping`, `digest`, `test`, `heartbeat`, or
      `commit_status`.
    - `title` and `body`: the text for people; `payload`: the JSON for webhooks.
    - `not_before`: the time of the next attempt. `attempts`: how many were made. `error`: why the last one failed.
    """

    id: str
    channel: str
    state: str
    title: str
    body: str
    created_at: str
    deployment: str | None
    run_id: str | None
    reason: str
    incident_id: int | None
    delivery: MessageState
    attempts: int
    sent_at: str | None
    error: str | None


class NotificationStatus(TypedDict):
    """Whether messages reach the operator.

    - `channels`: the channels of the operator. `problem`: why the current `notify.yaml` is not used, if it is not.
    - `waiting`: the number of messages that wait for delivery. `undeliverable`: the number of messages of the last 7
      days that could not be delivered.
    """

    channels: list[ChannelStatus]
    waiting: int
    undeliverable: int
    problem: SettingsProblem | None


class NotifyView(TypedDict):
    """The settings of notifications. The URLs of channels and of the heartbeat are secrets, and are not shown.

    - `config`: the file with channels and rules, which may not exist; None for no file.
    - `has_heartbeat`: whether a monitor outside gets a heartbeat of the controller.
    """

    config: str | None
    channels: list[ChannelStatus]
    public_url: str | None
    has_heartbeat: bool
    has_deployment_metrics: bool


class NumberedEvent(TypedDict):
    """One event. Later events have higher ids."""

    time: str
    severity: EventSeverity
    reason: str
    message: str
    about: str
    revision: str | None
    deployment: str | None
    run_id: str | None
    tags: list[str]
    environment: str | None
    id: int


class Occurrence(TypedDict):
    """One due time of one deployment. There is never more than one per deployment and instant.

    `runs` are its stored runs, oldest first. `run_id` is the run that decides `state`, the state of the due time:
    one that has not finished, or else the latest that was not cancelled, or the latest if all were. Both remain when
    retention deletes the runs. They are also set for a skipped due time whose run was created but expired before it
    could start. `state` is None if the due time had no run, or if an older version deleted it.
    """

    deployment: str
    scheduled_for: str
    schedule: str
    outcome: Outcome
    run_id: str | None
    reason: str | None
    state: RunState | None
    runs: list[DueRun]


class PackageChange(TypedDict):
    """One package whose version changes. A side is None if it does not have the package.

    A side without a lock has the version specifier, such as `>=3`. `python` is Python itself.
    """

    package: str
    before: str | None
    after: str | None


class ParameterChange(TypedDict):
    """One parameter before and now. `is_new` and `is_gone` distinguish a missing parameter from one that is None."""

    name: str
    before: Any
    after: Any
    is_new: bool
    is_gone: bool


class Pass(TypedDict):
    """One pass that found a change or failed. `stages` maps the name of each stage to its duration in milliseconds."""

    started_at: str
    revision: str | None
    reason: str
    message: str
    counts: dict[str, int]
    stages: dict[str, float]


class Plan(TypedDict):
    """The JSON of `controller plan -o json`. `changes` lists deletions first, then updates, then creations.

    `environment` is the planned environment, None for a plan without one. `environments` are the plans of the
    declared environments in which the commit changes something, if all were planned. `queues` and `project` are the
    changes of controller.yaml, `code` the deployments that run changed files, `unread` the files whose imports could
    not be read. `python` are the deployments whose packages change, as far as that is known without an index.
    `graph` are the dependencies between deployments, and on files and webhooks, that change. `holidays` are the
    deployments whose fire times move with the installed version of the `holidays` package. `commit` is that of the
    head, None for a directory. `specs` are the Python specs that change and were not executed, so that the plan
    lacks the changes of their deployments.
    """

    base: str | None
    head: str
    digest: str
    summary: Summary
    changes: list[Change]
    withheld: Withheld | None
    findings: list[Finding]
    kept: list[KeptDeployment]
    environment: str | None
    environments: list[EnvironmentPlan]
    queues: list[QueueChange]
    project: list[FieldChange]
    code: list[CodeChange]
    unread: list[Unread]
    python: list[PythonChange]
    commit: Commit | None
    graph: list[EdgeChange]
    holidays: list[HolidayChange]
    specs: list[SpecChange]


class PythonChange(TypedDict):
    """A deployment whose Python environment changes, and the packages that differ."""

    deployment: str
    packages: list[PackageChange]


class PythonEnvironment(TypedDict):
    """One Python environment. `id` is its digest or, until its requirements are resolved, the digest of the request.

    `deployments` use it; the newest versions of those in `waiting` do as soon as it is ready. Both are sorted.
    `reason` is that of the condition PythonReady, `message` says more, and a failed build is tried again at
    `retry_at`. `packages` has the installed versions by name; `size` is in bytes. `requests` are the digests of the
    requests.
    """

    id: str
    digest: str | None
    state: PythonState
    reason: str
    message: str
    declared_at: list[str]
    version: str | None
    packages: dict[str, str]
    size: int | None
    deployments: list[str]
    waiting: list[str]
    requests: list[str]
    attempts: int
    built_at: str | None
    used_at: str | None
    retry_at: str | None


class PythonSummary(TypedDict):
    """The Python environment of a deployment or a run.

    `digest` identifies it in `controller python list`; it and `version` are None until the environment is built.
    `packages` has the installed versions by normalised name. `declared_at` is the file with the requirements.
    """

    digest: str | None
    version: str | None
    packages: dict[str, str]
    declared_at: str


class QueueChange(TypedDict):
    """A queue that is `added`, `removed` or `changed`, and its limits: None for no limit or no queue."""

    action: str
    queue: str
    before: int | None
    after: int | None


class QueueLoad(TypedDict):
    """A queue, or with the name `*` the whole controller: its limit (None: no limit) and its runs."""

    name: str
    limit: int | None
    running: int
    waiting: int


class RuleView(TypedDict):
    """A notification rule that the deployment declares.

    It reports the troubles `on` to the channels `to`, after this many consecutive failures, and only what has lasted
    for `for_seconds`.
    """

    to: list[str]
    on: list[Trouble]
    failures: int
    for_seconds: float


class Run(TypedDict):
    """One execution of a deployment, pinned to `revision` and to the `spec_digest` of its document.

    A run contains resolved parameters but never a command: what to execute is read from the source by this pin.

    - `scheduled_for`: the due time; None if the run was triggered without one.
    - `not_before`: the earliest start, None if it may start immediately.
    - `attempt`: the number of the last attempt, of at most `attempts`.
    - `name`: as the flow reported it, else as the deployment's `run_name` gives it.
    - `tasks`, `artifacts`: what the flow reported; empty in lists of runs.
    - `waiting`: what the run waits for.
    - `start_by`: the deadline for the first start.
    - `retry_of`: the run of which this one is a retry.
    - `took`: seconds that its ended attempts took, without the time between them; None before the first has ended.
    - `backfill_id`: the backfill that this run belongs to.
    - `python`: the Python environment of the last attempt; None for the controller's own interpreter.
    - `due_time_of`: the due time, if a user requested the run for it; None for the run that the schedule started.
    - `upstream`: the runs of upstream deployments that released it; if a user requested it, their latest ones.
    - `cancel_reason`: why a user cancelled the run while it was running; set before its flow has ended.
    - `uncertain_since`, `uncertain_reason`: since when, and why, it is unknown whether the run is still running.
    """

    id: str
    deployment: str
    state: RunState
    reason: str | None
    trigger: Trigger
    scheduled_for: str | None
    not_before: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    attempt: int
    attempts: int
    exit_code: int | None
    signal: int | None
    revision: str
    spec_digest: str
    version: str | None
    tags: list[str]
    parameters: dict[str, Any]
    result: Any
    name: str | None
    tasks: list[TaskRun]
    artifacts: list[Artifact]
    waiting: str | None
    queue: str
    priority: int
    start_by: str | None
    retry_of: str | None
    backfill_id: str | None
    due_time_of: str | None
    took: float | None
    python: PythonSummary | None
    upstream: list[UpstreamRun]
    cancel_reason: str | None
    uncertain_since: str | None
    uncertain_reason: str | None


class RunComparison(TypedDict):
    """The differences of a run from another one, from the other to this one.

    `commits` is None if they are unknown, or if both runs had the same revision.
    """

    run_id: str
    other_id: str
    same_revision: bool
    same_document: bool
    parameters: list[ParameterChange]
    commits: CommitRange | None
    files: FileChanges


class RunCounts(TypedDict):
    """The number of unfinished runs by state."""

    running: int
    pending: int
    retrying: int


class RunsInProgress(TypedDict):
    """The unfinished runs. `running` has those that have been running the longest; `more_running` counts the rest."""

    running: list[RunningRun]
    more_running: int
    waiting: list[WaitingRuns]
    queues: list[QueueLoad]


class Schedule(TypedDict):
    """One schedule: its declaration, its description and its next fire times, which come after a hold."""

    id: str
    text: str
    timezone: str
    suspended: bool
    parameters: dict[str, Any]
    fire_times: list[str]


class SearchResult(TypedDict):
    """One result: `path` is its page on the dashboard, and `detail` tells it from results with the same name.

    `status` is the health of a deployment, the state of a run or backfill, and None otherwise.
    """

    kind: ResultKind
    name: str
    detail: str
    status: str | None
    path: str


class Settings(TypedDict):
    """The settings of the controller.

    - `interval_seconds`: how often it polls the source; `grace_seconds`: from SIGTERM to SIGKILL.
    - `token_changed_at`: when the token was created or replaced; `session_seconds`: how long a login lasts.
    - `executors`: the kinds of executors that runs can use. `executor_conditions`: of those on a cluster, by name.
    - `leadership`: which controller leads; None for a state in a file.
    """

    version: str
    python: str
    platform: str
    controller: Controller
    repo: str
    ref: str | None
    path: str
    environment: str | None
    revision: str | None
    working_tree: bool
    is_atomic: bool
    interval_seconds: float
    grace_seconds: float
    drain: bool
    flow_user: str | None
    executors: list[str]
    state: StateUsage
    limits: Limits
    listen: Address | None
    token_changed_at: str | None
    session_seconds: float
    web_url_template: str | None
    conditions: list[Condition]
    executor_conditions: dict[str, list[Condition]]
    notifications: NotifyView
    leadership: Leadership | None


class SettingsProblem(TypedDict):
    """Why the current version of `notify.yaml` is not used, and since when. The last valid version stays in use."""

    message: str
    hint: str | None
    since: str


class Source(TypedDict):
    """The status of the source after the last pass.

    - `last_applied_revision`: older than `last_attempted_revision` if a pass could not apply.
    - `watch_problem`: why changes are only noticed by polling; None if they are watched for.
    - `environment`: the environment whose overlays are applied, or None.
    - `project_name`: the project whose state it is, None if the state has no name.
    """

    repo: str
    ref: str | None
    revision: str | None
    last_attempted_revision: str | None
    last_applied_revision: str | None
    conditions: list[Condition]
    findings: list[Finding]
    watch_problem: str | None
    environment: str | None
    project: str | None


class SpecChange(TypedDict):
    """A Python spec that was not executed; `action` is `added`, `changed` or `removed`."""

    action: str
    file: str


class StateUsage(TypedDict):
    """The state directory: its size and the free space of its disk, in bytes.

    `database_bytes` and `python_bytes` are the sizes of the database and of the Python environments. `bytes` is the
    size of the first 2,000 files without the Python environments; `is_complete` says whether these are all.
    """

    path: str
    bytes: int
    is_complete: bool
    database_bytes: int
    python_bytes: int
    free_bytes: int | None


class Status(TypedDict):
    """The output of `controller status -o json`.

    `withheld` is None if no deletion is; passes are newest first. `commit` is that of the last applied revision.
    `problems` are the first 100 groups of problems with the same cause, the worst first. `notifications` says
    whether messages reach the operator. `executors` are those that run flows on a cluster. `leadership` is None for
    a state in a file.
    """

    controller: Controller
    source: Source
    deployments: list[Deployment]
    runs: RunCounts
    withheld: Withheld | None
    recent_runs: list[Run]
    events: list[NumberedEvent]
    passes: list[Pass]
    commit: Commit | None
    problems: list[AttentionGroup]
    leadership: Leadership | None
    executors: list[ExecutorStatus]
    notifications: NotificationStatus


class StatusSummary(TypedDict):
    """The status in a few numbers.

    - `revision`: the last applied one, and `commit` its commit.
    - `conditions`: those of the source, and those that can't be recorded in the database.
    - `invalid`: the number of deployments and files that can't be applied.
    - `withheld`: the number of deletions that wait for approval.
    - `attention`: the number of problems that `/api/v1/attention` lists.
    - `pending`, `running`, `retrying`: unfinished runs by state.
    - `due_soon`: the number of deployments that fire within a minute, `next_fire` the first of them or else of all,
      and `later_fire` the first one after that minute.
    - `triggers`: what starts runs besides the schedules: `event` (other deployments), `file` and `webhook`.
    """

    controller: Controller
    repo: str
    ref: str | None
    environment: str | None
    revision: str | None
    commit: Commit | None
    conditions: list[Condition]
    invalid: int
    withheld: int
    attention: int
    deployments: int
    running: int
    pending: int
    retrying: int
    due_soon: int
    next_fire: NextFire | None
    later_fire: NextFire | None
    triggers: list[EdgeKind]


class Summary(TypedDict):
    """The number of deployments by what happens to them; `invalid` counts documents and files that can't be applied."""

    create: int
    update: int
    delete: int
    unchanged: int
    invalid: int


class TaskRun(TypedDict):
    """One call of a task or of a flow. All times are aware UTC datetimes.

    - `id`: unique within the attempt of the run. `parent` is the id of the calling flow or task.
    - `label`: the name with a number, as in the log.
    - `needs`: the ids of the earlier calls whose futures were passed as arguments.
    - `attempt`: the number of the call's own last attempt.
    """

    id: int
    parent: int | None
    kind: str
    name: str
    label: str
    state: str
    attempt: int
    started_at: str | None
    finished_at: str | None
    cached: bool
    reason: str | None
    tags: list[str]
    needs: list[int]


class Triggered(TypedDict):
    """The new run. `note` says when it starts, if this controller will not start it."""

    run_id: str
    state: str
    note: str | None


class Unread(TypedDict):
    """A file whose imports could not be read, and why."""

    file: str
    reason: str


class Upstream(TypedDict):
    """A deployment whose runs have to finish first."""

    deployment: str
    on: UpstreamOutcome
    on_redo: OnRedo


class UpstreamRun(TypedDict):
    """A run of an upstream deployment that released a run.

    `due_time` is its own; if upstream runs released it, the latest one of theirs; None if there is none.
    """

    deployment: str
    run_id: str
    due_time: str | None
    state: RunState
    result: Any


class WaitingRun(TypedDict):
    """A waiting run and its deployment."""

    id: str
    deployment: str


class WaitingRuns(TypedDict):
    """The runs that wait for the same thing, which `text` describes.

    `starts_at` is the first time at which one of them starts, if it is known. `runs` has the first 20 of them, and
    none if they only wait for a time.
    """

    text: str
    count: int
    starts_at: str | None
    runs: list[WaitingRun]


class WebhookView(TypedDict):
    """A webhook. `path` is that of its URL, and `parameters` has the JSONPath of each parameter."""

    name: str
    path: str
    signature: WebhookSignature
    header: str
    parameters: dict[str, str]


class Withheld(TypedDict):
    """Deletions that wait for approval: the names of the deployments, and the digest that approves their deletion.

    `plan_digest` is the digest of the plan that first contained the deletions. It approves them too.
    """

    reason: str
    digest: str
    deployments: list[str]
    plan_digest: str


class BackfillDetail(BackfillProgress):
    """All details of a backfill.

    - `failures`: the first 100 due times whose latest run failed or was cancelled, or that were cancelled.
    - `unfinished`: the first 10 due times whose run has not finished.
    - `more_failures`, `more_unfinished`: how many due times the lists leave out.
    """

    failures: list[BackfillTime]
    more_failures: int
    unfinished: list[BackfillTime]
    more_unfinished: int


class DeploymentDetail(Deployment):
    """All details of one deployment. `revision` is the one that its next run would execute.

    `environment` is the one whose overlays are applied, if any. `python` is the Python environment of the active
    version, None for the controller's own interpreter; the condition PythonReady has what the newest version waits
    for. `changed_in` is the commit that changed the active version of the document, None if that is unknown. `after`
    are the upstream deployments of the active version, and `dependants` the deployments that name this one under
    `after`. `notify` are its own notification rules, `expect` its deadlines in seconds by their keys. `files` are
    the folders whose new files start runs.
    """

    revision: str | None
    spec_digest: str | None
    parameters: dict[str, Any]
    schedules: list[Schedule]
    timeout_seconds: float | None
    env: dict[str, str]
    findings: list[Finding]
    environment: str | None
    python: PythonSummary | None
    changed_in: Commit | None
    after: After
    dependants: list[str]
    notify: list[RuleView]
    expect: dict[str, float]
    files: list[FileTriggerView]
    webhooks: list[WebhookView]


class PythonEnvironmentDetail(PythonEnvironment):
    """All details of one Python environment. `executable` is its interpreter, `log` the end of its build's log."""

    executable: str | None
    lock: str | None
    log: str


class RecordedCommit(Commit):
    """A commit that a pass has seen, with the deployments that it added, changed and removed.

    `pr_url` is the URL of the pull or merge request that its subject names; None if it names none that is known.
    """

    added: DeploymentNames
    changed: DeploymentNames
    removed: DeploymentNames
    pr_url: str | None


class RunDetail(Run):
    """All details of one run. `history` has its attempts so far, oldest first; `commit` is that of its revision.

    `author` is who triggered or retried it; None for a run of a schedule or of a backfill, or if that is not
    recorded. `waits_until` is when it is skipped if it still waits for upstream deployments then; None if it waits
    for none.
    """

    history: list[Attempt]
    commit: Commit | None
    author: str | None
    waits_until: str | None


class RunningRun(Run):
    """A running run with its progress.

    - `tasks_done` of `tasks_seen`: the tasks of the current attempt that have ended, and all that it has called so
      far.
    - `current_task`: the label of the newest task that is running.
    - `typical_seconds`: the median duration of the successful ones of the deployment's last 20 runs; None without
      any.
    """

    tasks_done: int
    tasks_seen: int
    current_task: str | None
    typical_seconds: float | None
