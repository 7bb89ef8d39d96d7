"""JSON types of runs, attempts, tasks, artifacts and logs."""

from typing import Any, TypedDict


class Artifact(TypedDict):
    """An artifact of a run.

    `data` is a string for `markdown`; `url` and `text` for a `link`; `columns` (or None) and `rows` for a `table`.
    """

    key: str | None
    kind: str
    data: Any


class Attempt(TypedDict):
    """One attempt of a run."""

    number: int
    state: str
    started_at: str | None
    finished_at: str | None
    exit_code: int | None
    signal: int | None
    reason: str | None


class TaskRun(TypedDict):
    """One call of a task or flow. `id` is unique within the attempt; `parent` is the id of the calling flow or task."""

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
    """A run. `attempt` is the current attempt, of at most `attempts`."""

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
    """A run with all details; `history` contains its attempts so far, oldest first."""

    history: list[Attempt]


class LogPart(TypedDict):
    """A part of the log: the text from byte `offset` to `next_offset`. `size` is the current length in bytes."""

    offset: int
    next_offset: int
    size: int
    text: str


class Triggered(TypedDict):
    """The new run."""

    run_id: str
    state: str


class LastRun(TypedDict):
    """A summary of the newest run of a deployment."""

    id: str
    state: str
    reason: str | None
    scheduled_for: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None


class RunCounts(TypedDict):
    """The number of unfinished runs, by state."""

    running: int
    pending: int
    retrying: int
