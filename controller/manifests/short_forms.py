"""Expands the short forms of a document before it is merged, and drops its keys that begin with `x-`.

`overlays` and `project_file` call it. The same values follow, whichever form was written: `schedule: "0 2 * * *"` is
`schedule: {cron: "0 2 * * *"}`, and `retries: 3` is `retries: {limit: 3}`. An expanded value keeps the position of the
short form. Values that are invalid stay as written, so that findings show them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from operator import is_
from typing import Any

from controller.errors import ScheduleError
from controller.manifests.merge import overlay, with_defaults, without_keys
from controller.manifests.yaml.nodes import Node, Problem
from controller.manifests.yaml.value_nodes import ValueNode, value_node
from controller.model.policies import Overlap
from controller.model.schedules import Cron
from controller.schedules import find_suspicious_steps, parse_duration

IGNORED = "x-"
"""The prefix of keys that are ignored at the top of a document: a place for anchors."""
_MAX_RETRIES = 100
_RULE_IN_HINT = re.compile(r'((?:cron|interval): (?:"[^"]*"|\S*[^\s;,]))')
_POLICIES = [policy.value for policy in Overlap]
_OF_RULES = {"cron": ("cron", "day_or"), "interval": ("interval", "anchor_date"), "rrule": ("rrule",), "at": ("at",)}
"""The keys of a schedule that have no meaning without their rule."""


def with_long_forms(node: Node) -> Node:
    """Return a document, an overlay or defaults with long forms only, except for `overlap`, and without `x-` keys."""
    if not isinstance(node.value, dict) or _is_long(node.value):
        return node
    if ignored := ignored_keys(node):
        node = without_keys(node, *ignored)
    changed = {}
    for key, expand in _EXPANSIONS.items():
        field = node.child(key)
        if field is not None and (expanded := expand(field)) is not field:
            changed[key] = expanded
    return _with_fields(node, changed)


def _is_long(value: Mapping[str, Any]) -> bool:
    """Return whether a mapping has neither short forms nor keys to ignore, which is the usual case."""
    schedules = value.get("schedules")
    texts = (value.get("schedule"), *(schedules if isinstance(schedules, list) else ()))
    is_number = isinstance(value.get("retries"), int | float)
    return not is_number and not any(isinstance(text, str) for text in texts) and not any(map(_is_ignored_key, value))


def _is_ignored_key(key: str) -> bool:
    return key[:2] == IGNORED


def ignored_keys(node: Node) -> list[str]:
    """Return the keys of a mapping that begin with `x-`."""
    return [key for key in node.value if key[:2] == IGNORED] if isinstance(node.value, dict) else []


def merge_defaults(defaults: Node, document: Node) -> Node:
    """Merge a document as written over expanded defaults: see `merge.with_defaults`.

    A short schedule replaces the rule of the default and keeps its other keys.
    """
    expanded = with_long_forms(document)
    return with_defaults(_make_room(defaults, document, expanded), expanded)


def merge_overlay(base: Node, patch: Node) -> Node:
    """Apply an overlay as written to an expanded document, in the same way."""
    expanded = with_long_forms(patch)
    return overlay(_make_room(base, patch, expanded), expanded)


def is_ignored(value: Any) -> bool:
    """Return whether a document declares nothing, because it has only keys that are ignored."""
    return isinstance(value, Mapping) and bool(value) and all(str(key).startswith(IGNORED) for key in value)


def shorten_overlap(node: Node) -> Node:
    """Return the document with `overlap: queue` in place of `overlap: {policy: queue}`, which has the same meaning."""
    overlap = node.child("overlap")
    if overlap is None or overlap.fields.keys() != {"policy"} or overlap.fields["policy"].value not in _POLICIES:
        return node
    return _with_fields(node, {"overlap": overlap.fields["policy"]})


def short_schedule(text: str) -> tuple[str, str] | None:
    """Return the key and the value of the rule that a short form of a schedule means; None if it is invalid.

    A number and a time such as `01:30:00` are not intervals here: they could just as well mean the time of day.
    """
    try:
        if not text.strip().replace(":", "").replace(".", "").isdigit():
            parse_duration(text)
            return "interval", text
    except ScheduleError:
        pass
    try:
        find_suspicious_steps(Cron(expression=text))
    except ScheduleError:
        return None
    return "cron", text


def as_written(problem: Problem, root: Node) -> Problem:
    """Return a problem below an expanded short form with the path of the short form, and a hint that applies there."""
    *parents, last = problem.path or ("",)
    parent, child = root.find(tuple(parents)), root.find(problem.path)
    if parent is None or child is None or not isinstance(last, str) or parent.place != child.place or not parents:
        return problem
    hint = problem.hint
    if hint is not None:
        short = json.dumps(child.value, ensure_ascii=False)
        hint = _RULE_IN_HINT.sub(r"schedule: {\1}" if len(parents) == 1 else r"{\1}", hint)
        hint = hint.replace("set dst.", f"write {{{last}: {short}, dst: …}} and set dst.")
    return replace(problem, path=tuple(parents), hint=hint)


def _expand_schedules(node: Node) -> Node:
    items = tuple(map(_expand_schedule, node.items))
    is_same = all(map(is_, items, node.items))
    return node if is_same else node._replace(value=[item.value for item in items], items=items)


def _expand_schedule(node: Node) -> Node:
    rule = short_schedule(node.value) if isinstance(node.value, str) else None
    return node if rule is None else _only_key(rule[0], node)


def _expand_retries(node: Node) -> Node:
    value = node.value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return _only_key("limit", node) if is_number and value % 1 == 0 and 0 <= value <= _MAX_RETRIES else node


_EXPANSIONS = {"schedule": _expand_schedule, "schedules": _expand_schedules, "retries": _expand_retries}


def _make_room(base: Node, patch: Node, expanded: Node) -> Node:
    """Return `base` as `expanded` has to be merged into it, which was `patch` before.

    `overlap` becomes a mapping if that of `patch` is one. A schedule loses its rule if `patch` has a short form with
    another rule.
    """
    fields = {}
    ours, theirs = base.child("overlap"), patch.child("overlap")
    if ours is not None and theirs is not None and isinstance(theirs.value, dict) and ours.value in _POLICIES:
        fields["overlap"] = _only_key("policy", ours)
    ours, theirs = base.child("schedule"), expanded.child("schedule")
    if (
        ours is not None
        and theirs is not None
        and isinstance(ours.value, dict)
        and theirs.value is not patch.fields["schedule"].value
    ):
        replaced = [key for rule, keys in _OF_RULES.items() if rule not in theirs.fields for key in keys]
        fields["schedule"] = without_keys(ours, *replaced)
    return _with_fields(base, fields)


def _only_key(key: str, node: Node) -> Node:
    """Return a mapping in place of `node`, with it as the value of its only key."""
    return Node({key: node.value}, node.place, fields={key: node}, keys={key: node.place})


def _with_fields(node: Node, fields: Mapping[str, Node]) -> Node:
    if not fields:
        return node
    values = {**node.value, **{key: field.value for key, field in fields.items()}}
    if isinstance(node, ValueNode):
        return value_node(values)
    return node._replace(value=values, fields={**node.fields, **fields})
