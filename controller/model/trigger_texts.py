"""Describes what starts runs of a deployment besides its schedules, as phrases for people.

`queries` and the command line call it.
"""

from collections.abc import Iterator

from controller.model.deployments import Deployment
from controller.model.triggers import After, FileTrigger
from controller.text import join_and, join_or


def trigger_texts(deployment: Deployment) -> tuple[str, ...]:
    """Return a phrase for each trigger: `for new files in /srv/inbox that match *.csv`, `after ingest (succeeded)`."""
    return tuple(_texts(deployment))


def after_text(after: After) -> str:
    """Return the upstream deployments and how their runs have to end: `ingest (succeeded) and audit (finished)`."""
    upstreams = [f"{upstream.deployment} ({upstream.on})" for upstream in after.upstreams]
    return join_or(upstreams) if after.any else join_and(upstreams)


def file_trigger_text(trigger: FileTrigger) -> str:
    """Return the phrase for a file trigger."""
    match = "" if trigger.pattern == "*" else f" that match {trigger.pattern}"
    return f"new files in {trigger.path}{match}"


def _texts(deployment: Deployment) -> Iterator[str]:
    if deployment.after.upstreams and not deployment.schedules:
        yield f"after {after_text(deployment.after)}"
    yield from (f"for {file_trigger_text(trigger)}" for trigger in deployment.files)
    yield from (f"for requests to /hooks/{webhook.name}" for webhook in deployment.webhooks)
