"""Converts conditions and findings to the values of JSON columns, and back."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from controller.model.findings import Finding, Severity
from controller.model.status import Condition, ConditionStatus, ConditionType


def to_json(conditions: Iterable[Condition]) -> list[dict[str, Any]]:
    """Convert conditions to the value of a JSON column."""
    return [
        {
            "type": condition.type,
            "status": condition.is_true,
            "reason": condition.reason,
            "message": condition.message,
            "last_transition_time": condition.last_transition_time.isoformat(),
        }
        for condition in conditions
    ]


def from_json(rows: Iterable[dict[str, Any]]) -> tuple[Condition, ...]:
    """Convert the value of a JSON column to conditions."""
    return tuple(
        Condition(
            type=ConditionType(row["type"]),
            status=ConditionStatus(str(row["status"])),
            reason=row["reason"],
            message=row["message"],
            last_transition_time=datetime.fromisoformat(row["last_transition_time"]),
        )
        for row in rows
    )


def findings_to_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Convert findings to the value of a JSON column."""
    return [asdict(finding) for finding in findings]


def findings_from_json(rows: Iterable[dict[str, Any]]) -> tuple[Finding, ...]:
    """Convert the value of a JSON column to findings."""
    return tuple(Finding(**{**row, "severity": Severity(row["severity"])}) for row in rows)
