"""The bindings of names at the top level of a file. `namespace` creates these values; the later steps read them.

They hold syntax without the bodies of functions, so that a cached module is small.
"""

import ast
from collections.abc import Mapping
from dataclasses import field

from controller.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A `def` or `async def`, or a `lambda` that is assigned to a name."""

    name: str
    line: int
    arguments: ast.arguments
    decorators: tuple[ast.expr, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """A `class`. `body` excludes the methods; their names are in `methods`."""

    name: str
    line: int
    bases: tuple[ast.expr, ...]
    keywords: tuple[ast.keyword, ...]
    decorators: tuple[ast.expr, ...]
    body: tuple[ast.stmt, ...]
    methods: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """An assignment, `name = value`."""

    line: int
    value: ast.expr


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """An import. `path` is the dotted name of the imported object; None for a relative import."""

    path: str | None
    line: int = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """A name that is bound in another way, or more than once: it exists, but its value is unknown."""

    line: int


Binding = Function | Class | Assigned | Imported | Opaque


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """The top level of a file."""

    names: Mapping[str, Binding] = field(default_factory=dict)
    """The names that are bound, each with its last binding."""
    rebound: frozenset[str] = frozenset()
    """The names that are bound more than once, to different values."""
    conditional: frozenset[str] = frozenset()
    """The names that are bound only inside an `if`, `try` or loop, and so perhaps not at all."""
    open: bool = False
    """Whether there may be names that are not in `names`, because the file defines `__getattr__` or is `wild`."""
    wild: bool = False
    """Whether any name may have another value, even a builtin, because of `from x import *`, `exec` or the like."""

    def stable_binding(self, name: str) -> Binding | None:
        """Return the binding of a name that has only one; `Opaque` for several, None if the file does not bind it."""
        binding = self.names.get(name)
        is_uncertain = name in self.rebound or self.is_uncertain(name)
        return Opaque(line=binding.line) if binding and is_uncertain else binding

    def is_uncertain(self, name: str) -> bool:
        """Return whether the name may be bound elsewhere instead of here, as in `if "main" not in globals(): …`."""
        return self.wild and name in self.conditional

    def path_of(self, expression: ast.expr) -> str | None:
        """Return the dotted name that an expression refers to (`typing.List`, `builtins.int`), or None if unknown."""
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
        binding = self.stable_binding(name)
        if binding is None:
            return None if self.wild else f"builtins.{name}"
        return binding.path if isinstance(binding, Imported) else None
