"""Findings are grouped by their code, errors first, with the number of all of them."""

from controller.model.findings import Finding, Severity
from controller.queries.findings import group_findings


def finding(line: int, code: str, severity: Severity = Severity.WARNING) -> Finding:
    return Finding(code=code, message="m", file="a.yaml", line=line, column=1, severity=severity)


def test_many_warnings_are_one_group_after_the_errors() -> None:
    warnings = [finding(line, "ClockChange") for line in range(1, 126)]
    errors = [finding(500, "UnknownKey", Severity.ERROR), finding(501, "BadCron", Severity.ERROR)]
    groups = group_findings([*warnings, *errors, finding(600, "UnknownKey", Severity.ERROR)], 2)
    assert [(group.code, group.count, [entry.line for entry in group.findings]) for group in groups] == [
        ("UnknownKey", 2, [500, 600]),
        ("BadCron", 1, [501]),
        ("ClockChange", 125, [1, 2]),
    ]
