"""JSON types of the source, reconcile passes, plans, withheld deletions, events, and the status."""

from typing import Any, Literal, TypedDict

from controller.client.shapes.deployments import Condition, Deployment, Finding
from controller.client.shapes.runs import Run, RunCounts

EventSeverity = Literal["info", "warning", "error"]


class Pass(TypedDict):
    """A reconcile pass that found changes or failed. `stages`: the milliseconds spent in each stage."""

    started_at: str
    revision: str | None
    reason: str
    message: str
    counts: dict[str, int]
    stages: dict[str, float]


class FieldChange(TypedDict):
    """A changed field, with its JSON path such as `$.schedules[0].cron`. None means that the field is missing."""

    path: str
    before: Any
    after: Any


class FireTimeChange(TypedDict):
    """The next few fire times before and after a change."""

    before: list[str]
    after: list[str]


class Change(TypedDict):
    """A deployment that a plan creates, updates or deletes; `file` and `line` locate its document."""

    action: str
    deployment: str
    file: str
    line: int
    fields: list[FieldChange]
    fire_times: FireTimeChange
    renamed_from: str | None
    warnings: list[str]
    runs_in_flight: int


class KeptDeployment(TypedDict):
    """A deployment that stays active although git no longer declares it, or no longer validly, and the reason."""

    deployment: str
    reason: str
    message: str


class Summary(TypedDict):
    """The number of changes of each kind; `invalid` is the number of documents and files that cannot be applied."""

    create: int
    update: int
    delete: int
    unchanged: int
    invalid: int


class Withheld(TypedDict):
    """Deletions that await approval: the names of the deployments, and the digest to approve."""

    reason: str
    digest: str
    deployments: list[str]
    plan_digest: str


class EnvironmentPlan(TypedDict):
    """The plan of the same commit for a controller that runs with `--environment` and this name."""

    name: str
    digest: str
    summary: Summary
    changes: list[Change]
    withheld: Withheld | None
    findings: list[Finding]
    kept: list[KeptDeployment]


class QueueChange(TypedDict):
    """A queue that is `added`, `removed` or `changed`. A limit is None if there is no limit or no such queue."""

    action: str
    queue: str
    before: int | None
    after: int | None


class CodeChange(TypedDict):
    """A deployment whose code changes. `files` are the changed files among those that its run would load."""

    deployment: str
    files: list[str]


class Unread(TypedDict):
    """A file whose imports could not be followed, and the reason."""

    file: str
    reason: str


class Plan(TypedDict):
    """The JSON of `controller plan -o json`: deletions come first, then updates, then creations.

    `environment` is the planned environment, or None. `environments` are the declared environments in which the commit
    changes something, if all were requested. `queues` and `project` are the changes in controller.yaml, `code` the
    deployments that run changed files, and `unread` the files whose imports could not be followed.
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


class Source(TypedDict):
    """The source after the last reconcile pass. `environment`: the one whose overlays are applied, or None."""

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
    """An event. `about` is the name of a deployment, `run/<id>`, `source`, or `controller`."""

    time: str
    severity: EventSeverity
    reason: str
    message: str
    about: str
    revision: str | None


class NumberedEvent(Event):
    """An event with its number; later events have a higher `id`."""

    id: int


class Controller(TypedDict):
    """The controller process of this repository."""

    running: bool
    pid: int | None
    started_at: str | None
    version: str | None


class Status(TypedDict):
    """The JSON of `controller status -o json`. `withheld` is None if no deletions are withheld; newest pass first."""

    controller: Controller
    source: Source
    deployments: list[Deployment]
    runs: RunCounts
    withheld: Withheld | None
    recent_runs: list[Run]
    events: list[Event]
    passes: list[Pass]


class Approved(TypedDict):
    """The result of an approval. `pending`: the deletions happen as soon as a revision can be applied."""

    digest: str
    deleted: list[str]
    remaining: list[str]
    pending: bool
    revision: str | None


class NextFire(TypedDict):
    """The next fire time of a deployment."""

    deployment: str
    fire_time: str
