"""The explanations of all codes as data, in the sections of docs/findings.md. Only `explanations` imports them."""

from controller.cli.formats.explained.deployments import SHAPE, WHAT_RUNS
from controller.cli.formats.explained.entry import Explanation
from controller.cli.formats.explained.files import FILES
from controller.cli.formats.explained.flows import FLOWS, PARAMETERS
from controller.cli.formats.explained.overlays import OVERLAYS
from controller.cli.formats.explained.schedules import SCHEDULES
from controller.cli.formats.explained.syntax import SYNTAX

__all__ = ["DOCUMENTED", "Explanation"]

DOCUMENTED: tuple[Explanation, ...] = (*FILES, *SYNTAX, *SHAPE, *WHAT_RUNS, *FLOWS, *PARAMETERS, *OVERLAYS, *SCHEDULES)
"""In the order of docs/findings.md."""
