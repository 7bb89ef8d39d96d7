"""What the API says about the source: what is applied, planned and withheld, what happened, and the whole picture."""

from typing import Any, Literal, TypedDict

from controller.client.shapes.deployments import Condition, Deployment, Finding
from controller.client.shapes.runs import Run, RunCounts

EventSeverity = Literal["info", "warning", "error"]


class Pass(TypedDict):
    """One pass that found something new or failed. `stages` are milliseconds by the name of the stage."""

    started_at: str
    revision: str | None
    reason: str
    message: str
    counts: dict[str, int]
    stages: dict[str, float]


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


class Stays(TypedDict):
    """A deployment that stays in force though git does not declare it (well) any more, and why."""

    deployment: str
    reason: str
    message: str


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


class EnvironmentPlan(TypedDict):
    """What the same commit changes where the controller runs with `--environment` and this name."""

    name: str
    digest: str
    summary: Summary
    changes: list[Change]
    withheld: Withheld | None
    findings: list[Finding]
    kept: list[Stays]


class QueueChange(TypedDict):
    """A queue that is `added`, `removed` or `changed`. The limits are None where there is no limit, or no queue."""

    action: str
    queue: str
    before: int | None
    after: int | None


class CodeChange(TypedDict):
    """A deployment whose code changes: `files` are the changed ones among those that its run would load."""

    deployment: str
    files: list[str]


class Unread(TypedDict):
    """A file whose imports could not be followed, and why."""

    file: str
    reason: str


class Plan(TypedDict):
    """The contract of `controller plan -o json`: deletions come first, then updates, then creations.

    `environment` is the one that was planned, None outside of all. `environments` are the declared ones in which the
    commit changes something, where all were asked for. `queues` and `project` are what changes in controller.yaml,
    `code` the deployments that run changed files, and `unread` the files whose imports could not be followed.
    """

    base: str | None
    head: str
    digest: str
    summary: Summary
    changes: list[Change]
    withheld: Withheld | None
    findings: list[Finding]
    kept: list[Stays]
    environment: str | None
    environments: list[EnvironmentPlan]
    queues: list[QueueChange]
    project: list[FieldChange]
    code: list[CodeChange]
    unread: list[Unread]


class Source(TypedDict):
    """What the last pass found. `environment` is the one whose overlays are applied, None where none are."""

    repo: str
    ref: str | None
    revision: str | None
    last_attempted_revision: str | None
    last_applied_revision: str | None
    conditions: list[Condition]
    findings: list[Finding]
    watch_problem: str | None
    environment: str | None


class Event(TypedDict):
    """One recorded fact about `about`: a deployment's name, `run/<id>`, `source`, or `controller`."""

    time: str
    severity: EventSeverity
    reason: str
    message: str
    about: str
    revision: str | None


class NumberedEvent(Event):
    """One recorded fact; a later one has a higher `id`."""

    id: int


class Controller(TypedDict):
    """The process that follows this repository."""

    running: bool
    pid: int | None
    started_at: str | None
    version: str | None


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


class Approved(TypedDict):
    """What became of approved deletions; `pending`: they go as soon as a revision can be applied."""

    digest: str
    deleted: list[str]
    remaining: list[str]
    pending: bool
    revision: str | None


class NextFire(TypedDict):
    """When a deployment fires next."""

    deployment: str
    fire_time: str
