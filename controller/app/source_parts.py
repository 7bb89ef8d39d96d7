"""The parts of a controller that depend on its source: the renderer of Python specs, and the first status.

`controller.app.controller` calls it.
"""

import json

from controller.model.status import SourceStatus
from controller.python_specs import Renderer
from controller.runs.executors.local.users import FlowUser
from controller.settings import Settings, flow_environment
from controller.store.ownership import project_of


def new_renderer(user: FlowUser | None) -> Renderer:
    """Return the renderer of Python specs. It executes them like flows: in the same environment, as the same user."""
    if user is None:
        return Renderer(environment=flow_environment())
    environment = {**flow_environment(), **user.environment}
    return Renderer(environment=environment, user=(user.uid, user.gid, user.groups))


def first_status(settings: Settings) -> SourceStatus:
    """Return the status of the source before the first pass."""
    location = settings.location
    followed = [str(location.repo), location.ref, location.path, location.environment, settings.working_tree]
    return SourceStatus(
        repo=str(location.repo),
        ref=location.ref,
        environment=location.environment,
        project_name=project_of(location),
        revision=None,
        last_attempted_revision=None,
        last_applied_revision=None,
        followed=json.dumps(followed),
    )
