"""Formats findings as workflow commands, which GitHub Actions shows as annotations on a pull request. `cli` calls it.

Source: docs.github.com, "Workflow commands for GitHub Actions", and `toolkit/packages/core/src/command.ts`.
"""

from collections.abc import Sequence

from controller.model.findings import Finding
from controller.text import visible

_BREAKS = "\r\n"


def render(findings: Sequence[Finding]) -> str:
    """Return one command per line, without a newline at the end. File names must be relative to the repository root."""
    return "\n".join(_command(finding) for finding in findings)


def _command(finding: Finding) -> str:
    properties = {"line": str(max(finding.line, 1)), "col": str(max(finding.column, 1)), "title": finding.code}
    if finding.file:
        properties = {"file": finding.file, **properties}
    parameters = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    message = finding.message if not finding.hint else f"{finding.message}\nhint: {finding.hint}"
    return f"::{finding.severity} {parameters}::{_data(message)}"


def _data(text: str) -> str:
    return visible(text, keep=_BREAKS).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
