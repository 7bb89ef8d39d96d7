"""What a name at the top level of a file stands for. `namespace` makes these values, everything after it reads them.

They hold pieces of syntax without the bodies of functions, so that a kept module is small.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """`def` or `async def`, or a `lambda` with a name."""

    name: str
    line: int
    arguments: ast.arguments
    decorators: tuple[ast.expr, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """`class`; `body` lacks the methods, `methods` has their names."""

    name: str
    line: int
    bases: tuple[ast.expr, ...]
    keywords: tuple[ast.keyword, ...]
    decorators: tuple[ast.expr, ...]
    body: tuple[ast.stmt, ...]
    methods: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """`name = value`."""

    line: int
    value: ast.expr


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """`path` is the dotted name that is imported; None where a relative import leaves it open."""

    path: str | None
    line: int = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """Bound in some other way, or in several: it exists, and that is all."""

    line: int


Binding = Function | Class | Assigned | Imported | Opaque


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """The top level of a file.

    `open`: names may exist that are not in `names` (`__getattr__`). `wild`: what is not in `names` may even
    be a builtin that was replaced (`from x import *`, `exec`). `rebound`: names that did not always mean the same.
    `conditional`: names that are bound inside an `if`, `try` or loop only, so perhaps not at all.
    """

    names: Mapping[str, Binding] = field(default_factory=dict)
    rebound: frozenset[str] = frozenset()
    conditional: frozenset[str] = frozenset()
    open: bool = False
    wild: bool = False

    def steady(self, name: str) -> Binding | None:
        """What a name means from beginning to end; None where nothing in the file binds it."""
        found = self.names.get(name)
        doubtful = name in self.rebound or self.is_doubtful(name)
        return Opaque(line=found.line) if found and doubtful else found

    def is_doubtful(self, name: str) -> bool:
        """Whether what binds it here may be passed over for what binds it elsewhere (`if "main" not in globals()`)."""
        return self.wild and name in self.conditional

    def path_of(self, expression: ast.expr) -> str | None:
        """The dotted name of what an expression denotes (`typing.List`, `builtins.int`); None if it has none."""
        attributes: list[str] = []
        while isinstance(expression, ast.Attribute):
            attributes.append(expression.attr)
            expression = expression.value
        if not isinstance(expression, ast.Name):
            return None
        root = self._root(expression.id)
        if root is None:
            return None
        path = ".".join([root, *reversed(attributes)])
        return "typing." + path.removeprefix("typing_extensions.") if path.startswith("typing_extensions.") else path

    def _root(self, name: str) -> str | None:
        found = self.steady(name)
        if found is None:
            return None if self.wild else f"builtins.{name}"
        return found.path if isinstance(found, Imported) else None
