"""What the top level of a file offers to be called: functions, flows, and what may be one. `module` chooses among them.

It must not look at type hints: those are read only for the one that is chosen.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from controller.flow_analysis.bindings import Assigned, Binding, Class, Function, Imported, Namespace, Opaque
from controller.flow_analysis.decorators import Role, decoration

_MAX_ALIASES = 20
_NO_CALLABLES = ast.Constant | ast.JoinedStr | ast.List | ast.Tuple | ast.Set | ast.Dict | ast.ListComp | ast.DictComp


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something callable, or what may be.

    `function` has the signature; None when that is unknown. `title` is the name that the flow gives itself; with
    `hidden` it gives itself one that can't be read. `own`: it is certainly a function or a flow that this file makes;
    `possible`: it may be one.
    """

    name: str
    line: int
    role: Role
    function: Function | None = None
    title: str | None = None
    hidden: bool = False
    own: bool = False
    possible: bool = True
    validates: bool = True

    @property
    def public(self) -> bool:
        """Whether it may be meant when no name is said."""
        return not self.name.startswith("_")


def callables_of(names: Namespace) -> Iterator[Entry]:
    """One entry for each name that may be callable, in the order in which the file binds them first."""
    for name, binding in names.names.items():
        known = Opaque(line=binding.line) if names.is_doubtful(name) else binding
        entry = _entry(name, known, names, _MAX_ALIASES)
        if entry is not None:
            yield entry


def _entry(name: str, binding: Binding, names: Namespace, left: int) -> Entry | None:
    match binding:
        case Function(decorators=decorators, line=line):
            bare = Entry(name=name, line=line, role=Role.SAME, function=binding, own=name not in names.conditional)
            return _decorated(bare, reversed(decorators), names)
        case Assigned(value=value, line=line):
            return _assigned(Entry(name=name, line=line, role=Role.OTHER), value, names, left)
        case Class() | Imported():
            return Entry(name=name, line=binding.line, role=Role.OTHER, possible=False)
        case Opaque():
            return Entry(name=name, line=binding.line, role=Role.OTHER)


def _decorated(entry: Entry, decorators: Iterable[ast.expr], names: Namespace) -> Entry:
    """The entry after these decorators, innermost first."""
    for expression in decorators:
        found = decoration(expression, names)
        is_flow = Role.FLOW in (entry.role, found.role)
        title = found.title or (entry.title if found.role is not Role.FLOW else _default_title(entry, found.hidden))
        nameless = found.role is Role.FLOW and title is None  # it has one, from a function that can't be seen
        entry = replace(
            entry,
            role=Role.FLOW if is_flow else entry.role if found.role is Role.SAME else found.role,
            function=entry.function if found.keeps else None,
            title=title,
            hidden=found.hidden or entry.hidden or nameless,
            possible=entry.possible or found.role is Role.FLOW,
            own=entry.own and found.role is not Role.OTHER,
            validates=found.validates and entry.validates,
        )
    return entry


def _default_title(entry: Entry, hidden: bool) -> str | None:
    """How Prefect calls a flow without `name=`."""
    return entry.function.name.replace("_", "-") if entry.function and not hidden else None


def _assigned(entry: Entry, value: ast.expr, names: Namespace, left: int) -> Entry | None:
    """What `name = value` is; `entry` where that can't be told, None where it is no callable."""
    match value:
        case ast.Name(id=other) if left > 0:
            return _alias(entry, other, names, left)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=other), attr="with_options")):
            flow = _alias(entry, other, names, left)
            if flow is None or flow.role is not Role.FLOW:
                return entry
            changed = decoration(value, names)
            return replace(
                flow,
                title=changed.title or flow.title,
                hidden=changed.hidden or flow.hidden or (not changed.title and bool({"name", None} & _options(value))),
                validates=changed.validates and flow.validates,
            )
        case ast.Call(func=ast.Call() as maker, args=[ast.Name(id=other)], keywords=[]):
            return _made(entry, maker, other, names, left)
        case ast.Call(func=func, args=[ast.Name(id=other)], keywords=keywords):
            return _made(entry, ast.Call(func=func, args=[], keywords=keywords), other, names, left)
        case ast.Call():
            found = decoration(value, names)
            return replace(entry, role=found.role, title=found.title, hidden=found.hidden)
    return None if isinstance(value, _NO_CALLABLES) else entry


def _options(call: ast.Call) -> set[str | None]:
    return {keyword.arg for keyword in call.keywords}


def _made(entry: Entry, maker: ast.expr, other: str, names: Namespace, left: int) -> Entry:
    """`name = maker(other)`, as if `other` were decorated with it."""
    inner = _alias(entry, other, names, left) or entry
    return _decorated(inner, [maker], names)


def _alias(entry: Entry, other: str, names: Namespace, left: int) -> Entry | None:
    """The entry of another name, under the name of this one."""
    binding = names.steady(other)
    if binding is None or left <= 0:
        return entry
    found = _entry(other, binding, names, left - 1)
    own = found is not None and found.own and entry.name not in names.conditional
    return found and replace(found, name=entry.name, line=entry.line, own=own)
