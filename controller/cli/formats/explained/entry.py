"""The form of one explanation. The other modules of the folder fill it in, `explanations` hands it out."""

from dataclasses import dataclass

from controller.model.findings import Severity

NIGHTLY = "name: nightly\nflow: flows/etl.py:main\n"
"""What most examples begin with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a code means, in plain English with Markdown's backticks only.

    `summary` is one line without a full stop. `meaning` and `remedy` are one paragraph each; in docs/findings.md they
    follow one another, or the remedy is left out. `wrong` gives a finding of this code, `right` gives none: YAML, each
    with a newline at its end, or empty.
    """

    code: str
    summary: str
    meaning: str
    remedy: str
    severity: Severity = Severity.ERROR
    wrong: str = ""
    right: str = ""
