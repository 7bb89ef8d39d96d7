"""What the API answers, as types: objects of JSON under the names of their fields.

Instants are ISO 8601 texts in UTC with `Z`. A test holds these shapes against the published OpenAPI document; answers
may have more fields in a later version, never fewer.
"""

from typing import Any, Literal, TypedDict

EventSeverity = Literal["info", "warning", "error"]
Health = Literal["Healthy", "Degraded", "Running", "Suspended", "Unknown"]
Outcome = Literal["run", "skipped"]
Severity = Literal["error", "warning"]
Sync = Literal["Synced", "OutOfSync", "Invalid", "Unknown"]


class Approved(TypedDict):
    """What became of approved deletions; `pending`: they go as soon as a revision can be applied."""

    digest: str
    deleted: list[str]
    remaining: list[str]
    pending: bool
    revision: str | None


class Artifact(TypedDict):
    """`data`: a text for `markdown`, `url` and `text` for a `link`, `columns` (or None) and `rows` for a `table`."""

    key: str | None
    kind: str
    data: Any


class Attempt(TypedDict):
    """One try of a run."""

    number: int
    state: str
    started_at: str | None
    finished_at: str | None
    exit_code: int | None
    signal: int | None
    reason: str | None


class Backfilled(TypedDict):
    """What was queued, for which times; how many had a run already, and how many earlier ones were left out."""

    run_ids: list[str]
    times: list[str]
    already_run: int
    left_out: int


class FieldChange(TypedDict):
    """One field by its JSON path, such as `$.schedules[0].cron`; None is where it is not there."""

    path: str
    before: Any
    after: Any


class FireTimeChange(TypedDict):
    """The next few instants at which it fires, before and after the change."""

    before: list[str]
    after: list[str]


class Change(TypedDict):
    """One deployment that is to be created, updated or deleted; `file` and `line` are those of its document."""

    action: str
    deployment: str
    file: str
    line: int
    fields: list[FieldChange]
    fire_times: FireTimeChange
    renamed_from: str | None
    warnings: list[str]
    runs_in_flight: int


class Condition(TypedDict):
    """One condition of a source or deployment, and since when it holds."""

    type: str
    status: str
    reason: str
    message: str
    last_transition_time: str


class Controller(TypedDict):
    """The process that follows this repository."""

    running: bool
    pid: int | None
    started_at: str | None
    version: str | None


class Hold(TypedDict):
    """An operator's word that the schedules of a deployment do not fire: who said it, why, and until when."""

    deployment: str
    reason: str
    author: str
    since: str
    until: str | None


class LastRun(TypedDict):
    """The newest run of a deployment, in short."""

    id: str
    state: str
    reason: str | None
    scheduled_for: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None


class Deployment(TypedDict):
    """One row. `file` (from the repository root) and `line` say where it is declared; `flow` is None for a command."""

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
    last_run: LastRun | None
    conditions: list[Condition]


class Schedule(TypedDict):
    """One schedule: as declared, in words, and its next fire times; while its deployment is held those after that."""

    id: str
    text: str
    timezone: str
    suspended: bool
    parameters: dict[str, Any]
    fire_times: list[str]


class Finding(TypedDict):
    """One thing that is wrong in one place of one file."""

    code: str
    message: str
    file: str
    line: int
    column: int
    severity: Severity
    hint: str | None
    path: str
    deployment: str | None


class DeploymentDetail(Deployment):
    """Everything about one deployment. `revision` is what its next run would execute."""

    revision: str | None
    spec_digest: str | None
    parameters: dict[str, Any]
    schedules: list[Schedule]
    timeout_seconds: float | None
    env: dict[str, str]
    findings: list[Finding]


class Document(TypedDict):
    """The last good document: as a mapping, and as its author wrote it if `is_whole`."""

    document: dict[str, Any]
    text: str
    is_whole: bool
    file: str
    revision: str


class Event(TypedDict):
    """One recorded fact about `about`: a deployment's name, `run/<id>`, `source`, or `controller`."""

    time: str
    severity: EventSeverity
    reason: str
    message: str
    about: str
    revision: str | None


class Fault(TypedDict):
    """One thing that is wrong with given parameters; `path` leads to it, and begins with the parameter's name."""

    code: str
    message: str
    path: list[str | int]
    hint: str | None


class FormField(TypedDict):
    """One parameter. `kind` is `text`, `integer`, `number`, `boolean`, `choice` or `json`."""

    name: str
    kind: str
    type: str | None
    required: bool
    nullable: bool
    default: str | None
    choices: list[Any]
    is_given: bool
    value: Any


class Form(TypedDict):
    """The parameters of one deployment; with `is_open` it takes others too."""

    deployment: str
    fields: list[FormField]
    is_open: bool


class LogPart(TypedDict):
    """A part of the output: `text` is what lies between `offset` and `next_offset`, of `size` bytes so far."""

    offset: int
    next_offset: int
    size: int
    text: str


class NextFire(TypedDict):
    """When a deployment fires next."""

    deployment: str
    fire_time: str


class NumberedEvent(Event):
    """One recorded fact; a later one has a higher `id`."""

    id: int


class Occurrence(TypedDict):
    """One due time of one deployment. There is at most one for each (deployment, instant), for ever."""

    deployment: str
    scheduled_for: str
    schedule: str
    outcome: Outcome
    run_id: str | None
    reason: str | None


class Pass(TypedDict):
    """One pass that found something new or failed. `stages` are milliseconds by the name of the stage."""

    started_at: str
    revision: str | None
    reason: str
    message: str
    counts: dict[str, int]
    stages: dict[str, float]


class Summary(TypedDict):
    """How many of each; `invalid` are the documents and files that can't be applied."""

    create: int
    update: int
    delete: int
    unchanged: int
    invalid: int


class Withheld(TypedDict):
    """Deletions that wait: their names, and the digest that approves them."""

    reason: str
    digest: str
    deployments: list[str]
    plan_digest: str


class Stays(TypedDict):
    """A deployment that stays in force though git does not declare it (well) any more, and why."""

    deployment: str
    reason: str
    message: str


class Plan(TypedDict):
    """The contract of `controller plan -o json`: deletions come first, then updates, then creations."""

    base: str | None
    head: str
    digest: str
    summary: Summary
    changes: list[Change]
    withheld: Withheld | None
    findings: list[Finding]
    kept: list[Stays]


class TaskRun(TypedDict):
    """One call of a task or flow. `id` counts within the attempt of its run; `parent` is what called it."""

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


class Run(TypedDict):
    """One run. `attempt` of `attempts` at most."""

    id: str
    deployment: str
    state: str
    reason: str | None
    trigger: str
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


class RunCounts(TypedDict):
    """How many runs are not final."""

    running: int
    pending: int
    retrying: int


class RunDetail(Run):
    """Everything about one run; `history` are its attempts so far, oldest first."""

    history: list[Attempt]


class Source(TypedDict):
    """What the last pass found."""

    repo: str
    ref: str | None
    revision: str | None
    last_attempted_revision: str | None
    last_applied_revision: str | None
    conditions: list[Condition]
    findings: list[Finding]


class Status(TypedDict):
    """The contract of `controller status -o json`. `withheld` is None while nothing is; the newest pass comes first."""

    controller: Controller
    source: Source
    deployments: list[Deployment]
    runs: RunCounts
    withheld: Withheld | None
    recent_runs: list[Run]
    events: list[Event]
    passes: list[Pass]


class Triggered(TypedDict):
    """The run that was made."""

    run_id: str
    state: str
