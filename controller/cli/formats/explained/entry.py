"""The data type of an explanation. The other modules of this package define the values."""

from controller.model.findings import Severity
from controller.records import dataclass

NIGHTLY = "name: nightly\nflow: flows/etl.py:main\n"
"""The first lines of most examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The explanation of a finding code, in English with backticks as the only Markdown.

    `summary` is one line without a full stop. `meaning` and `remedy` are one paragraph each. `wrong` is a YAML example
    that produces a finding of this code, `right` one that produces no finding; each ends with a newline or is empty.
    """

    code: str
    summary: str
    meaning: str
    remedy: str
    severity: Severity = Severity.ERROR
    wrong: str = ""
    right: str = ""
