"""The name of a flow's run: the template `flow_run_name`, filled in with the run's parameters. Called by `flow`."""

from collections.abc import Callable, Mapping
from typing import Any

from controller.sdk import event_writer
from controller.sdk.argument_binding import bound
from controller.sdk.messages import shorten
from controller.sdk.run_context import LiveRun
from controller.sdk.run_logger import logger_of
from controller.sdk.run_states import summary

MAX_NAME = 120


def report_name(
    run: LiveRun, template: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    """Send the name of this run to the controller. A template that can't be filled in is only logged as a warning."""
    try:
        name = shorten(template.format(**bound(fn, args, kwargs)), MAX_NAME).strip()
    except Exception as error:  # noqa: BLE001 - the user's `__format__` may raise anything
        logger_of(run).warning("flow_run_name %r can't be filled in: %s", template, summary(error))
        return
    if not name:
        logger_of(run).warning("flow_run_name %r results in an empty name", template)
        return
    event_writer.write_event({"run": {"name": name}})
