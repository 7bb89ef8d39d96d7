"""Conditions and findings as JSON columns: how they are written and read back."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from controller.model.findings import Finding, Severity
from controller.model.status import Condition, ConditionType


def to_json(conditions: Iterable[Condition]) -> list[dict[str, Any]]:
    """As a JSON column holds them."""
    return [
        {**asdict(condition), "last_transition_time": condition.last_transition_time.isoformat()}
        for condition in conditions
    ]


def from_json(rows: Iterable[dict[str, Any]]) -> tuple[Condition, ...]:
    """As they were."""
    return tuple(
        Condition(
            type=ConditionType(row["type"]),
            status=row["status"],
            reason=row["reason"],
            message=row["message"],
            last_transition_time=datetime.fromisoformat(row["last_transition_time"]),
        )
        for row in rows
    )


def findings_to_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """As a JSON column holds them."""
    return [asdict(finding) for finding in findings]


def findings_from_json(rows: Iterable[dict[str, Any]]) -> tuple[Finding, ...]:
    """As they were."""
    return tuple(Finding(**{**row, "severity": Severity(row["severity"])}) for row in rows)
