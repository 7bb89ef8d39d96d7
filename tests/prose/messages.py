"""Check the form of messages: whole sentences or fragments, and input in single quotes. Used by `tests.prose`.

A message is the first argument of a call to a class named `…Error`, or a keyword argument `message`, `reason` or
`detail`. A sentence begins with a capital and ends with a full stop; a fragment does neither, so that it can follow a
colon.
"""

import ast
import re
from collections.abc import Iterator

_KEYWORDS = frozenset({"message", "reason", "detail"})
_PROGRAMS = ("git ", "execute ")
_AFTER_COLON = re.compile(r"[a-z}`']: (?:A|[A-Z][a-z]+) (?=[a-z])")
_QUOTED = re.compile(r"(?<!: )([\"'])\{\}\1")


def faults(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line of each message of this module that has another form, and what to write instead."""
    for argument in _arguments(ast.parse(text)):
        message = _text(argument)
        if " " not in message:
            continue
        begins, first = message[0], message.split()[0]
        if begins.isupper() and not first.isupper() and message[-1] not in ".?!…}":
            yield argument.lineno, "a sentence ends with a full stop"
        if begins.islower() and message.endswith(".") and not message.startswith(_PROGRAMS):
            yield argument.lineno, "a fragment has no full stop, a sentence begins with a capital"
        if _AFTER_COLON.search(message):
            yield argument.lineno, "lower case after a colon"
        if _QUOTED.search(message):
            yield argument.lineno, "quote input with !r or `quote`"


def _arguments(tree: ast.AST) -> Iterator[ast.Constant | ast.JoinedStr]:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call):
            messages = [keyword.value for keyword in call.keywords if keyword.arg in _KEYWORDS]
            function = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            if function.endswith("Error"):
                messages += call.args[:1]
            yield from (message for message in messages if isinstance(message, ast.Constant | ast.JoinedStr))


def _text(argument: ast.Constant | ast.JoinedStr) -> str:
    """Return the message with `{}` for each value that is filled in; a value with `!r` gets no quotes of its own."""
    if isinstance(argument, ast.Constant):
        return str(argument.value)
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in argument.values)
