"""Findings grouped by their code, for the Source page and the live view: many equal warnings hide no other finding."""

from collections.abc import Iterable

from controller.model.findings import Finding, Severity
from controller.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingGroup:
    """The findings of one code. `count` is the number of all of them, `findings` has the first ones."""

    code: str
    severity: Severity
    count: int
    findings: tuple[Finding, ...]


def group_findings(findings: Iterable[Finding], limit: int) -> list[FindingGroup]:
    """Return the groups, those of errors first, each with at most `limit` findings in their order."""
    groups: dict[tuple[bool, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity is not Severity.ERROR, finding.code), []).append(finding)
    return [
        FindingGroup(code=code, severity=members[0].severity, count=len(members), findings=tuple(members[:limit]))
        for (_, code), members in sorted(groups.items(), key=lambda item: item[0][0])
    ]
