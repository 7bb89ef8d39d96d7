"""Which names the top level of a file binds, and to what. `module` calls it with a fresh syntax tree.

It must not recurse over the tree: a chain of `elif` is as deep as it is long.
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
    """What `tree`, parsed from `text`, binds when it is imported."""
    collector = _Collector()
    collector.collect(tree.body)
    if _DYNAMIC.search(text):
        collector.look_for_tricks(tree)
    return Namespace(
        names=collector.names,
        rebound=frozenset(collector.rebound),
        conditional=frozenset(collector.names.keys() - collector.certain),
        open=collector.wild or "__getattr__" in collector.names,
        wild=collector.wild,
    )


class _Collector:
    """Follows the statements in the order in which Python runs them; `from x import *` may replace all before it."""

    def __init__(self) -> None:
        self.names: dict[str, Binding] = {}
        self.rebound: set[str] = set()
        self.certain: set[str] = set()
        self.wild = False
        self._fresh: list[str] = []

    def collect(self, statements: list[ast.stmt]) -> None:
        waiting = [(statement, True) for statement in reversed(statements)]
        while waiting:
            statement, always = waiting.pop()
            for name, binding in _bindings(statement):
                self._bind(name, binding, always)
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                self.wild = True
                self._doubt(self._fresh, statement.lineno)
                self._fresh = []
            always = always and isinstance(statement, ast.With | ast.AsyncWith)
            waiting.extend((inner, always) for inner in reversed(list(_inner(statement))))

    def _bind(self, name: str, binding: Binding, always: bool) -> None:
        before = self.names.get(name)
        if before is not None and before != binding:
            self.rebound.add(name)
            if not always:
                binding = Opaque(line=binding.line)
        self.names[name] = binding
        self._fresh.append(name)
        if always:
            self.certain.add(name)

    def look_for_tricks(self, tree: ast.Module) -> None:
        """Names that are bound from inside functions and expressions, or by no statement at all."""
        for node, is_inside in _walk(tree):
            match node:
                case ast.Global(names=names):
                    self._doubt(names, node.lineno)
                case ast.NamedExpr(target=ast.Name(id=name)):
                    self._doubt([name], node.lineno)
                case ast.Call(func=ast.Name(id=name)) if name in _DYNAMIC_CALLS:
                    self.wild = self.wild or not is_inside or _reaches_out(node, name)
                case ast.Attribute(value=ast.Name(id="sys"), attr="modules"):
                    self.wild = True

    def _doubt(self, names: Iterable[str], line: int) -> None:
        for name in names:
            self.rebound.add(name)
            self.names[name] = Opaque(line=line)


def _walk(tree: ast.AST) -> Iterator[tuple[ast.AST, bool]]:
    """Every node, and whether it runs in the scope of a function. Its defaults and decorators run outside of it."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, is_inside = waiting.pop()
        yield node, is_inside
        body = node.body if isinstance(node, _Function) else [node.body] if isinstance(node, ast.Lambda) else []
        own = {id(one) for one in body}
        waiting += [(child, is_inside or id(child) in own) for child in ast.iter_child_nodes(node)]


def _reaches_out(call: ast.Call, name: str) -> bool:
    """Whether this call, in a function, may bind names of the file: `locals` and `vars` have the function's own.

    So has `exec`, unless what it executes says `global`.
    """
    if name == "globals":
        return True
    is_plain = len(call.args) > 1 or any(
        isinstance(one, ast.Constant) and "global" not in str(one.value) for one in call.args
    )
    return name == "exec" and not is_plain


def _inner(statement: ast.stmt) -> Iterator[ast.stmt]:
    """The statements inside this one that belong to the top level too."""
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
    """`if __name__ == "__main__"`: the controller imports flows, so what is in there does not happen."""
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
    # `type X = …` is a node that this Python's ast may not have yet
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
            yield target.id, _assigned(target.id, node.value, node.lineno)
        else:
            yield from _stored(target)


def _annotated(node: ast.AnnAssign) -> Iterator[tuple[str, Binding]]:
    if isinstance(node.target, ast.Name) and node.value is not None:
        yield node.target.id, _assigned(node.target.id, node.value, node.lineno)


def _assigned(name: str, value: ast.expr, line: int) -> Binding:
    if isinstance(value, ast.Lambda):
        return Function(name=name, line=line, arguments=value.args)
    return Assigned(line=line, value=value)


def _targets(*attributes: str) -> Callable[[ast.stmt], Iterator[tuple[str, Binding]]]:
    def binder(node: ast.stmt) -> Iterator[tuple[str, Binding]]:
        for attribute in attributes:
            found = getattr(node, attribute)
            for part in found if isinstance(found, list) else [found]:
                yield from _stored(part)

    return binder


def _stored(node: ast.AST) -> Iterator[tuple[str, Binding]]:
    """Every name that is stored to or deleted in a target or a pattern."""
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
        yield from _stored(case.pattern)


def _handlers(node: ast.Try | ast.TryStar) -> Iterator[tuple[str, Binding]]:
    for handler in node.handlers:
        if handler.name:
            yield handler.name, Opaque(line=handler.lineno)


def _context(node: ast.With | ast.AsyncWith) -> Iterator[tuple[str, Binding]]:
    for item in node.items:
        if item.optional_vars is not None:
            yield from _stored(item.optional_vars)


_BINDERS: tuple[tuple[type | tuple[type, ...], Callable[..., Iterator[tuple[str, Binding]]]], ...] = (
    ((ast.FunctionDef, ast.AsyncFunctionDef), _function),
    (ast.ClassDef, _class),
    (ast.Import, _import),
    (ast.ImportFrom, _import_from),
    (ast.Assign, _assign),
    (ast.AnnAssign, _annotated),
    ((ast.AugAssign, ast.For, ast.AsyncFor), _targets("target")),
    (ast.Delete, _targets("targets")),
    (ast.Match, _patterns),
    ((ast.Try, ast.TryStar), _handlers),
    ((ast.With, ast.AsyncWith), _context),
)
