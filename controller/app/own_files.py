"""Finds the files that a run depends on: those that declare its deployment, and those that its flow loads.

`controller.app.web` passes it to the comparison of two runs, which lists these files before all others.
"""

from collections.abc import Mapping
from datetime import datetime

from controller.errors import ControllerError
from controller.model.commits import commit_id
from controller.model.runs import Run
from controller.model.snapshots import PROJECT_FILE
from controller.reconcile.changed_code import code_changes
from controller.runs.pinned_deployments import PinnedDeployments
from controller.settings import Location
from controller.sources.open_source import open_commit
from controller.sources.source import Change
from controller.store import Store


def own_files(
    location: Location, store: Store, run: Run, earlier: str, changed: Mapping[str, Change], now: datetime
) -> set[str]:
    """Return the files that the run depends on, among those that `changed` since the revision `earlier`.

    Its manifest and the project file are always in the result. If the deployment or its imports can't be read, nothing
    else is. Nothing is imported or executed.
    """
    own = {run.file, PROJECT_FILE}
    # The controller's own source caches the code of one commit, which must stay that of the last pass.
    source = open_commit(location, commit_id(run.revision))
    try:
        deployment = PinnedDeployments(source, store, location.environment).resolve(run, now)
        code = source.code(run.revision)
        changes = code_changes(source, code, changed, head=run.revision, base=earlier, deployments=[deployment])
    except (ControllerError, OSError):
        return own
    return own.union(*(change.files for change in changes.deployments))
