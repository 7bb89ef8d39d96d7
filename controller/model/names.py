"""The rule for the names of deployments, and how names are compared and sorted. Pure.

Every layer imports it. The JSON Schema repeats `NAME_PATTERN`; a test compares them.
"""

import re
from unicodedata import combining, normalize

MAX_NAME = 100
"""The greatest length of a name, in characters."""

NAME_PATTERN = r"^[A-Za-z0-9][-_.A-Za-z0-9]{0,99}$"
"""Matches a valid name, as a pattern of ECMA 262: `$` is the very end of the string."""

NAME_RULE = f"use letters, digits, hyphens, underscores and dots, at most {MAX_NAME}, starting with a letter or digit"
"""The rule as the hint of a finding."""

_NAME = re.compile(NAME_PATTERN.removesuffix("$") + r"\Z")
_NOT_ALLOWED = re.compile(r"[^-_.A-Za-z0-9]+")


def is_name(text: str) -> bool:
    """Return whether a deployment can have this name."""
    return _NAME.match(text) is not None


def fold_name(name: str) -> str:
    """Return the form in which names are compared: two names that differ only in case are the same name."""
    return name.casefold()


def name_order(name: str) -> str:
    """Return the key by which lists sort names: without regard to case, and always in the same order.

    A key needs no escapes in a URL, and sorts before the keys of all names that begin with this name.
    """
    return f"{name.casefold()}!{name}"


def name_hint(title: str) -> str:
    """Return the hint of a finding for an invalid name: the rule, with the name that is closest to it."""
    name = name_from_title(title)
    return NAME_RULE if name is None else f"{NAME_RULE}: {name}"


def with_free_name(hint: str, taken: set[str]) -> str:
    """Return the hint of an invalid name with a proposal that is not taken, and take it.

    `taken` has the folded names that are in use. A hint without a proposal is returned as it is.
    """
    rule, separator, proposed = hint.partition(": ")
    if rule != NAME_RULE or not separator:
        return hint
    name, count = proposed, 1
    while fold_name(name) in taken:
        count += 1
        suffix = f"-{count}"
        name = f"{proposed[: MAX_NAME - len(suffix)]}{suffix}"
    taken.add(fold_name(name))
    return f"{rule}: {name}"


def name_from_title(title: str) -> str | None:
    """Return the title if it is a name, otherwise a name that resembles it; None if it has no letter or digit."""
    if is_name(title):
        return title
    plain = "".join(char for char in normalize("NFKD", title) if not combining(char))
    name = _NOT_ALLOWED.sub("-", plain).strip("-_.")
    return name[:MAX_NAME].strip("-_.") or None
