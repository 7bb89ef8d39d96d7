"""Collects the names that the top level of a file binds, with their bindings. Called by `module`.

It walks the syntax tree without recursion, because a long chain of `elif` is a deep tree.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator

from controller.flow_analysis.bindings import Assigned, Binding, Class, Function, Imported, Namespace, Opaque

_DYNAMIC = re.compile(r"\b(?:exec|globals|locals|vars|modules|global)\b|:=")
_DYNAMIC_CALLS = frozenset(("exec", "globals", "locals", "vars"))
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Statements = Iterable[ast.stmt]


def read_namespace(tree: ast.Module, text: str) -> Namespace:
    """Return the names that a file binds when it is imported; `tree` is the syntax of `text`."""
    collector = _Collector()
    collector.collect(tree.body)
    if _DYNAMIC.search(text):
        collector.find_dynamic_bindings(tree)
    return Namespace(
        names=collector.names,
        rebound=frozenset(collector.rebound),
        conditional=frozenset(collector.names.keys() - collector.certain),
        open=collector.wild or "__getattr__" in collector.names,
        wild=collector.wild,
    )


class _Collector:
    """Goes through the statements in the order in which Python runs them.

    `from x import *` may rebind all names that were bound before it.
    """

    def __init__(self) -> None:
        self.names: dict[str, Binding] = {}
        self.rebound: set[str] = set()
        self.certain: set[str] = set()
        self.wild = False
        self._bound_since_star: list[str] = []

    def collect(self, statements: list[ast.stmt]) -> None:
        pending = [(statement, True) for statement in reversed(statements)]
        while pending:
            statement, is_unconditional = pending.pop()
            for name, binding in _bindings(statement):
                self._bind(name, binding, is_unconditional)
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                self.wild = True
                self._mark_rebound(self._bound_since_star, statement.lineno)
                self._bound_since_star = []
            is_unconditional = is_unconditional and isinstance(statement, ast.With | ast.AsyncWith)
            pending.extend((inner, is_unconditional) for inner in reversed(list(_inner(statement))))

    def _bind(self, name: str, binding: Binding, is_unconditional: bool) -> None:
        previous = self.names.get(name)
        if previous is not None and previous != binding:
            self.rebound.add(name)
            if not is_unconditional:
                binding = Opaque(line=binding.line)
        self.names[name] = binding
        self._bound_since_star.append(name)
        if is_unconditional:
            self.certain.add(name)

    def find_dynamic_bindings(self, tree: ast.Module) -> None:
        """Find names that are bound inside functions and expressions, or without a statement, as by `exec`."""
        for node, is_inside in _walk(tree):
            match node:
                case ast.Global(names=names):
                    self._mark_rebound(names, node.lineno)
                case ast.NamedExpr(target=ast.Name(id=name)):
                    self._mark_rebound([name], node.lineno)
                case ast.Call(func=ast.Name(id=name)) if name in _DYNAMIC_CALLS:
                    self.wild = self.wild or not is_inside or _may_bind_globals(node, name)
                case ast.Attribute(value=ast.Name(id="sys"), attr="modules"):
                    self.wild = True

    def _mark_rebound(self, names: Iterable[str], line: int) -> None:
        for name in names:
            self.rebound.add(name)
            self.names[name] = Opaque(line=line)


def _walk(tree: ast.AST) -> Iterator[tuple[ast.AST, bool]]:
    """Yield every node, and whether it runs in the scope of a function; defaults and decorators run outside of it."""
    pending: list[tuple[ast.AST, bool]] = [(tree, False)]
    while pending:
        node, is_inside = pending.pop()
        yield node, is_inside
        body = node.body if isinstance(node, _Function) else [node.body] if isinstance(node, ast.Lambda) else []
        body_ids = {id(child) for child in body}
        pending += [(child, is_inside or id(child) in body_ids) for child in ast.iter_child_nodes(node)]


def _may_bind_globals(call: ast.Call, name: str) -> bool:
    """Return whether this call inside a function may bind names of the file.

    `locals` and `vars` give access to the function's own names only, and so does `exec` unless its code has `global`.
    """
    if name == "globals":
        return True
    is_local = len(call.args) > 1 or any(
        isinstance(argument, ast.Constant) and "global" not in str(argument.value) for argument in call.args
    )
    return name == "exec" and not is_local


def _inner(statement: ast.stmt) -> Iterator[ast.stmt]:
    """Yield the statements inside this one that belong to the top level as well."""
    match statement:
        case ast.If():
            yield from () if _is_main_guard(statement.test) else statement.body
            yield from statement.orelse
        case ast.Try() | ast.TryStar():
            yield from statement.body
            for handler in statement.handlers:
                yield from handler.body
            yield from statement.orelse
            yield from statement.finalbody
        case ast.For() | ast.AsyncFor() | ast.While():
            yield from statement.body
            yield from statement.orelse
        case ast.With() | ast.AsyncWith():
            yield from statement.body
        case ast.Match():
            for case in statement.cases:
                yield from case.body


def _is_main_guard(test: ast.expr) -> bool:
    """Return whether the test is `__name__ == "__main__"`: the controller imports flows, so that block does not run."""
    match test:
        case (
            ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")])
            | ast.Compare(left=ast.Constant(value="__main__"), ops=[ast.Eq()], comparators=[ast.Name(id="__name__")])
        ):
            return True
    return False


def _bindings(statement: ast.stmt) -> Iterator[tuple[str, Binding]]:
    for kind, binder in _BINDERS:
        if isinstance(statement, kind):
            yield from binder(statement)
            return
    # `type X = …` has a node class that is missing from the `ast` of older Python versions
    name, value = getattr(statement, "name", None), getattr(statement, "value", None)
    if isinstance(name, ast.Name) and isinstance(value, ast.expr):
        generic = bool(getattr(statement, "type_params", ()))
        line = statement.lineno
        yield name.id, Opaque(line=line) if generic else Assigned(line=line, value=value)


def _function(node: _Function) -> Iterator[tuple[str, Binding]]:
    decorators = tuple(node.decorator_list)
    yield node.name, Function(name=node.name, line=node.lineno, arguments=node.args, decorators=decorators)


def _class(node: ast.ClassDef) -> Iterator[tuple[str, Binding]]:
    methods = [statement.name for statement in node.body if isinstance(statement, _Function)]
    yield (
        node.name,
        Class(
            name=node.name,
            line=node.lineno,
            bases=tuple(node.bases),
            keywords=tuple(node.keywords),
            decorators=tuple(node.decorator_list),
            body=tuple(statement for statement in node.body if not isinstance(statement, _Function)),
            methods=frozenset(methods),
        ),
    )


def _import(node: ast.Import) -> Iterator[tuple[str, Binding]]:
    for alias in node.names:
        root = alias.name.partition(".")[0]
        yield alias.asname or root, Imported(path=alias.name if alias.asname else root, line=node.lineno)


def _import_from(node: ast.ImportFrom) -> Iterator[tuple[str, Binding]]:
    if node.module == "__future__":
        return
    for alias in node.names:
        if alias.name != "*":
            path = None if node.level else f"{node.module}.{alias.name}"
            yield alias.asname or alias.name, Imported(path=path, line=node.lineno)


def _assign(node: ast.Assign) -> Iterator[tuple[str, Binding]]:
    for target in node.targets:
        if isinstance(target, ast.Name):
            yield target.id, _assignment(target.id, node.value, node.lineno)
        else:
            yield from _target_names(target)


def _annotated_names(node: ast.AnnAssign) -> Iterator[tuple[str, Binding]]:
    if isinstance(node.target, ast.Name) and node.value is not None:
        yield node.target.id, _assignment(node.target.id, node.value, node.lineno)


def _assignment(name: str, value: ast.expr, line: int) -> Binding:
    if isinstance(value, ast.Lambda):
        return Function(name=name, line=line, arguments=value.args)
    return Assigned(line=line, value=value)


def _targets(*attributes: str) -> Callable[[ast.stmt], Iterator[tuple[str, Binding]]]:
    def binder(node: ast.stmt) -> Iterator[tuple[str, Binding]]:
        for attribute in attributes:
            target = getattr(node, attribute)
            for part in target if isinstance(target, list) else [target]:
                yield from _target_names(part)

    return binder


def _target_names(node: ast.AST) -> Iterator[tuple[str, Binding]]:
    """Yield every name that is assigned or deleted in a target or a pattern."""
    for part in ast.walk(node):
        name: str | None = None
        if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
            name = part.id
        elif isinstance(part, ast.MatchAs | ast.MatchStar):
            name = part.name
        elif isinstance(part, ast.MatchMapping):
            name = part.rest
        if name:
            yield name, Opaque(line=getattr(part, "lineno", 1))


def _patterns(node: ast.Match) -> Iterator[tuple[str, Binding]]:
    for case in node.cases:
        yield from _target_names(case.pattern)


def _handlers(node: ast.Try | ast.TryStar) -> Iterator[tuple[str, Binding]]:
    for handler in node.handlers:
        if handler.name:
            yield handler.name, Opaque(line=handler.lineno)


def _context(node: ast.With | ast.AsyncWith) -> Iterator[tuple[str, Binding]]:
    for item in node.items:
        if item.optional_vars is not None:
            yield from _target_names(item.optional_vars)


_BINDERS: tuple[tuple[type | tuple[type, ...], Callable[..., Iterator[tuple[str, Binding]]]], ...] = (
    ((ast.FunctionDef, ast.AsyncFunctionDef), _function),
    (ast.ClassDef, _class),
    (ast.Import, _import),
    (ast.ImportFrom, _import_from),
    (ast.Assign, _assign),
    (ast.AnnAssign, _annotated_names),
    ((ast.AugAssign, ast.For, ast.AsyncFor), _targets("target")),
    (ast.Delete, _targets("targets")),
    (ast.Match, _patterns),
    ((ast.Try, ast.TryStar), _handlers),
    ((ast.With, ast.AsyncWith), _context),
)
