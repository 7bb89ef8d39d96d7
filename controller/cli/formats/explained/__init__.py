"""The explanations of all codes as data. `explanations` imports them, and docs/findings.md is generated from them."""

from controller.cli.formats.explained.deployments import SHAPE, WHAT_RUNS
from controller.cli.formats.explained.entry import Explanation
from controller.cli.formats.explained.files import FILES
from controller.cli.formats.explained.flows import FLOWS, PARAMETERS
from controller.cli.formats.explained.matrices import MATRICES
from controller.cli.formats.explained.notifications import NOTIFICATIONS
from controller.cli.formats.explained.overlays import OVERLAYS
from controller.cli.formats.explained.python import PYTHON
from controller.cli.formats.explained.schedules import SCHEDULES
from controller.cli.formats.explained.syntax import SYNTAX
from controller.cli.formats.explained.upstreams import UPSTREAMS
from controller.cli.formats.explained.webhooks import WEBHOOKS

__all__ = ["CHAPTERS", "DOCUMENTED", "Explanation"]

CHAPTERS: dict[str, tuple[Explanation, ...]] = {
    "Files": FILES,
    "YAML": SYNTAX,
    "Structure of a deployment": (*SHAPE, *MATRICES),
    "Flow, command and environment variables": WHAT_RUNS,
    "Flows and parameters": (*FLOWS, *PARAMETERS),
    "Python environment and import paths": PYTHON,
    "Environments and controller.yaml": OVERLAYS,
    "Schedules": SCHEDULES,
    "Upstream deployments": UPSTREAMS,
    "Webhooks": WEBHOOKS,
    "Notifications and deadlines": NOTIFICATIONS,
}
"""The chapters of docs/findings.md, in their order."""
DOCUMENTED: tuple[Explanation, ...] = tuple(explanation for chapter in CHAPTERS.values() for explanation in chapter)
