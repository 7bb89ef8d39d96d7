"""Which options `@flow` and `@task` have, and what each may be. Both ask at decoration, before anything runs.

`controller.flow_analysis` asks too, about what is written in a file. A wrong type raises TypeError, a wrong value
ValueError; both name the option, what it takes and what came.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

_MAX_SHOWN = 60
_Test = Callable[[Any], bool]


class _Rule(NamedTuple):
    """What an option takes, in words; whether something is of its type; whether it is one of its values."""

    words: str
    is_type: _Test
    is_value: _Test = lambda _: True


class ConcurrencyLimit:
    """How many submitted tasks of one flow run at once: `@flow(concurrency=ConcurrencyLimit(8))`, or only `8`."""

    def __init__(self, limit: int) -> None:
        _hold("a concurrency limit", _Rule("a whole number from 1 on", _is_whole, _is_above_0), limit)
        self.limit = limit


def check(kind: str, options: Mapping[str, Any]) -> None:
    """Raises TypeError or ValueError for the first option that a `kind`, "flow" or "task", does not take like this."""
    rules = _RULES[kind]
    unknown = sorted(options.keys() - rules.keys())
    if unknown:
        raise TypeError(f"a {kind} has no option {unknown[0]!r}")
    for name, value in options.items():
        if value is not None:
            _hold(name, rules[name], value)


def check_function(kind: str, fn: Any) -> None:
    """Raises TypeError for what is decorated, and is no function."""
    if isinstance(fn, classmethod):
        raise TypeError(f"write @classmethod above @{kind}, not below it")
    if not callable(fn):
        raise TypeError(f"@{kind} is for a function, not for {_shown(fn)}: write @{kind} or @{kind}(name=…) above one")


def _hold(name: str, rule: _Rule, value: Any) -> None:
    if not rule.is_type(value):
        raise TypeError(f"{name} is {rule.words}, not {_shown(value)}")
    if not rule.is_value(value):
        raise ValueError(f"{name} is {rule.words}, not {_shown(value)}")


def _shown(value: Any) -> str:
    if callable(value):
        text = f"the function {getattr(value, '__name__', type(value).__name__)}"
    elif isinstance(value, bool | int | float | str | list | tuple | dict):
        text = repr(value)
    else:
        text = f"a {type(value).__name__}"
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…"


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_from_0(value: Any) -> bool:
    return bool(0 <= value < float("inf"))


def _is_above_0(value: Any) -> bool:
    return bool(0 < value < float("inf"))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_delay(value: Any) -> bool:
    return callable(value) or _is_number(value) or (_is_list(value) and all(map(_is_number, value)))


def _are_delays(value: Any) -> bool:
    if callable(value):
        return True
    return len(value) > 0 and all(map(_is_from_0, value)) if _is_list(value) else _is_from_0(value)


def _are_functions(value: Any) -> bool:
    return _is_list(value) and all(map(callable, value))


def _are_texts(value: Any) -> bool:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return False
    return isinstance(value, Iterator) or all(map(_is_text, value))  # an iterator can be gone through only once


_TEXT = _Rule("a text", _is_text)
_FLAG = _Rule("True or False", lambda value: isinstance(value, bool))
_SECONDS = _Rule("a number of seconds above 0", _is_number, _is_above_0)
_HOOKS = _Rule("a list of functions, like [notify]", _are_functions)
_FUNCTION = _Rule("a function", callable)
_COMMON = {
    "name": _TEXT,
    "description": _TEXT,
    "retries": _Rule("a whole number from 0 on", _is_whole, _is_from_0),
    "retry_delay_seconds": _Rule(
        "a number of seconds from 0 on, a list of one for each retry, or a function that makes such a list",
        _is_delay,
        _are_delays,
    ),
    "timeout_seconds": _SECONDS,
    "log_prints": _FLAG,
    "on_failure": _HOOKS,
}
_RULES: dict[str, dict[str, _Rule]] = {
    "flow": {
        **_COMMON,
        "version": _TEXT,
        "validate_parameters": _FLAG,
        "concurrency": _Rule(
            "a whole number from 1 on or a ConcurrencyLimit",
            lambda value: _is_whole(value) or isinstance(value, ConcurrencyLimit),
            lambda value: isinstance(value, ConcurrencyLimit) or _is_above_0(value),
        ),
        "flow_run_name": _Rule('a text with parameters in braces, like "load-{region}"', _is_text),
        "on_completion": _HOOKS,
    },
    "task": {
        **_COMMON,
        "tags": _Rule('a list of texts, like ["daily"]', _are_texts),
        "retry_jitter_factor": _Rule("a number from 0 on", _is_number, _is_from_0),
        "retry_condition_fn": _FUNCTION,
        "cache_key_fn": _FUNCTION,
        "cache_expiration": _Rule("a timedelta", lambda value: hasattr(value, "total_seconds")),
    },
}
