"""JSON types of deployments, schedules, findings and parameter forms."""

from typing import Any, Literal, TypedDict

from controller.client.shapes.runs import LastRun

Health = Literal["Healthy", "Degraded", "Running", "Suspended", "Unknown"]
Outcome = Literal["run", "skipped"]
Severity = Literal["error", "warning"]
Sync = Literal["Synced", "OutOfSync", "Invalid", "Unknown"]


class Backfilled(TypedDict):
    """The queued runs and their due times. `already_run`: due times that had a run; `left_out`: those beyond `max`."""

    run_ids: list[str]
    times: list[str]
    already_run: int
    left_out: int


class Condition(TypedDict):
    """One condition of the source or of a deployment, and the time of its last change."""

    type: str
    status: str
    reason: str
    message: str
    last_transition_time: str


class Hold(TypedDict):
    """A hold on the schedules of a deployment: its author, reason and end."""

    deployment: str
    reason: str
    author: str
    since: str
    until: str | None


class Deployment(TypedDict):
    """A deployment in a list. `file` (relative to the repository root) and `line`: its declaration.

    `flow` is None for a command.
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
    last_run: LastRun | None
    conditions: list[Condition]


class Schedule(TypedDict):
    """A schedule. `text` describes it in English; `fire_times` are its next ones, or those after a hold."""

    id: str
    text: str
    timezone: str
    suspended: bool
    parameters: dict[str, Any]
    fire_times: list[str]


class Finding(TypedDict):
    """A problem found in a file of the repository."""

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
    """A deployment with all details. `revision` is the one that its next run would execute.

    `environment` is the environment whose overlays are applied, or None.
    """

    revision: str | None
    spec_digest: str | None
    parameters: dict[str, Any]
    schedules: list[Schedule]
    timeout_seconds: float | None
    env: dict[str, str]
    findings: list[Finding]
    environment: str | None


class Document(TypedDict):
    """The last good document: as a mapping, and as text, which is the original text if `is_whole`."""

    document: dict[str, Any]
    text: str
    is_whole: bool
    file: str
    revision: str


class Fault(TypedDict):
    """An error in parameters. `path` leads to the value and starts with the name of the parameter."""

    code: str
    message: str
    path: list[str | int]
    hint: str | None


class FormField(TypedDict):
    """A parameter. `kind` is `text`, `integer`, `number`, `boolean`, `choice` or `json`."""

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
    """The parameters of a deployment. With `is_open`, other parameters are allowed too.

    `passed_as` is `arguments` or `file`.
    """

    deployment: str
    fields: list[FormField]
    is_open: bool
    passed_as: str


class Occurrence(TypedDict):
    """A due time of a deployment. There is never more than one per deployment and time."""

    deployment: str
    scheduled_for: str
    schedule: str
    outcome: Outcome
    run_id: str | None
    reason: str | None
