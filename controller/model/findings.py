"""The results of validation: what is wrong, where, and what to do. Created by `manifests`, shown by all interfaces."""

from enum import StrEnum

from controller.model.snapshots import RefusedFile
from controller.records import dataclass


class Severity(StrEnum):
    """The severity of a finding: an error prevents a document from being applied, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem at one location of a file.

    `line` and `column` count from 1. `path` is the JSON path of the invalid node inside its document, such as
    `$.schedules[0].cron`. `code` is PascalCase and stable. `deployment` is the name that the document declares, or None
    if it declares no valid name.
    """

    code: str
    message: str
    file: str
    line: int
    column: int
    severity: Severity = Severity.ERROR
    hint: str | None = None
    path: str = "$"
    deployment: str | None = None

    def __str__(self) -> str:
        """Return the finding as one line: `FILE:LINE:COLUMN: MESSAGE`."""
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


def by_place(finding: Finding) -> tuple[str, int, int, str]:
    """Return the sort key for the order in which findings are shown."""
    return (finding.file, finding.line, finding.column, finding.code)


def refusal_finding(file: RefusedFile) -> Finding:
    """Return the finding for a file that controller refused to read."""
    return Finding(code="RefusedFile", message=file.message, file=file.path, line=1, column=1)
