"""What the API says about deployments, and what it finds wrong."""

from typing import Any, Literal, TypedDict

from controller.client.shapes.runs import LastRun

Health = Literal["Healthy", "Degraded", "Running", "Suspended", "Unknown"]
Outcome = Literal["run", "skipped"]
Severity = Literal["error", "warning"]
Sync = Literal["Synced", "OutOfSync", "Invalid", "Unknown"]


class Backfilled(TypedDict):
    """What was queued, for which times; how many had a run already, and how many earlier ones were left out."""

    run_ids: list[str]
    times: list[str]
    already_run: int
    left_out: int


class Condition(TypedDict):
    """One condition of a source or deployment, and since when it holds."""

    type: str
    status: str
    reason: str
    message: str
    last_transition_time: str


class Hold(TypedDict):
    """An operator's word that the schedules of a deployment do not fire: who said it, why, and until when."""

    deployment: str
    reason: str
    author: str
    since: str
    until: str | None


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
    """Everything about one deployment. `revision` is what its next run would execute.

    `environment` is the one whose overlays are applied, None where none are.
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
    """The last good document: as a mapping, and as its author wrote it if `is_whole`."""

    document: dict[str, Any]
    text: str
    is_whole: bool
    file: str
    revision: str


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
    """The parameters of one deployment; with `is_open` it takes others too. `passed_as`: `arguments` or `file`."""

    deployment: str
    fields: list[FormField]
    is_open: bool
    passed_as: str


class Occurrence(TypedDict):
    """One due time of one deployment. There is at most one for each (deployment, instant), for ever."""

    deployment: str
    scheduled_for: str
    schedule: str
    outcome: Outcome
    run_id: str | None
    reason: str | None
