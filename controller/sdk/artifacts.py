"""Artifacts: Markdown text, tables and links that a flow publishes and that are displayed with its run, escaped.

`event_writer` sends them to the controller in pieces of one line each. Without a controller, each artifact is a line in
the log and nothing else. An artifact that is too large, or one too many, is dropped with a warning in the log; it never
makes the flow fail.
"""

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controller.sdk import event_writer
from controller.sdk.messages import shorten
from controller.sdk.run_states import visible

MAX_BYTES = 1 << 16
MAX_ARTIFACTS = 100
MAX_KEY = 100
_PIECE = 1000
"""Characters per piece. A character takes at most 4 bytes, so the line fits into one write of PIPE_BUF bytes."""
_LINK = re.compile(r"https?://[^\s\\]+|(?!//)[^\s\\:/?#]+(?:[/?#][^\s\\]*)?|(?!//)[/?#][^\s\\]*", re.IGNORECASE)

_numbers = itertools.count(1)


def markdown(text: str, key: str | None = None) -> None:
    """Publish Markdown text as an artifact of the run.

    An artifact with the same `key` as an earlier one replaces it; this also applies to `table` and `link`. Outside of a
    run, the first characters are logged.
    """
    _publish("markdown", key, str(text), str(text))


def table(rows: Iterable[Mapping[str, Any] | Sequence[Any]], key: str | None = None) -> None:
    """Publish a table as an artifact of the run.

    `rows` are mappings, whose keys become the column titles, or lists and tuples, for a table without titles. Cells
    keep null, booleans, strings and finite numbers; any other value is shown as `str(value)`. Raises TypeError if the
    rows are of both kinds, or of neither.
    """
    all_rows: list[Any] = list(rows)
    if all(isinstance(row, Mapping) for row in all_rows):
        names = list(dict.fromkeys(name for row in all_rows for name in row))
        columns: list[str] | None = [_text(name) for name in names] if all_rows else None
        cells = [[_cell(row.get(name)) for name in names] for row in all_rows]
    elif all(isinstance(row, list | tuple) for row in all_rows):
        columns, cells = None, [[_cell(value) for value in row] for row in all_rows]
    else:
        raise TypeError("the rows of a table must be either all mappings or all lists")
    _publish("table", key, {"columns": columns, "rows": cells}, f"{len(cells)} rows")


def link(url: str, text: str | None = None, key: str | None = None) -> None:
    """Publish a link as an artifact of the run; `text` is displayed in place of the URL.

    The URL must be relative or use the scheme `http` or `https`. Raises ValueError for any other URL.
    """
    if not (url.isprintable() and _LINK.fullmatch(url)):
        raise ValueError(f"a link must be an http, https or relative URL, not {url!r:.200}")
    _publish("link", key, {"url": url, "text": None if text is None else str(text)}, url)


def _publish(kind: str, key: str | None, data: Any, summary: str) -> None:
    from controller.sdk.run_logger import log_artifact

    key = None if key is None else str(key)[:MAX_KEY]
    label = f"{kind} {visible(key)}" if key else kind
    if not event_writer.is_enabled():
        log_artifact(label, shorten(summary))
        return
    number = next(_numbers)
    problem = _send_to_controller(number, {"key": key, "kind": kind, "data": data})
    if problem is not None:
        log_artifact(label, problem, is_lost=True)


def _send_to_controller(number: int, artifact: Mapping[str, Any]) -> str | None:
    """Write the artifact to the supervisor, in pieces. Return None, or the reason why it was dropped."""
    import json

    if number > MAX_ARTIFACTS:
        return f"a run can have at most {MAX_ARTIFACTS} artifacts"
    try:
        # A lone surrogate can't be encoded as UTF-8.
        body = json.dumps(artifact, ensure_ascii=False).encode("utf-8", "replace")
    except ValueError as error:
        return str(error)
    if len(body) > MAX_BYTES:
        return f"it has {len(body)} bytes, but the limit is {MAX_BYTES}"
    text = body.decode()
    for start in range(0, len(text), _PIECE):
        is_last = start + _PIECE >= len(text)
        event_writer.write_event({"artifact": {"id": number, "last": is_last, "text": text[start : start + _PIECE]}})
    return None


def _cell(value: Any) -> Any:
    """Return a value that JSON can represent: the value itself, or its text."""
    is_plain = value is None or isinstance(value, str | bool | int)
    return value if is_plain or (isinstance(value, float) and math.isfinite(value)) else _text(value)


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - the user's `__str__` may raise anything
        return f"<{type(value).__name__}>"
