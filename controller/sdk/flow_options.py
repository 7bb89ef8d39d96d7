"""The options of `@flow` and `@task`, and the values that each option accepts.

Called by `flow` and `task` when a function is decorated, before anything runs, and by `controller.flow_analysis` for
the options that are written in a file. A wrong type raises TypeError and an invalid value raises ValueError; both name
the option, the values that it accepts and the value that it got.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

_MAX_SHOWN = 60
_Test = Callable[[Any], bool]


class _Rule(NamedTuple):
    """The values that an option accepts: a description for messages, a test of the type and a test of the value."""

    description: str
    has_type: _Test
    is_valid: _Test = lambda _: True


class ConcurrencyLimit:
    """The number of submitted tasks of one flow that may run at the same time.

    `@flow(concurrency=ConcurrencyLimit(8))` is the same as `@flow(concurrency=8)`. Raises TypeError if `limit` is not a
    whole number, and ValueError if it is less than 1.
    """

    def __init__(self, limit: int) -> None:
        _check_option("a concurrency limit", _Rule("a whole number, 1 or more", _is_whole, _is_above_0), limit)
        self.limit = limit


def check(kind: str, options: Mapping[str, Any]) -> None:
    """Check the options of a decorator; `kind` is "flow" or "task".

    Raises TypeError for the first option that does not exist or has the wrong type, and ValueError for the first one
    with an invalid value. None always means that the option is not set.
    """
    rules = _RULES[kind]
    unknown = sorted(options.keys() - rules.keys())
    if unknown:
        raise TypeError(f"a {kind} has no option {unknown[0]!r}")
    for name, value in options.items():
        if value is not None:
            _check_option(name, rules[name], value)


def check_function(kind: str, fn: Any) -> None:
    """Raise TypeError unless the decorated object `fn` can be called like a function."""
    if isinstance(fn, classmethod):
        raise TypeError(f"write @classmethod above @{kind}, not below it")
    if not callable(fn):
        raise TypeError(
            f"@{kind} must decorate a function, not {_describe(fn)}: write @{kind} or @{kind}(name=…) above a function"
        )


def _check_option(name: str, rule: _Rule, value: Any) -> None:
    if not rule.has_type(value):
        raise TypeError(f"{name} must be {rule.description}, not {_describe(value)}")
    if not rule.is_valid(value):
        raise ValueError(f"{name} must be {rule.description}, not {_describe(value)}")


def _describe(value: Any) -> str:
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


def _is_0_or_more(value: Any) -> bool:
    return bool(0 <= value < float("inf"))


def _is_above_0(value: Any) -> bool:
    return bool(0 < value < float("inf"))


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_delay(value: Any) -> bool:
    return callable(value) or _is_number(value) or (_is_list(value) and all(map(_is_number, value)))


def _are_delays(value: Any) -> bool:
    if callable(value):
        return True
    return len(value) > 0 and all(map(_is_0_or_more, value)) if _is_list(value) else _is_0_or_more(value)


def _are_functions(value: Any) -> bool:
    return _is_list(value) and all(map(callable, value))


def _are_strings(value: Any) -> bool:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return False
    return isinstance(value, Iterator) or all(map(_is_string, value))  # an iterator would be used up by this check


_STRING = _Rule("a string", _is_string)
_FLAG = _Rule("True or False", lambda value: isinstance(value, bool))
_SECONDS = _Rule("a number of seconds greater than 0", _is_number, _is_above_0)
_HOOKS = _Rule("a list of functions, such as [notify]", _are_functions)
_FUNCTION = _Rule("a function", callable)
_COMMON = {
    "name": _STRING,
    "description": _STRING,
    "retries": _Rule("a whole number, 0 or more", _is_whole, _is_0_or_more),
    "retry_delay_seconds": _Rule(
        "a number of seconds (0 or more), a list with one number per retry, or a function that returns such a list",
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
        "version": _STRING,
        "validate_parameters": _FLAG,
        "concurrency": _Rule(
            "a whole number (1 or more) or a ConcurrencyLimit",
            lambda value: _is_whole(value) or isinstance(value, ConcurrencyLimit),
            lambda value: isinstance(value, ConcurrencyLimit) or _is_above_0(value),
        ),
        "flow_run_name": _Rule('a template string, such as "load-{region}"', _is_string),
        "on_completion": _HOOKS,
    },
    "task": {
        **_COMMON,
        "tags": _Rule('a list of strings, such as ["daily"]', _are_strings),
        "retry_jitter_factor": _Rule("a number, 0 or more", _is_number, _is_0_or_more),
        "retry_condition_fn": _FUNCTION,
        "cache_key_fn": _FUNCTION,
        "cache_expiration": _Rule("a timedelta", lambda value: hasattr(value, "total_seconds")),
    },
}
