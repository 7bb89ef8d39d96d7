"""Decides which failures have an exit code as their common cause. Pure; called by `grouping` and `incidents`.

Commands that end with the same exit code have no common cause, unless many of them fail within a short time: then a
server, a disk or a shared script is more likely than a coincidence.
"""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from controller.model.notifications import IncidentMember

MANY = 5
"""How many deployments must have failed with the same exit code within `WITHIN`."""
WITHIN = timedelta(minutes=1)
_EXIT_CODE = re.compile(r"exit code -?\d+")


def exit_code_key(reason: str) -> str:
    """Return the key of the incident for this exit code; empty if the reason says more than an exit code."""
    return f"failed/{reason}" if _EXIT_CODE.fullmatch(reason) else ""


def are_many(members: Iterable[IncidentMember], at: datetime) -> bool:
    """Return whether one more failure at `at` makes these recent failures many."""
    return sum(at - WITHIN <= member.since <= at for member in members) >= MANY - 1
