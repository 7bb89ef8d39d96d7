"""What one run of a flow is called: `flow_run_name`, with its parameters in it. `flow` asks."""

from collections.abc import Callable, Mapping
from typing import Any

from controller.sdk import event_writer
from controller.sdk.argument_binding import bound
from controller.sdk.run_context import LiveRun
from controller.sdk.run_logger import logger_of
from controller.sdk.run_states import summary

MAX_NAME = 120


def tell_name(
    run: LiveRun, template: str, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    """Report the name of this run. A template that gives none fails nothing, and is said in the log."""
    try:
        name = _clean(template.format(**bound(fn, args, kwargs)))
    except Exception as error:  # noqa: BLE001 - the template is the user's, and so is what its values do
        logger_of(run).warning("flow_run_name %r gives no name: %s", template, summary(error))
        return
    if not name:
        logger_of(run).warning("flow_run_name %r gives an empty name", template)
        return
    event_writer.write({"run": {"name": name}})


def _clean(text: str) -> str:
    """On one line, printable, and not long."""
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text[: MAX_NAME + 1])
    return (shown if len(shown) <= MAX_NAME else f"{shown[: MAX_NAME - 1]}…").strip()
