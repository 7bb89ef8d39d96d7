"""Hints for wrong forms of what starts a run or holds it back: `after`, `on`, and the windows of a schedule.

`foreign_keys` calls it, also for the forms of other programs. A hint says what to write instead.
"""

import re
from typing import Any

from controller.manifests.command_checks import yaml_word
from controller.manifests.foreign_values import plain_key
from controller.manifests.yaml.nodes import Path

_OUTCOMES = frozenset({"succeeded", "failed", "finished"})
_UPSTREAM_WORDS = frozenset({"name", "job", "flow", "task", "upstream", "id"})
_OUTCOME_WORDS = frozenset({"state", "status", "outcome", "condition", "when", "result"})
_DEADLINE_WORDS = frozenset({"timeout", "deadline", "startdeadline", "within", "wait", "maxwait", "for"})
_HOURS = re.compile(r"([a-z][a-z, -]*?)?\s*(\d{1,2}:\d\d)\s*(?:-|to)\s*(\d{1,2}:\d\d)", re.ASCII)
_STARTS = "write what starts a run: [{files: {path: /srv/inbox}}] or [{webhook: {name: …, secret: {env: …}}}]"


def upstream_key_hint(key: str, value: Any) -> str | None:
    """Return the hint for an unknown key under `after`."""
    word = plain_key(key)
    if word in _UPSTREAM_WORDS and isinstance(value, str):
        return f"write deployment: {yaml_word(value)}"
    if word in _OUTCOME_WORDS and isinstance(value, str) and value in _OUTCOMES:
        return f"write on: {value}"
    if word == "all":
        return "remove it: without any: true, all of the deployments are needed"
    if word in _DEADLINE_WORDS:
        return "remove it, and write start_deadline beside after"
    return None


def trigger_type_hint(path: Path, value: Any) -> str | None:
    """Return the hint for a value of the wrong type under `after` or `on`, or in `windows`; None if there is none."""
    last = path[-1]
    if path[0] == "on":
        return _start_hint(path, value)
    if path[0] == "after" and last == "on" and isinstance(value, list):
        return "write on: finished for every outcome; failed includes timed out and crashed runs"
    if last == "windows" and isinstance(value, str) and (hours := _HOURS.fullmatch(value.strip().lower())):
        days = [day for day in re.split(r"[\s,]+", hours[1] or "") if day]
        written = f"days: {days[0] if len(days) == 1 else '[' + ', '.join(days) + ']'}, " if days else ""
        return f'write windows: [{{{written}from: "{hours[2]:0>5}", to: "{hours[3]:0>5}"}}]'
    if last == "windows":
        return 'write a list: windows: [{days: mon-fri, from: "06:00", to: "20:00"}]'
    if "days" in (last, *path[-2:-1]) and "windows" in path:
        return "write days: mon-fri, or a list such as [mon, wed, fri]"
    return None


def _start_hint(path: Path, value: Any) -> str | None:
    """Return the hint for a value of the wrong type under `on`."""
    if path[-1] == "files" and isinstance(value, str) and value.startswith("/"):
        return f"write files: {{path: {yaml_word(value)}}}"
    if path[-1] == "webhook" and isinstance(value, str):
        return f"write webhook: {{name: {yaml_word(value)}, secret: {{env: NAME}}}}"
    if path[-1] == "pattern" and isinstance(value, list):
        return "write one pattern in each trigger, and a list of triggers: [{files: {…}}, {files: {…}}]"
    return _STARTS if len(path) < 3 else None
