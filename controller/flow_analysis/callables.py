"""The callables at the top level of a file: functions, flows, and names that may be one. `module` selects one of them.

Type hints are not read here, only later for the selected callable.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import replace

from controller.flow_analysis.bindings import Assigned, Binding, Class, Function, Imported, Namespace, Opaque
from controller.flow_analysis.decorators import Role, read_decoration
from controller.records import dataclass

_MAX_ALIASES = 20
_NO_CALLABLES = ast.Constant | ast.JoinedStr | ast.List | ast.Tuple | ast.Set | ast.Dict | ast.ListComp | ast.DictComp


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A name at the top level of the file that is, or may be, callable."""

    name: str
    line: int
    role: Role
    function: Function | None = None
    """The function with the signature, or None if the signature is unknown."""
    title: str | None = None
    """The name of the flow from `@flow(name=…)`, or its default."""
    hidden: bool = False
    """Whether the flow has such a name, but it can't be read from the file."""
    own: bool = False
    """Whether this is certainly a function or flow that is defined in this file."""
    possible: bool = True
    """Whether this may be a function or flow that is defined in this file."""
    validates: bool = True
    """Whether the flow checks its parameters against its type hints."""

    @property
    def public(self) -> bool:
        """Whether the callable is a candidate when a deployment names no flow."""
        return not self.name.startswith("_")


def callables_of(names: Namespace) -> Iterator[Entry]:
    """Yield an entry for each name that may be callable, in the order in which the file first binds them."""
    for name, binding in names.names.items():
        certain = Opaque(line=binding.line) if names.is_uncertain(name) else binding
        entry = _entry(name, certain, names, _MAX_ALIASES)
        if entry is not None:
            yield entry


def _entry(name: str, binding: Binding, names: Namespace, depth: int) -> Entry | None:
    """Return the entry of a name, or None if it is not callable. `depth` limits how many aliases are followed."""
    match binding:
        case Function(decorators=decorators, line=line):
            bare = Entry(name=name, line=line, role=Role.SAME, function=binding, own=name not in names.conditional)
            return _apply_decorators(bare, reversed(decorators), names)
        case Assigned(value=value, line=line):
            return _assignment(Entry(name=name, line=line, role=Role.OTHER), value, names, depth)
        case Class() | Imported():
            return Entry(name=name, line=binding.line, role=Role.OTHER, possible=False)
        case Opaque():
            return Entry(name=name, line=binding.line, role=Role.OTHER)


def _apply_decorators(entry: Entry, decorators: Iterable[ast.expr], names: Namespace) -> Entry:
    """Return the entry with these decorators applied, innermost first."""
    for expression in decorators:
        effect = read_decoration(expression, names)
        is_flow = Role.FLOW in (entry.role, effect.role)
        title = effect.title or (entry.title if effect.role is not Role.FLOW else _default_title(entry, effect.hidden))
        is_unreadable = effect.role is Role.FLOW and title is None  # it is named after an unknown function
        entry = replace(
            entry,
            role=Role.FLOW if is_flow else entry.role if effect.role is Role.SAME else effect.role,
            function=entry.function if effect.keeps else None,
            title=title,
            hidden=effect.hidden or entry.hidden or is_unreadable,
            possible=entry.possible or effect.role is Role.FLOW,
            own=entry.own and effect.role is not Role.OTHER,
            validates=effect.validates and entry.validates,
        )
    return entry


def _default_title(entry: Entry, hidden: bool) -> str | None:
    """Return the name of a flow without `name=`: the function's name with `-` for `_`."""
    return entry.function.name.replace("_", "-") if entry.function and not hidden else None


def _assignment(entry: Entry, value: ast.expr, names: Namespace, depth: int) -> Entry | None:
    """Return the entry of `name = value`: `entry` if the value is unknown, None if it is not callable."""
    match value:
        case ast.Name(id=target) if depth > 0:
            return _alias(entry, target, names, depth)
        case ast.Call(func=ast.Attribute(value=ast.Name(id=target), attr="with_options")):
            flow = _alias(entry, target, names, depth)
            if flow is None or flow.role is not Role.FLOW:
                return entry
            changed = read_decoration(value, names)
            return replace(
                flow,
                title=changed.title or flow.title,
                hidden=changed.hidden or flow.hidden or (not changed.title and bool({"name", None} & _options(value))),
                validates=changed.validates and flow.validates,
            )
        case ast.Call(func=ast.Call() as decorator, args=[ast.Name(id=target)], keywords=[]):
            return _wrap(entry, decorator, target, names, depth)
        case ast.Call(func=func, args=[ast.Name(id=target)], keywords=keywords):
            return _wrap(entry, ast.Call(func=func, args=[], keywords=keywords), target, names, depth)
        case ast.Call():
            effect = read_decoration(value, names)
            return replace(entry, role=effect.role, title=effect.title, hidden=effect.hidden)
    return None if isinstance(value, _NO_CALLABLES) else entry


def _options(call: ast.Call) -> set[str | None]:
    return {keyword.arg for keyword in call.keywords}


def _wrap(entry: Entry, decorator: ast.expr, target: str, names: Namespace, depth: int) -> Entry:
    """Return the entry of `name = decorator(target)`, as if `target` were decorated."""
    inner = _alias(entry, target, names, depth) or entry
    return _apply_decorators(inner, [decorator], names)


def _alias(entry: Entry, target: str, names: Namespace, depth: int) -> Entry | None:
    """Return the entry of `name = target`: that of the target, with the name and line of `entry`."""
    binding = names.stable_binding(target)
    if binding is None or depth <= 0:
        return entry
    aliased = _entry(target, binding, names, depth - 1)
    own = aliased is not None and aliased.own and entry.name not in names.conditional
    return aliased and replace(aliased, name=entry.name, line=entry.line, own=own)
