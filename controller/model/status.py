"""What is known about the source and each deployment: conditions, events, and what is recorded as in force."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from controller.model.findings import Finding


class ConditionType(StrEnum):
    """The question that a condition answers, in Flux's words."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    PRUNE_WITHHELD = "PruneWithheld"
    STORAGE_FULL = "StorageFull"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One answer: yes or no since `last_transition_time`, for a PascalCase `reason`."""

    type: ConditionType
    status: bool
    reason: str
    message: str
    last_transition_time: datetime


INVALID = "InvalidManifest"
"""Its newest document, or the file of it, is bad."""
WITHHELD = "PruneWithheld"
"""Git does not declare it any more, and its deletion has not been approved."""
KEPT = "PruneDisabled"
"""Git does not declare it any more, and it said that it is never to be deleted."""


class EventSeverity(StrEnum):
    """How much an event asks for attention."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One recorded fact about `about`: a deployment's name, `run/<id>`, `source`, or `controller`."""

    time: datetime
    severity: EventSeverity
    reason: str
    message: str
    about: str
    revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """Deletions that git asks for and that nobody has approved: their names, and the digest that approves them.

    `plan_digest` is that of the plan that they were part of first, which approves them as well.
    """

    reason: str
    digest: str
    deployments: tuple[str, ...]
    plan_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """An operator's word that the schedules of a deployment do not fire: who said it, why, and until when."""

    deployment: str
    reason: str
    author: str
    since: datetime
    until: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether it has expired."""
        return self.until is not None and self.until <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class PassRecord:
    """One pass that found something new or failed. `stages` are milliseconds by the name of the stage."""

    started_at: datetime
    revision: str | None
    reason: str
    message: str
    counts: Mapping[str, int]
    stages: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """What the last pass found. `last_applied_revision` lags behind when a pass could not apply.

    `approved` is the digest of deletions that somebody has released. `environment` is the one whose overlays are
    applied, None where none are. `followed` says what the inventory was applied from (location, path, environment);
    None if an earlier version applied it. `watch_problem` says why changes are only polled for, and `overdue_since`
    when a pass began that has not ended in time.
    """

    repo: str
    ref: str | None
    revision: str | None
    last_attempted_revision: str | None
    last_applied_revision: str | None
    conditions: tuple[Condition, ...] = ()
    findings: tuple[Finding, ...] = ()
    withheld: Withheld | None = None
    approved: str | None = None
    followed: str | None = None
    watch_problem: str | None = None
    overdue_since: datetime | None = None
    environment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryEntry:
    """One deployment in force: the last good `document`, where it was declared, and since when it counts.

    `revision` is where the document was last seen to change, and `generation` counts its changes. While its file is
    broken the entry stays `pinned` to the last revision that declared it well; otherwise its runs use the source's
    last applied revision. `cursor` is the instant up to which its due times are accounted for. `conditions` say
    whether git and this entry agree.
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

    @property
    def is_valid(self) -> bool:
        """Whether the newest document of this name was good, and is the one in force."""
        return all(condition.status for condition in self.conditions if condition.type is ConditionType.READY)

    @property
    def reason(self) -> str | None:
        """The reason of its Ready condition."""
        ready = (condition.reason for condition in self.conditions if condition.type is ConditionType.READY)
        return next(ready, None)
