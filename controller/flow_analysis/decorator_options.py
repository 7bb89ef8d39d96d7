"""Checks the options of `@flow` and `@task` in a file, because an invalid one makes the import fail.

Called by `module`, once per file. The check is that of the decorators themselves, for the options that can be read from
the source. Other options, decorators in conditional code or in classes, and Prefect's decorators are not checked.
"""

import ast
from collections.abc import Iterator
from itertools import islice
from typing import Any

from controller.flow_analysis.bindings import Function, Namespace
from controller.flow_analysis.flow_problems import FlowCode, Problem
from controller.sdk.flow_options import check
from controller.sdk.messages import shorten

_MAX_NODES = 50
_MAX_MESSAGE = 200


def wrong_option(names: Namespace) -> Problem | None:
    """Return the problem with the first option for which a decorator of the file would raise, or None."""
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
            hint="correct the option: importing the file fails because of it",
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
                yield keyword.arg, None  # only check that the option exists
        else:
            yield keyword.arg, None
