"""Do these parameters fit the flow? Asked before a run is made of them, whatever way the request came.

`Operations` calls `check`; the HTTP API shows forms and faults from the same place.
"""

import json
from collections.abc import Mapping
from typing import Any

from controller.errors import UsageError
from controller.manifests import MAX_DEPTH
from controller.model.status import InventoryEntry
from controller.queries.parameter_form import Forms, FormView, ParameterFault
from controller.queries.serialization import depth
from controller.store import Store, inventory, source_status

_SHOWN = 3
_DEEP = "Give the name of a file that holds them, or JSON as a text."


class ParametersError(UsageError):
    """The flow can't be called with these parameters; `faults` says where and why."""

    def __init__(self, faults: tuple[ParameterFault, ...]) -> None:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        super().__init__("; ".join(fault.message for fault in faults[:_SHOWN]) + more + ".", hint=faults[0].hint)
        self.faults = faults


class Parameters:
    """Answers for deployments in force; about others nothing is said. Safe to use from several threads."""

    def __init__(self, store: Store, forms: Forms) -> None:
        self._store = store
        self._forms = forms

    def check(self, name: str, given: Mapping[str, Any]) -> None:
        """Raises ParametersError, or UsageError for what is no JSON or too deep.

        That nothing is in force is for others to say.
        """
        faults = self.faults(name, given)
        if faults:
            raise ParametersError(faults)

    def faults(self, name: str, given: Mapping[str, Any]) -> tuple[ParameterFault, ...] | None:
        """What is wrong with these parameters, laid over those of git; None if the deployment is not in force.

        Raises UsageError for what is no JSON, or deeper than git may give it.
        """
        if depth(given) > MAX_DEPTH:
            raise UsageError(f"The parameters are nested deeper than {MAX_DEPTH} levels.", hint=_DEEP)
        try:
            json.dumps(given, allow_nan=False).encode()
        except ValueError as error:
            raise UsageError("The parameters are not JSON: NaN and Infinity are no numbers there.") from error
        found = self._find(name)
        return None if found is None else self._forms.check(*found, given)

    def form(self, name: str) -> FormView | None:
        """The form for a run of this deployment; None if it is not in force."""
        found = self._find(name)
        return None if found is None else self._forms.form(*found)

    def _find(self, name: str) -> tuple[InventoryEntry, str] | None:
        """What is in force under this name, and the revision that its next run would execute."""
        with self._store.read() as tx:
            entry, source = inventory.find(tx, name), source_status.find(tx)
        if entry is None:
            return None
        return entry, entry.pinned or (source and source.last_applied_revision) or entry.revision
