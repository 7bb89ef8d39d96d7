"""The logger of flows and tasks: Python's own `logging`, with the run's label in every line.

Where nobody has configured `logging`, lines go to standard error in a form that people read; else as was configured.
It is loaded when the first line is written: `logging` is as large as all the rest.
"""

import builtins
import logging
import sys
from collections.abc import Callable, MutableMapping
from typing import Any

from controller.sdk import event_writer
from controller.sdk.run_context import LiveRun, current
from controller.sdk.run_states import CANCELLED, MissingContextError, summary

_FORMAT = "%(asctime)s.%(msecs)03d | %(levelname)-7s | %(run)s | %(message)s"


class _Fallback(logging.StreamHandler[Any]):
    """Writes only where nobody else does."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.root.handlers:
            super().emit(record)


class RunLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the label of the run, and keeps what the caller adds."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """As `logging` asks for it."""
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
    """The logger of the flow or task that runs here. Raises MissingContextError outside of any."""
    here = current.get()
    if here is None:
        raise MissingContextError("there is no flow or task running here that the lines could belong to")
    return logger_of(here)


def logger_of(run: LiveRun) -> RunLogger:
    """The logger of this run."""
    return RunLogger(_logger, {"run": run.label})


def log_retry(run: LiveRun, retries: int, delay: float, why: str) -> None:
    """Say that it is tried again."""
    logger_of(run).warning("%s; retry %d of %d in %g s", why, run.attempt, retries, round(delay, 3))


def log_failure(run: LiveRun) -> None:
    """Say how a run that did not succeed ended, unless it was stopped: the log says that once for all of them."""
    if event_writer.is_stopped() and run.state.name == CANCELLED.name:
        return
    logger_of(run).error("%s%s", run.state.name, f": {run.state.message}" if run.state.message else "")


def log_hook(run: LiveRun, hook: Callable[..., Any], error: BaseException) -> None:
    """Say that a hook failed."""
    logger_of(run).error("the hook %s failed: %s", getattr(hook, "__name__", hook), summary(error))


def log_artifact(what: str, words: str, *, is_lost: bool = False) -> None:
    """Say that something is shown, or why it is not."""
    here = current.get()
    logger = RunLogger(_logger, {"run": "-"}) if here is None else logger_of(here)
    if is_lost:
        logger.warning("the %s is not kept: %s", what, words)
    else:
        logger.info("%s: %s", what, words)


def take_prints() -> None:
    """From now on, what a run with `log_prints` prints goes to its logger."""
    builtins.print = _print


def _print(
    *values: object, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False
) -> None:
    here = current.get()
    if here is None or not here.log_prints or file not in (None, sys.stdout):
        _python_print(*values, sep=sep, end=end, file=file, flush=flush)
        return
    logger_of(here).info("%s", (" " if sep is None else sep).join(map(str, values)))
