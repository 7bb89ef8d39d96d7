"""Formats the controller's own log: a constant message and fields per line, as text or as one JSON object."""

import codecs
import json
import logging
import sys
import threading
from pathlib import Path
from typing import Any, Literal

from controller.text import visible
from controller.time_format import format_time

Format = Literal["text", "json"]

_STANDARD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def configure(style: Format, *, to: Path | None = None, with_tracebacks: bool = False) -> None:
    """Send the log to standard output, or append it to the file `to`.

    A logged exception is shown as its type and message, with its traceback only with `with_tracebacks`. An exception
    that ends a thread is logged the same way.
    """
    handler: logging.Handler = _to_output() if to is None else _to_file(to)
    is_utf8 = to is not None or codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"
    handler.setFormatter(_JsonFormatter(is_utf8=is_utf8) if style == "json" else _TextFormatter())
    if not with_tracebacks:
        handler.addFilter(_replace_traceback)
    # Errors while logging, such as a closed pipe, must not affect the controller.
    logging.raiseExceptions = False
    root = logging.getLogger("controller")
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    root.propagate = False
    threading.excepthook = _log_thread_failure


def _log_thread_failure(failure: threading.ExceptHookArgs) -> None:
    error = failure.exc_value or failure.exc_type()
    name = None if failure.thread is None else failure.thread.name
    logging.getLogger(__name__).error("A thread failed", exc_info=error, extra={"thread_name": name})


def _to_output() -> logging.Handler:
    return logging.StreamHandler(sys.stdout)


def _to_file(path: Path) -> logging.Handler:
    return logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")


def _replace_traceback(record: logging.LogRecord) -> bool:
    """Replace the exception of a record by the field `error`. As a filter, it accepts every record."""
    if record.exc_info is not None and record.exc_info[1] is not None:
        record.error = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        record.exc_info = None
    return True


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in record.__dict__.items() if key not in _STANDARD_FIELDS and value is not None}


def _one_word(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = visible(text)
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        from datetime import UTC, datetime

        time = format_time(datetime.fromtimestamp(record.created, UTC), None, timespec="milliseconds")
        fields = "".join(f"  {key}={_one_word(value)}" for key, value in _fields(record).items())
        line = f"{time} {record.levelname:<7} {record.getMessage()}{fields}"
        return line if record.exc_info is None else f"{line}\n{self.formatException(record.exc_info)}"


class _JsonFormatter(logging.Formatter):
    def __init__(self, *, is_utf8: bool) -> None:
        super().__init__()
        self._is_utf8 = is_utf8

    def format(self, record: logging.LogRecord) -> str:
        from datetime import UTC, datetime

        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": time, "level": record.levelname.lower(), "message": record.getMessage(), **_fields(record)}
        if record.exc_info is not None:
            line["exception"] = self.formatException(record.exc_info)
        text = json.dumps(line, default=str, ensure_ascii=not self._is_utf8)
        return text.encode("utf-8", "backslashreplace").decode()
