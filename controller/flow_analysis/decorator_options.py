"""Would importing this file fail at the options of a `@flow` or `@task`? `module` asks, once per file.

It asks what the decorators themselves ask, about the options that can be read from the text; of all others, of what is
under a condition or in a class, and of Prefect's decorators, nothing is said.
"""

import ast
from collections.abc import Iterator
from itertools import islice
from typing import Any

from controller.flow_analysis.bindings import Function, Namespace
from controller.flow_analysis.flow_problems import FlowCode, Problem
from controller.flow_analysis.messages import shorten
from controller.sdk.flow_options import check

_MAX_NODES = 50
_MAX_MESSAGE = 200


def wrong_option(names: Namespace) -> Problem | None:
    """The first option for which a decorator of the file raises."""
    for name, binding in names.names.items():
        if isinstance(binding, Function) and name not in names.conditional:
            for decorator in binding.decorators:
                problem = _wrong(name, decorator, names)
                if problem is not None:
                    return problem
    return None


def _wrong(name: str, decorator: ast.expr, names: Namespace) -> Problem | None:
    if not isinstance(decorator, ast.Call) or decorator.args:
        return None
    home, _, kind = (names.path_of(decorator.func) or "").rpartition(".")
    if home != "controller" or kind not in ("flow", "task"):
        return None
    try:
        check(kind, dict(_readable(decorator)))
    except (TypeError, ValueError) as error:
        return Problem(
            code=FlowCode.FILE_INVALID,
            message=shorten(f"@{kind} of {shorten(name)}: {error}", _MAX_MESSAGE),
            line=decorator.lineno,
            hint="the file can't be imported like this: correct the option",
        )
    return None


def _readable(call: ast.Call) -> Iterator[tuple[str, Any]]:
    for keyword in call.keywords:
        if keyword.arg is None:
            continue
        if isinstance(keyword.value, ast.Lambda):
            yield keyword.arg, lambda: None
        elif len(list(islice(ast.walk(keyword.value), _MAX_NODES + 1))) <= _MAX_NODES:
            try:
                yield keyword.arg, ast.literal_eval(keyword.value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                yield keyword.arg, None  # it has to exist, that is all
        else:
            yield keyword.arg, None
