"""Describes what starts runs of a deployment besides its schedules, as phrases for people.

`reconcile.preview`, `queries` and the command line call it.
"""

from collections.abc import Iterator

from controller.model.deployments import Deployment
from controller.model.triggers import FileTrigger


def trigger_texts(deployment: Deployment) -> tuple[str, ...]:
    """Return a phrase for each trigger: `new files in /srv/inbox that match *.csv`."""
    return tuple(_texts(deployment))


def file_trigger_text(trigger: FileTrigger) -> str:
    """Return the phrase for a file trigger."""
    match = "" if trigger.pattern == "*" else f" that match {trigger.pattern}"
    return f"new files in {trigger.path}{match}"


def _texts(deployment: Deployment) -> Iterator[str]:
    yield from map(file_trigger_text, deployment.files)
    yield from (f"requests to /hooks/{webhook.name}" for webhook in deployment.webhooks)
