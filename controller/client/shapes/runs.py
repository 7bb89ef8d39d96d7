"""What the API says about runs."""

from typing import Any, TypedDict


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


class RunDetail(Run):
    """Everything about one run; `history` are its attempts so far, oldest first."""

    history: list[Attempt]


class LogPart(TypedDict):
    """A part of the output: `text` is what lies between `offset` and `next_offset`, of `size` bytes so far."""

    offset: int
    next_offset: int
    size: int
    text: str


class Triggered(TypedDict):
    """The run that was made."""

    run_id: str
    state: str


class LastRun(TypedDict):
    """The newest run of a deployment, in short."""

    id: str
    state: str
    reason: str | None
    scheduled_for: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None


class RunCounts(TypedDict):
    """How many runs are not final."""

    running: int
    pending: int
    retrying: int
