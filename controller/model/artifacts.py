"""Artifacts and run names, parsed from the lines of `events.jsonl`.

As in `task_runs`, the flow writes these lines, so they are untrusted input: invalid events are ignored. Links are
accepted only if they are relative or use http or https.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from controller.records import dataclass

MAX_ARTIFACTS = 100
MAX_BYTES = 1 << 16
MAX_NAME = 120

_MAX_KEY = 100
_ARTIFACT = b'{"artifact": '
_RUN = b'{"run": '
_LINK = re.compile(r"https?://[^\s\\]+|(?!//)[^\s\\:/?#]+(?:[/?#][^\s\\]*)?|(?!//)[/?#][^\s\\]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One artifact. `kind` decides the shape of `data`.

    - `markdown`: a string.
    - `link`: a mapping with `url` and `text` (or None).
    - `table`: a mapping with `columns` (or None) and `rows`.
    """

    key: str | None
    kind: str
    data: Any


def replay_artifacts(lines: Iterable[bytes]) -> tuple[Artifact, ...]:
    """Return the artifacts of these lines. Never raises.

    If several artifacts have the same key, the last one takes the position of the first.
    """
    pieces: dict[int, str] = {}
    artifacts: dict[str | int, Artifact] = {}
    for line in lines:
        event = _event(line, _ARTIFACT, "artifact")
        number, text = event.get("id"), event.get("text")
        if type(number) is not int or not isinstance(text, str):
            continue
        whole = pieces[number] = (pieces.get(number, "") + text)[: MAX_BYTES + 1]
        if event.get("last") is not True:
            continue
        del pieces[number]
        artifact = _artifact(whole)
        if artifact is not None:
            place = number if artifact.key is None else artifact.key
            if place in artifacts or len(artifacts) < MAX_ARTIFACTS:
                artifacts[place] = artifact
    return tuple(artifacts.values())


def replay_name(lines: Iterable[bytes]) -> str | None:
    """Return the name that the flow gave to its run, from the first line that has one. Never raises."""
    for line in lines:
        name = _event(line, _RUN, "run").get("name")
        if isinstance(name, str) and name and name.isprintable():
            return name[:MAX_NAME]
    return None


def _event(line: bytes, start: bytes, kind: str) -> dict[str, Any]:
    """Return the event in a line that begins with `start`; empty if the line begins otherwise or is invalid."""
    if not line.startswith(start):
        return {}
    try:
        event = json.loads(line)[kind]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _artifact(text: str) -> Artifact | None:
    if len(text) > MAX_BYTES:
        return None
    try:
        document = json.loads(text)
        key = None if document["key"] is None else _text(document["key"])[:_MAX_KEY]
        return Artifact(key=key, kind=document["kind"], data=_READERS[document["kind"]](document["data"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _link(data: Any) -> dict[str, str | None]:
    url, text = _text(data["url"]), data["text"]
    if not url.isprintable() or _LINK.fullmatch(url) is None:
        raise ValueError(url)
    return {"url": url, "text": None if text is None else _text(text)}


def _table(data: Any) -> dict[str, Any]:
    columns, rows = data["columns"], data["rows"]
    return {
        "columns": None if columns is None else [_text(name) for name in _list(columns)],
        "rows": [[_cell(value) for value in _list(row)] for row in _list(rows)],
    }


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(type(value))
    return value


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return _text(value)


def _text(value: Any) -> str:
    """Return the string with lone surrogates escaped, because databases reject them. Raises TypeError."""
    if not isinstance(value, str):
        raise TypeError(type(value))
    return value.encode("utf-8", "backslashreplace").decode()


_READERS = {"markdown": _text, "link": _link, "table": _table}
