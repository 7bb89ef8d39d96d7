"""The explanations of all codes as data, by the parts of docs/findings.md. `explanations` reads it, nobody else."""

from controller.reports.explained.deployments import SHAPE, WHAT_RUNS
from controller.reports.explained.entry import Explanation
from controller.reports.explained.files import FILES
from controller.reports.explained.flows import FLOWS, PARAMETERS
from controller.reports.explained.overlays import OVERLAYS
from controller.reports.explained.schedules import SCHEDULES
from controller.reports.explained.syntax import SYNTAX

__all__ = ["DOCUMENTED", "Explanation"]

DOCUMENTED: tuple[Explanation, ...] = (*FILES, *SYNTAX, *SHAPE, *WHAT_RUNS, *FLOWS, *PARAMETERS, *OVERLAYS, *SCHEDULES)
"""In the order of docs/findings.md."""
