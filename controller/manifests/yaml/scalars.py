"""Resolves plain (unquoted) YAML scalars with the core schema of YAML 1.2 (section 10.3.2): no dates, no `yes`.

`builder` calls it for every unquoted scalar. It never raises.
"""

import json
import math
import re

from controller.records import dataclass

MAX_INTEGER = 2**53
"""Beyond this, JSON readers (browsers, jq) silently change an integer; in quotes it is safe."""

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MAX_QUOTED = 60
_NUMBER_START = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


@dataclass(frozen=True, slots=True, kw_only=True)
class BadNumber:
    """A number that is not allowed, with the code, message and hint of its finding."""

    code: str
    message: str
    hint: str


Scalar = None | bool | int | float | str | BadNumber


def plain_scalar(text: str) -> Scalar:
    """Return the value of the unquoted scalar `text`."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_START:
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text, base=10)
    if _BASED.fullmatch(text):
        return _integer(text, base=8 if text[1] == "o" else 16)
    if _NOT_FINITE.fullmatch(text):
        return _not_finite(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else _not_finite(text)
    return text


def untagged_hint(tag: str, text: str) -> str:
    """Return the hint for a scalar with a tag: how to write the same value without the tag."""
    truth = {"!!bool": {"yes": "true", "on": "true", "no": "false", "off": "false"}}
    if word := truth.get(tag, {}).get(text.lower()):
        return f"write {word}"
    value = plain_scalar(text)
    if tag == "!!float" and isinstance(value, int) and not isinstance(value, bool):
        return f"write {value}.0"
    if tag in ("!!int", "!!float", "!!bool", "!!null") and not isinstance(value, str | BadNumber):
        return f"write {text or 'null'}"
    if tag.startswith("!!") and len(text) <= _MAX_QUOTED:
        return f"write it in quotes: {json.dumps(text, ensure_ascii=False)}"
    return "write it in quotes, without the tag" if tag.startswith("!!") else "write a plain value without the tag"


def _integer(text: str, *, base: int) -> int | BadNumber:
    digits = text.lstrip("+-") if base == 10 else text[2:]
    significant = digits.lstrip("0") or "0"
    if len(significant) <= 18:  # int() raises ValueError beyond 4,300 digits
        number = int(significant, base) * (-1 if text[0] == "-" else 1)
        if abs(number) <= MAX_INTEGER:
            return number
    excerpt = text if len(text) <= 24 else text[:23] + "…"
    return BadNumber(
        code="IntegerTooLarge",
        message=f"{excerpt} is outside ±2^53: other JSON readers would silently change it",
        hint="write it in quotes, as a string",
    )


def _not_finite(text: str) -> BadNumber:
    excerpt = text if len(text) <= 24 else text[:23] + "…"
    return BadNumber(
        code="NotFinite", message=f"{excerpt} is not a finite number", hint="write it in quotes if it is a string"
    )
