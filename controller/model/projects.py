"""The projects whose states are in one database on a server."""

from controller.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSummary:
    """A project. `leader` is the host of the controller that leads it, None if none does.

    If its state can't be read, `problem` says why, and nothing else is known.
    """

    name: str
    repo: str | None = None
    leader: str | None = None
    version: str | None = None
    deployments: int = 0
    running: int = 0
    problem: str | None = None
