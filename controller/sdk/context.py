"""What a flow or task can learn of its run: `get_run_context()`."""

import os
from typing import Any, NamedTuple

from controller.sdk.run_context import current
from controller.sdk.run_states import MissingContextError


class RunContext(NamedTuple):
    """Where this code is: its flow or task, and the controller's run around it.

    `name` is the label in logs and in `runs show`. What comes from the controller is None in plain Python, as is
    `scheduled_for` (UTC, ISO 8601) of a run that was triggered by hand. `attempt` is that of the flow or task,
    `run_attempt` that of the whole run.
    """

    kind: str
    name: str
    flow: Any
    task: Any
    parameters: dict[str, Any]
    tags: tuple[str, ...]
    attempt: int
    run_id: str | None
    deployment: str | None
    run_attempt: int | None
    scheduled_for: str | None
    revision: str | None


def get_run_context() -> RunContext:
    """The context of the flow or task that runs here. Raises MissingContextError outside of any."""
    here = current.get()
    if here is None:
        raise MissingContextError("there is no flow or task running here")
    above = here
    while above.kind != "flow" and above.parent is not None:
        above = above.parent
    attempt = os.environ.get("CONTROLLER_ATTEMPT")
    return RunContext(
        kind=here.kind,
        name=here.label,
        flow=above.owner if above.kind == "flow" else None,
        task=here.owner if here.kind == "task" else None,
        parameters=here.parameters,
        tags=here.tags,
        attempt=here.attempt,
        run_id=os.environ.get("CONTROLLER_RUN_ID"),
        deployment=os.environ.get("CONTROLLER_DEPLOYMENT"),
        run_attempt=int(attempt) if attempt else None,
        scheduled_for=os.environ.get("CONTROLLER_SCHEDULED_FOR") or None,
        revision=os.environ.get("CONTROLLER_REVISION"),
    )
