"""The logger of flows and tasks: Python's `logging`, with the label of the flow or task run in every line.

If the flow does not configure `logging`, the lines go to standard error in a readable format. This module is imported
when the first line is written, because importing `logging` costs as much as the rest of the package.
"""

import builtins
import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from controller.sdk import event_writer
from controller.sdk.run_context import LiveRun, current
from controller.sdk.run_states import CANCELLED, RUNNING, MissingContextError, summary

_FORMAT = "%(asctime)s.%(msecs)03d | %(levelname)-7s | %(run)s | %(message)s"


if TYPE_CHECKING:
    _Handler = logging.StreamHandler[Any]
    _Adapter = logging.LoggerAdapter[logging.Logger]
else:  # Python 3.10 can't subscript them
    _Handler, _Adapter = logging.StreamHandler, logging.LoggerAdapter


class _Fallback(_Handler):
    """A handler for standard error that is silent as soon as the root logger has handlers of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.root.handlers:
            super().emit(record)


class RunLogger(_Adapter):
    """A logger that adds the run's label to each record, as the attribute `run`, and keeps the caller's `extra`."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Merge the label into `extra`; see `logging.LoggerAdapter.process`."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


_logger = logging.getLogger("controller.flow")
_handler = _Fallback()
_handler.setFormatter(logging.Formatter(_FORMAT, "%H:%M:%S"))
_logger.addHandler(_handler)
if _logger.level == logging.NOTSET:
    _logger.setLevel(logging.INFO)
_python_print = builtins.print


def get_run_logger() -> RunLogger:
    """Return the logger of the flow or task that is running. Raises MissingContextError outside of flows and tasks.

    Its lines carry the label of the flow or task run, such as `load-3`. They go to the handlers that the flow has
    configured, or to standard error.
    """
    run = current.get()
    if run is None:
        raise MissingContextError("no flow or task is running here, so there is no run logger")
    return logger_of(run)


def logger_of(run: LiveRun) -> RunLogger:
    """Return the logger of a flow or task run."""
    return RunLogger(_logger, {"run": run.label})


def log_retry(run: LiveRun, retries: int, delay: float, reason: str) -> None:
    """Log that an attempt failed and that the next one starts in `delay` seconds."""
    logger_of(run).warning("%s; retry %d of %d in %g s", reason, run.attempt, retries, round(delay, 3))


def log_failure(run: LiveRun) -> None:
    """Log the state of a run that did not succeed.

    Nothing is logged for a run that was cancelled because the whole run is being stopped: one line covers all of them.
    The exception of SIGTERM may also arrive just before its first attempt, while it is still `running`.
    """
    if event_writer.is_stopped() and run.state.name in (CANCELLED.name, RUNNING.name):
        return
    logger_of(run).error("%s%s", run.state.name, f": {run.state.message}" if run.state.message else "")


def log_skip(run: LiveRun) -> None:
    """Log that a flow or task had nothing to do, and why."""
    logger_of(run).info("skipped%s", f": {run.state.message}" if run.state.message else "")


def log_hook(run: LiveRun, hook: Callable[..., Any], error: BaseException) -> None:
    """Log that a hook raised an error."""
    logger_of(run).error("the hook %s failed: %s", getattr(hook, "__name__", hook), summary(error))


def log_artifact(label: str, text: str, *, is_lost: bool = False) -> None:
    """Log an artifact with its text; or if it was dropped, the reason."""
    run = current.get()
    logger = RunLogger(_logger, {"run": "-"}) if run is None else logger_of(run)
    if is_lost:
        logger.warning("the %s was dropped: %s", label, text)
    else:
        logger.info("%s: %s", label, text)


def redirect_prints() -> None:
    """Replace `print`: in runs with `log_prints`, it writes to the run's logger from now on."""
    builtins.print = _print


def _print(
    *values: object, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False
) -> None:
    run = current.get()
    if run is None or not run.log_prints or file not in (None, sys.stdout):
        _python_print(*values, sep=sep, end=end, file=file, flush=flush)
        return
    logger_of(run).info("%s", (" " if sep is None else sep).join(map(str, values)))
