"""The parts of the controller that a pass uses besides the source and the store. `app` gives them to `reconciler`."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Protocol

from controller.model.python_environments import PythonEnvironment, PythonRequest
from controller.model.schedules import Agenda


class PythonEnvironments(Protocol):
    """Build the Python environments that deployments ask for, in the background."""

    def ensure(
        self, requests: Iterable[PythonRequest], committed_at: datetime | None
    ) -> Mapping[str, PythonEnvironment]:
        """Return the environment of each request, by its digest. New environments are built in the background."""

    def collect(self, named: Collection[str], now: datetime) -> None:
        """Remove environments that neither these requests, given by digest, nor unfinished runs need."""


class Project(Protocol):
    """Project the active deployments to the timetable."""

    def __call__(self, agendas: Mapping[str, Agenda], removed: Iterable[str] | None) -> Iterable[str]:
        """Add or change the jobs of `agendas` and remove those of `removed`; None: remove all other jobs.

        Returns the names whose job was missing, unknown or outdated.
        """
