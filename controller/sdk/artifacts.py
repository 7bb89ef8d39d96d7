"""What a flow shows beside its result: a text in Markdown, a table, a link. Shown with the run, escaped.

The controller gets them over `event_writer`, in pieces that are each one line. Without a controller a line in the log
says so, and that is all. One that is too large or too many is not kept, which a line in the log says too: it fails no
flow.
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
"""Characters: of four bytes at most, so that a line is one write."""
_LINK = re.compile(r"https?://[^\s\\]+|(?!//)[^\s\\:/?#]+(?:[/?#][^\s\\]*)?|(?!//)[/?#][^\s\\]*", re.IGNORECASE)

_numbers = itertools.count(1)


def markdown(text: str, key: str | None = None) -> None:
    """Show this text with the run. One with the same key as an earlier one takes its place."""
    _show("markdown", key, str(text), str(text))


def table(rows: Iterable[Mapping[str, Any] | Sequence[Any]], key: str | None = None) -> None:
    """Show these rows: all of them mappings, whose keys are the columns, or all of them lists."""
    given: list[Any] = list(rows)
    if all(isinstance(row, Mapping) for row in given):
        names = list(dict.fromkeys(name for row in given for name in row))
        columns: list[str] | None = [_text(name) for name in names] if given else None
        cells = [[_cell(row.get(name)) for name in names] for row in given]
    elif all(isinstance(row, list | tuple) for row in given):
        columns, cells = None, [[_cell(value) for value in row] for row in given]
    else:
        raise TypeError("the rows of a table are either all mappings or all lists")
    _show("table", key, {"columns": columns, "rows": cells}, f"{len(cells)} rows")


def link(url: str, text: str | None = None, key: str | None = None) -> None:
    """Show this address: `http`, `https`, or relative. Raises ValueError for any other."""
    if not (url.isprintable() and _LINK.fullmatch(url)):
        raise ValueError(f"a link is an address of http or https, or a relative one, not {url!r:.200}")
    _show("link", key, {"url": url, "text": None if text is None else str(text)}, url)


def _show(kind: str, key: str | None, data: Any, brief: str) -> None:
    from controller.sdk.run_logger import log_artifact

    key = None if key is None else str(key)[:MAX_KEY]
    what = f"{kind} {visible(key)}" if key else kind
    if not event_writer.is_on():
        log_artifact(what, shorten(brief))
        return
    number = next(_numbers)
    problem = _tell(number, {"key": key, "kind": kind, "data": data})
    if problem is not None:
        log_artifact(what, problem, is_lost=True)


def _tell(number: int, artifact: Mapping[str, Any]) -> str | None:
    """Report it; why not, if it can't be."""
    import json

    if number > MAX_ARTIFACTS:
        return f"a run has at most {MAX_ARTIFACTS}"
    try:
        # A lone surrogate is no UTF-8.
        body = json.dumps(artifact, ensure_ascii=False).encode("utf-8", "replace")
    except ValueError as error:
        return str(error)
    if len(body) > MAX_BYTES:
        return f"it has {len(body)} bytes, more than {MAX_BYTES}"
    text = body.decode()
    for start in range(0, len(text), _PIECE):
        is_last = start + _PIECE >= len(text)
        event_writer.write({"artifact": {"id": number, "last": is_last, "text": text[start : start + _PIECE]}})
    return None


def _cell(value: Any) -> Any:
    """What JSON has, as it is; the text of anything else."""
    is_plain = value is None or isinstance(value, str | bool | int)
    return value if is_plain or (isinstance(value, float) and math.isfinite(value)) else _text(value)


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - the value is the user's, and so is what it does when it is looked at
        return f"<{type(value).__name__}>"
