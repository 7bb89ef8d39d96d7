"""One result of validation: what is wrong, where, and what to do. Made by `manifests`, shown by every surface."""

from dataclasses import dataclass
from enum import StrEnum

from controller.model.snapshots import RefusedFile


class Severity(StrEnum):
    """How much a finding weighs: an error keeps a document from being applied, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong in one place of one file.

    `line` and `column` count from 1. `path` is the JSON path of the offending node inside its document, like
    `$.schedules[0].cron`. `code` is PascalCase and stable. `deployment` is the name in whose document it lies,
    None where the document has no usable name.
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


def by_place(finding: Finding) -> tuple[str, int, int, str]:
    """The order in which findings are shown: a key for `sorted`."""
    return (finding.file, finding.line, finding.column, finding.code)


def refusal_finding(file: RefusedFile) -> Finding:
    """The finding of a file that was not even read."""
    return Finding(code="RefusedFile", message=file.message, file=file.path, line=1, column=1)
