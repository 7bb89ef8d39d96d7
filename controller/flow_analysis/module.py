"""Which flow of a file is meant, and what is wrong when there is none. `manifests` calls it, once per file and name.

It must not judge parameters. A module is a value that may be kept, by the id of the blob it was read from.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from controller.flow_analysis.bindings import Function, Namespace
from controller.flow_analysis.callables import Entry, callables_of
from controller.flow_analysis.decorator_options import wrong_option
from controller.flow_analysis.decorators import Role
from controller.flow_analysis.file_content import cause_of
from controller.flow_analysis.flow_problems import FlowCode, Problem
from controller.flow_analysis.messages import did_you_mean, listed, shorten
from controller.flow_analysis.namespace import read_namespace
from controller.flow_analysis.signature import Flow, flow_of
from controller.flow_analysis.syntax_tree import UnreadableError, read_text, read_tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A Python file that was read; `problem` says why it could not be."""

    names: Namespace = field(default_factory=Namespace)
    entries: tuple[Entry, ...] = ()
    problem: Problem | None = None

    def find(self, name: str | None) -> Flow | Problem:
        """The flow of this name: its function's or variable's, or the one it gives itself with `@flow(name=…)`.

        Without a name the only public flow, or where nothing is decorated the only public function that is made here.
        """
        if self.problem is not None:
            return self.problem
        found = self._only() if name is None else self._named(name)
        return flow_of(found, self.names) if isinstance(found, Entry) else found

    def _named(self, name: str) -> Entry | Problem:
        entry = next((entry for entry in self.entries if entry.name == name), None)
        if entry is not None:
            return entry
        titled = [entry for entry in self.entries if entry.title == name]
        functions = {id(entry.function) for entry in titled if entry.function}
        if len(titled) == 1 or len(functions) == 1:
            return titled[0]
        if len(functions) > 1 and all(entry.own for entry in titled):
            return _ambiguous(f"{len(titled)} flows call themselves {shorten(name)}", titled)
        if titled or self.names.open or any(entry.hidden for entry in self.entries):
            return _somewhere(name)
        return self._missing(name)

    def _missing(self, name: str) -> Problem:
        made_here = [entry for entry in self.entries if entry.role is Role.FLOW or self._is_function(entry)]
        candidates = [entry for entry in made_here if entry.public] or made_here
        known = [name for entry in candidates for name in (entry.name, entry.title) if name]
        near = did_you_mean(name, known)
        return Problem(
            code=FlowCode.NOT_FOUND,
            message=f"there is no flow {shorten(name)} in this file",
            line=next((entry.line for entry in candidates if near in (entry.name, entry.title)), 1) if near else 1,
            hint=(f"did you mean {shorten(near)}? " if near else "") + _found(candidates),
        )

    def _is_function(self, entry: Entry) -> bool:
        return isinstance(self.names.names.get(entry.name), Function) and entry.role is not Role.TASK

    def _only(self) -> Entry | Problem:
        public = [entry for entry in self.entries if entry.public and entry.possible]
        flows = [entry for entry in public if entry.role is Role.FLOW]
        functions = [entry for entry in public if entry.role is not Role.TASK]
        found = flows or functions
        certain = [entry for entry in found if entry.own]
        if len(certain) > 1:
            what = "flows" if flows else "functions"
            return _ambiguous(f"this file has {len(certain)} public {what}, and no name says which is meant", certain)
        if len(found) == 1 or certain:
            return (certain or found)[0]
        if found or self.names.open:
            return _somewhere(None)
        message = "this file defines no public function"
        return Problem(code=FlowCode.NOT_FOUND, message=message, hint="define one, or name the flow that is meant")


def read_module(source: bytes) -> Module:
    """Read the bytes of a Python file, whatever they are. Never raises."""
    try:
        text = read_text(source)
        if text is None:
            return unread_module()
        names = read_namespace(read_tree(text), text)
    except UnreadableError as error:
        cause = cause_of(source)
        if cause is None:
            return Module(problem=error.problem)
        problem = Problem(code=FlowCode.FILE_INVALID, message=cause.message, line=cause.line, hint=cause.hint)
        return Module(problem=problem)
    return Module(names=names, entries=tuple(callables_of(names)), problem=wrong_option(names))


def unread_module() -> Module:
    """The module of a file that is not looked into: everything may be in it."""
    return Module(names=Namespace(open=True, wild=True))


def refused_module(reason: str) -> Module:
    """The module of a file that is there and can't be had."""
    return Module(problem=Problem(code=FlowCode.FILE_INVALID, message=reason))


def _somewhere(name: str | None) -> Entry:
    """What may exist though it can't be seen: a flow without a known signature."""
    return Entry(name=name or "", line=1, role=Role.OTHER)


def _ambiguous(message: str, candidates: list[Entry]) -> Problem:
    hint = f"name one of {_names(candidates)}"
    return Problem(code=FlowCode.AMBIGUOUS, message=message, line=candidates[0].line, hint=hint)


def _found(candidates: list[Entry]) -> str:
    return f"it has {_names(candidates)}" if candidates else "it defines no function"


def _names(candidates: Iterable[Entry]) -> str:
    return listed([entry.name for entry in candidates])
