"""The recorded status of the source and of each deployment: conditions, events, holds and the inventory."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Any

from controller.model import INTERNAL, json_key
from controller.model.findings import Finding
from controller.records import dataclass


class ConditionType(StrEnum):
    """The type of a condition. The names follow Flux."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    PRUNE_WITHHELD = "PruneWithheld"
    STORAGE_FULL = "StorageFull"
    PYTHON_READY = "PythonReady"
    LATE = "Late"
    OVERDUE = "Overdue"
    FILES_WATCHED = "FilesWatched"
    EXECUTOR_READY = "ExecutorReady"


class ConditionStatus(StrEnum):
    """The status of a condition, spelled as in Kubernetes."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition, with a PascalCase `reason` and the time since which it has had this status."""

    type: ConditionType
    status: ConditionStatus
    reason: str
    message: str
    last_transition_time: datetime

    @property
    def is_true(self) -> bool:
        """Whether the condition is met."""
        return self.status is ConditionStatus.TRUE


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorStatus:
    """An executor of the controller that leads, or led last. Its condition says whether flows can start there."""

    name: str
    conditions: tuple[Condition, ...]

    @property
    def ready(self) -> Condition:
        """The condition `ExecutorReady`."""
        return self.conditions[0]


INVALID = "InvalidManifest"
"""Reason: the newest document of the deployment, or its file, is invalid."""
WITHHELD = "PruneWithheld"
"""Reason: git no longer declares the deployment, and its deletion has not been approved."""
KEPT = "PruneDisabled"
"""Reason: git no longer declares the deployment, which has `prune: disabled`."""
NO_PYTHON = "PythonNotReady"
"""Reason: the Python environment of the deployment's newest version is not ready; its last version stays active."""
MISSING_UPSTREAM = "UpstreamMissing"
"""Reason: an upstream deployment is not active, so runs can't be released."""


class EventSeverity(StrEnum):
    """The severity of an event."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One recorded event. `about` is its subject: a deployment's name, `source` or `controller`.

    - `deployment`: the deployment that it is about, if any, with its `tags` at that time. `run_id`: the run, if any.
    - `environment`: the environment whose overlays were applied, or None.
    """

    time: datetime
    severity: EventSeverity
    reason: str
    message: str
    about: str
    revision: str | None = None
    deployment: str | None = None
    run_id: str | None = None
    tags: tuple[str, ...] = ()
    environment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedEvent(Event):
    """One event. Later events have higher ids."""

    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """Deletions that wait for approval: the names of the deployments, and the digest that approves their deletion.

    `plan_digest` is the digest of the plan that first contained the deletions. It approves them too.
    """

    reason: str
    digest: str
    deployments: tuple[str, ...]
    plan_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """An operator's order that the schedules of a deployment do not fire, with its author, reason and end."""

    deployment: str
    reason: str
    author: str
    since: datetime
    until: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether the hold has expired."""
        return self.until is not None and self.until <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRecord:
    """One pass that found a change or failed. `stages` maps the name of each stage to its duration in milliseconds."""

    started_at: datetime
    revision: str | None
    reason: str
    message: str
    counts: Mapping[str, int]
    stages: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
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
    conditions: tuple[Condition, ...] = ()
    findings: tuple[Finding, ...] = ()
    withheld: Withheld | None = field(default=None, metadata=INTERNAL)
    approved: str | None = field(default=None, metadata=INTERNAL)
    """The digest of the deletions that were approved."""
    followed: str | None = field(default=None, metadata=INTERNAL)
    """The location, path and environment that the inventory was applied from; None if an earlier version applied it."""
    watch_problem: str | None = None
    overdue_since: datetime | None = field(default=None, metadata=INTERNAL)
    """The start of a pass that has not finished in time."""
    environment: str | None = None
    project_name: str | None = field(default=None, metadata=json_key("project"))


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryEntry:
    """One active deployment: its last valid `document` and where it is declared.

    - `revision`: the revision of the last change to the document; `generation` counts its changes.
    - `pinned`: while the deployment's file is invalid, or the Python environment of its newest version is not ready,
      the last revision that was applied. Otherwise None, and runs use the source's last applied revision.
    - `changed_in`: the last commit that touched its file when the document changed, or that removed the document; None
      if that is unknown.
    - `cursor`: the instant up to which the deployment's due times have been processed.
    - `conditions`: whether git and this entry agree.
    - `python`: the digest of the request for the Python environment of this version, which `python_declared_at`, the
      file with the requirements, declares. Both are None for the controller's own interpreter. `python_waiting` is
      that of the newest version, while this version stays active because it is not ready.
    """

    name: str
    file: str
    line: int
    document: Mapping[str, Any]
    spec_digest: str
    revision: str
    cursor: datetime
    pinned: str | None = None
    conditions: tuple[Condition, ...] = ()
    generation: int = 1
    python: str | None = None
    python_declared_at: str | None = None
    python_waiting: str | None = None
    changed_in: str | None = None

    @property
    def is_valid(self) -> bool:
        """Whether the newest document of this deployment is valid and applied."""
        return all(condition.is_true for condition in self.conditions if condition.type is ConditionType.READY)

    @property
    def reason(self) -> str | None:
        """The reason of the Ready condition; None without one."""
        ready = (condition.reason for condition in self.conditions if condition.type is ConditionType.READY)
        return next(ready, None)
