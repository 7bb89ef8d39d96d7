"""Checks parameters against the signature of the flow before a run is created.

A trigger uses `check`; the HTTP API uses `form` and `faults` for its form and check endpoints.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from controller.errors import SourceError, StateError, UsageError
from controller.manifests.build import build_deployment
from controller.manifests.yaml.builder import MAX_DEPTH
from controller.model.runs import Run
from controller.model.status import InventoryEntry
from controller.queries.parameter_form import Forms, FormView, ParameterFault
from controller.queries.serialization import depth
from controller.runs.due_schedules import find_schedule
from controller.runs.pinned_deployments import PinnedDeployments
from controller.store import Store, inventory, source_status

_SHOWN = 3
_DEEP = "Pass the name of a file that contains them, or JSON as a string."


class ParametersError(UsageError):
    """The flow cannot be called with these parameters; `faults` lists the errors."""

    def __init__(self, faults: tuple[ParameterFault, ...], prefix: str = "") -> None:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        super().__init__(
            prefix + "; ".join(fault.message for fault in faults[:_SHOWN]) + more + ".", hint=faults[0].hint
        )
        self.faults = faults


class Parameters:
    """Checks parameters and builds forms for active deployments. Thread-safe."""

    def __init__(self, store: Store, forms: Forms, environment: str | None = None) -> None:
        self._store = store
        self._forms = forms
        self._environment = environment

    def check(self, name: str, parameters: Mapping[str, Any], due_time: datetime | None = None) -> None:
        """Raise ParametersError for invalid parameters, UsageError if they are not JSON or nested too deeply.

        Does nothing if the deployment is not active: the caller reports that. A run with a due time also has the
        parameters of the schedule that is due then.
        """
        faults = self.faults(name, parameters, due_time)
        if faults:
            raise ParametersError(faults)

    def check_originals(self, originals: Iterable[Run], parameters: Mapping[str, Any], now: datetime) -> None:
        """Raise ParametersError if one of these runs can't be repeated with these parameters at its own commit.

        A commit that can't be read is not checked: the run will report it.
        """
        pinned = PinnedDeployments(self._forms.source, self._store, self._environment)
        for run in originals:
            try:
                deployment = pinned.resolve(run, now)
            except (SourceError, StateError):
                continue
            if faults := self._forms.check(deployment, run.revision, {**run.parameters, **parameters}):
                raise ParametersError(faults, f"At commit {_short(run.revision)}, of run {run.id}: ")

    def faults(
        self, name: str, parameters: Mapping[str, Any], due_time: datetime | None = None
    ) -> tuple[ParameterFault, ...] | None:
        """Return the errors in these parameters, merged over those in git; None if the deployment is not active.

        Raises UsageError if they are not JSON, or nested more deeply than manifests may be.
        """
        if depth(parameters) > MAX_DEPTH:
            raise UsageError(f"The parameters are nested deeper than {MAX_DEPTH} levels.", hint=_DEEP)
        try:
            json.dumps(parameters, allow_nan=False).encode()
        except ValueError as error:
            raise UsageError("The parameters are not JSON: NaN and Infinity are not allowed.") from error
        active = self._find(name)
        if active is None:
            return None
        entry, revision = active
        deployment = build_deployment(entry.document, entry.file, entry.line)
        schedule = None
        if due_time is not None:
            with self._store.read() as tx:
                schedule = find_schedule(tx, deployment, due_time)
        declared = {} if schedule is None else schedule.parameters
        return self._forms.check(deployment, revision, {**deployment.parameters, **declared, **parameters})

    def form(self, name: str, now: datetime) -> FormView | None:
        """Return the parameter form of a deployment for a run at `now`; None if it is not active."""
        active = self._find(name)
        return None if active is None else self._forms.form(*active, now)

    def _find(self, name: str) -> tuple[InventoryEntry, str] | None:
        """Return the active deployment of this name and the revision that its next run would execute."""
        with self._store.read() as tx:
            entry, source = inventory.find(tx, name), source_status.find(tx)
        if entry is None:
            return None
        return entry, entry.pinned or (source and source.last_applied_revision) or entry.revision


def _short(revision: str) -> str:
    """Return `4f5e6d7c8b9a` for a revision such as `main@sha1:4f5e6d7c8b9a…`."""
    return revision.rpartition(":")[2][:12]
