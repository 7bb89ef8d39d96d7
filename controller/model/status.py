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
    STALLED = "Stalled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One answer: yes or no since `last_transition_time`, for a PascalCase `reason`."""

    type: ConditionType
    status: bool
    reason: str
    message: str
    last_transition_time: datetime


class EventSeverity(StrEnum):
    """How much an event asks for attention."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One recorded fact about `about`: a deployment's name, `run/<id>`, or `source`."""

    time: datetime
    severity: EventSeverity
    reason: str
    message: str
    about: str
    revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """What the last pass found. `last_applied_revision` lags behind when a pass could not apply."""

    repo: str
    ref: str | None
    revision: str | None
    last_attempted_revision: str | None
    last_applied_revision: str | None
    conditions: tuple[Condition, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryEntry:
    """One deployment in force: the last good `document`, where it was declared, and since when it counts.

    `revision` is where the document was last seen to change. While its file is broken the entry stays `pinned` to
    the last revision that declared it well; otherwise its runs use the source's last applied revision. `cursor` is
    the instant up to which its due times are accounted for. `conditions` say whether git and this entry agree.
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

    @property
    def is_valid(self) -> bool:
        """Whether the newest document of this name was good."""
        return all(condition.status for condition in self.conditions if condition.type is ConditionType.READY)
