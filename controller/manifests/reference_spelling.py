"""Finds parameters that look like references but are literal mappings: misspelt ones, and sources that do not exist.

`flow_references` and `reference_types` call it. A mapping with a key that resembles none of a reference, such as
`{from: 2026-01-01, to: 2026-02-01}`, is meant literally, and so is one whose `from` does not resemble `due_time`,
`run.id`, `revision` or `env.NAME`.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from controller.manifests.parameter_references import DUE_TIME, KEYS, LISTS, MAPPINGS, SCALARS, is_reference, is_valid
from controller.manifests.run_references import REVISION, RUN_ID, is_run_reference
from controller.manifests.yaml.nodes import Path
from controller.records import dataclass
from controller.schedules.messages import quote

_MAX_WORD = 40
_SYNONYMS = {
    **dict.fromkeys(("form", "frm"), "from"),
    **dict.fromkeys(("fmt", "pattern", "strftime"), "format"),
    **dict.fromkeys(("offset", "delta", "add", "subtract"), "shift"),
    **dict.fromkeys(("tz", "zone", "tzinfo"), "timezone"),
}
_OTHER_TERMS = frozenset(
    ("due", "duedate", "now", "today", "scheduled", "scheduledfor", "scheduledtime", "logicaldate", "executiondate")
)
"""Terms for the due time, in the form of `_plain`. They count only with a shift or a format that a reference takes."""
_RUN_VALUE = re.compile(r"run\.\w+", re.ASCII)
_ENVIRONMENT = re.compile(r"(?:env|(?:os\.)?environ|environment)[.:](.*)|env", re.ASCII | re.DOTALL | re.IGNORECASE)
_VARIABLE_HINT = "write {from: env.NAME}, where NAME is an environment variable of the controller"
_REVISIONS = frozenset(("commit", "runrevision", "runcommit", "gitcommit"))
"""Terms for the revision, in the form of `_plain`."""
_TRIGGER_SOURCE = re.compile(r"(files?|(?:web)?hook)(?:\.(?:(?:body|json|payload)(?:\.|$))?(.*))?", re.DOTALL)
"""Names for what a trigger gives, such as `file.path` or `webhook.body.data.id`, with the path in the body."""
_STEP = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_SIMILAR_KEY, _SIMILAR_SOURCE = 0.8, 0.84
"""The similarity from which a word is misspelt. `duetiem` has 0.86, and `datetime`, which is another word, has 0.80."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearMiss:
    """A mapping that looks like a reference. `correction` is the reference that is probably meant, or None."""

    path: Path
    message: str
    hint: str
    correction: Mapping[str, Any] | None = None


def find_near_misses(value: Any, path: Path = ()) -> Iterator[NearMiss]:
    """Yield the mappings in this JSON value that look like references but are literal mappings."""
    if isinstance(value, LISTS):  # checked first: whether a list is a Mapping takes long to find out
        for index, item in enumerate(value):
            if item.__class__ not in SCALARS:
                yield from find_near_misses(item, (*path, index))
    elif isinstance(value, MAPPINGS):
        miss = None if is_reference(value) else _near_miss(value, path)
        if miss is not None:
            yield miss
            return
        for key, item in value.items():
            if item.__class__ not in SCALARS:
                yield from find_near_misses(item, (*path, key))


def as_yaml(reference: Mapping[str, Any]) -> str:
    """Return a reference as a YAML flow mapping: `{from: due_time, format: "%Y/%m"}`."""
    return f"{{{', '.join(f'{key}: {_yaml_value(value)}' for key, value in reference.items())}}}"


def _near_miss(mapping: Mapping[str, Any], path: Path) -> NearMiss | None:
    keys = {key: _closest_key(str(key)) for key in mapping} if len(mapping) <= len(KEYS) else {}
    if "from" not in keys.values():  # the usual case
        return None
    renamed = {near: mapping[key] for key, near in keys.items() if near is not None}
    source = renamed.get("from")
    if not isinstance(source, str) or len(renamed) != len(mapping):
        return None
    if (hint := _of_trigger(source, path)) is not None and len(mapping) == 1:
        message = f"a parameter can't refer to {quote(source)}, so this is a literal mapping"
        return NearMiss(path=path, message=message, hint=hint)
    if len(mapping) == 1 or source.startswith(("run.", "env.")):
        miss = _of_run(source, path)
        if miss is not None:
            return miss
    correction = {**{key: value for key, value in renamed.items() if value is not None}, "from": DUE_TIME}
    if not _is_due_time(source, correction):
        return None
    message = "this looks like a reference to the due time, but is a literal mapping"
    if not is_valid(correction):
        return NearMiss(path=path, message=message, hint="write from: due_time")
    return NearMiss(path=path, message=message, hint=f"write {as_yaml(correction)}", correction=correction)


def _of_run(source: str, path: Path) -> NearMiss | None:
    """Return what is wrong if `source` resembles that of a value of the run that is not a time, or None."""
    message = f"a parameter can't refer to {quote(source)}, so this is a literal mapping"
    variable = _ENVIRONMENT.fullmatch(source)
    if variable is not None and "result" in source.split("."):
        return None  # a result of an upstream deployment with such a name
    meant = f"env.{variable[1] or ''}" if variable is not None else _closest_source(source)
    if meant is None:
        return None
    correction = {"from": meant}
    if not is_run_reference(correction):
        return NearMiss(path=path, message=message, hint=_VARIABLE_HINT)
    if meant == source:
        message = "this looks like a reference, but is a literal mapping"
    return NearMiss(path=path, message=message, hint=f"write {as_yaml(correction)}", correction=correction)


def _closest_source(source: str) -> str | None:
    """Return `run.id` or `revision` if `source` is or resembles it, or None."""
    plain = _plain(source)
    if plain in _REVISIONS or _is_similar(plain, REVISION, _SIMILAR_SOURCE):
        return REVISION
    is_of_run = _RUN_VALUE.fullmatch(source) is not None and source != "run.result"
    return RUN_ID if is_of_run or _is_similar(plain, _plain(RUN_ID), _SIMILAR_SOURCE) else None


def _of_trigger(source: str, path: Path) -> str | None:
    """Return how to get a value that a trigger gives, or None if `source` names no such value."""
    match = _TRIGGER_SOURCE.fullmatch(source)
    if match is None or "result" in source.split("."):  # a result of an upstream deployment with such a name
        return None
    name = _yaml_value(path[0]) if path else "NAME"
    if match[1].startswith("file"):
        return f"remove {name} from parameters, and add `parameter: {name}` to files under on"
    value = _yaml_value(_json_path(match[2] or ""))
    return f"remove {name} from parameters, and add `{name}: {value}` to parameters of webhook under on"


def _json_path(steps: str) -> str:
    """Return the JSONPath of a value in the body of a webhook: `$.items[0].id` for `items.0.id`."""
    parts = steps.split(".") if steps else []
    if not all(_STEP.fullmatch(part) or part.isdecimal() for part in parts):
        return "$.KEY"
    return "$" + "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in parts)


@lru_cache(maxsize=1024)  # the deployments of a repository share most names of their parameters
def _closest_key(word: str) -> str | None:
    """Return the key of a reference that this word is or resembles, or None."""
    plain = _plain(word)
    if plain in _SYNONYMS:
        return _SYNONYMS[plain]
    return next((key for key in KEYS if _is_similar(plain, key, _SIMILAR_KEY)), None)


def _is_due_time(source: str, correction: Mapping[str, Any]) -> bool:
    plain = _plain(source)
    if _is_similar(plain, _plain(DUE_TIME), _SIMILAR_SOURCE):
        return True
    return plain in _OTHER_TERMS and is_valid(correction) and not correction.keys().isdisjoint(("format", "shift"))


def _plain(word: str) -> str:
    """Return the letters and digits of a word in lower case, so that `{{ Due-Time }}` is `duetime`."""
    return re.sub(r"[\W_]+", "", word[:_MAX_WORD]).casefold()


def _is_similar(word: str, name: str, least: float) -> bool:
    if word == name or abs(len(word) - len(name)) > 2 or name == "from":
        return word == name
    from difflib import SequenceMatcher

    return SequenceMatcher(None, word, name).ratio() >= least


def _yaml_value(value: Any) -> str:
    text = str(value)
    return text if re.fullmatch(r"[\w+/-]+|run\.id|env\.\w+", text) else f'"{text}"'
