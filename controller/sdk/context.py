"""The context of a running flow or task, for user code: `get_run_context()`."""

import os
from typing import Any, NamedTuple

from controller.sdk.run_context import current
from controller.sdk.run_states import MissingContextError


class UpstreamRun(NamedTuple):
    """A run of an upstream deployment that released this run."""

    deployment: str
    """The name of the upstream deployment."""
    run_id: str
    """The ID of its run."""
    due_time: str | None
    """The due time of its run, or of what released that, in UTC as ISO 8601; None if there is none."""
    state: str
    """How its run ended, such as `succeeded`."""
    result: Any
    """The return value of its flow, as JSON; None without a result."""


class RunContext(NamedTuple):
    """The running flow or task, and the controller's run that it is part of.

    `run_id`, `deployment`, `run_attempt`, `scheduled_for` and `revision` come from the controller; they are None in
    plain Python.
    """

    kind: str
    """`"flow"` or `"task"`."""
    name: str
    """The label in the log and in `controller runs show`, such as `load-3`."""
    flow: Any
    """The flow that is running, or that called the task; None for a task that was called outside of a flow."""
    task: Any
    """The task that is running; None in a flow."""
    parameters: dict[str, Any]
    """A flow's keyword arguments after conversion; a task's arguments if it has a `cache_key_fn`, otherwise empty."""
    tags: tuple[str, ...]
    """The tags of the task, and those of the `with tags(…)` blocks around the call."""
    attempt: int
    """The attempt of this flow or task, from 1."""
    run_id: str | None
    """The ID of the run."""
    deployment: str | None
    """The name of the deployment."""
    run_attempt: int | None
    """The attempt of the whole run, from 1."""
    scheduled_for: str | None
    """The due time of a scheduled run, in UTC as ISO 8601; None for a run that was triggered manually."""
    revision: str | None
    """The commit that the run is pinned to."""
    upstream: dict[str, UpstreamRun]
    """The runs of upstream deployments (`after`) that released this run, by the name of their deployment."""


def get_run_context() -> RunContext:
    """Return the context of the flow or task that is running. Raises MissingContextError outside of flows and tasks."""
    run = current.get()
    if run is None:
        raise MissingContextError("no flow or task is running here")
    flow_run = run
    while flow_run.kind != "flow" and flow_run.parent is not None:
        flow_run = flow_run.parent
    attempt = os.environ.get("CONTROLLER_ATTEMPT")
    return RunContext(
        kind=run.kind,
        name=run.label,
        flow=flow_run.owner if flow_run.kind == "flow" else None,
        task=run.owner if run.kind == "task" else None,
        parameters=run.parameters,
        tags=run.tags,
        attempt=run.attempt,
        run_id=os.environ.get("CONTROLLER_RUN_ID"),
        deployment=os.environ.get("CONTROLLER_DEPLOYMENT"),
        run_attempt=int(attempt) if attempt else None,
        scheduled_for=os.environ.get("CONTROLLER_SCHEDULED_FOR") or None,
        revision=os.environ.get("CONTROLLER_REVISION"),
        upstream=_read_upstream(os.environ.get("CONTROLLER_UPSTREAM")),
    )


def _read_upstream(path: str | None) -> dict[str, UpstreamRun]:
    """Return the upstream runs from the file that the controller wrote for this attempt."""
    if not path:
        return {}
    import json
    from pathlib import Path

    runs = json.loads(Path(path).read_text(encoding="utf-8"))
    return {name: UpstreamRun(deployment=name, **run) for name, run in runs.items()}
