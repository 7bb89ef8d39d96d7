"""Finds the flow with a given name in a file, or returns the reason why there is none.

`manifests` calls it once per file and name. A `Module` is an immutable value and can be cached by the id of its blob.
"""

from dataclasses import field

from controller.flow_analysis.bindings import Function, Namespace
from controller.flow_analysis.callables import Entry, callables_of
from controller.flow_analysis.decorator_options import wrong_option
from controller.flow_analysis.decorators import Role
from controller.flow_analysis.file_content import cause_of
from controller.flow_analysis.flow_problems import FlowCode, Problem
from controller.flow_analysis.messages import closest_name, join_names
from controller.flow_analysis.namespace import read_namespace
from controller.flow_analysis.signature import Flow, flow_of
from controller.flow_analysis.syntax_tree import UnreadableError, read_text, read_tree
from controller.records import dataclass
from controller.sdk.messages import shorten


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A Python file. If it could not be read, `problem` has the reason and the rest is empty.

    `is_script`: it has inline script metadata (PEP 723).
    """

    names: Namespace = field(default_factory=Namespace)
    entries: tuple[Entry, ...] = ()
    problem: Problem | None = None
    is_script: bool = False

    def find(self, name: str | None) -> Flow | Problem:
        """Return the flow with this name: the name of its function or variable, or that from `@flow(name=…)`.

        Without a name, return the only public flow of the file or, if it has no flows, its only public function.
        """
        if self.problem is not None:
            return self.problem
        entry = self._only() if name is None else self._find(name)
        return flow_of(entry, self.names) if isinstance(entry, Entry) else entry

    def _find(self, name: str) -> Entry | Problem:
        entry = next((entry for entry in self.entries if entry.name == name), None)
        if entry is not None:
            return entry
        titled = [entry for entry in self.entries if entry.title == name]
        functions = {id(entry.function) for entry in titled if entry.function}
        if len(titled) == 1 or len(functions) == 1:
            return titled[0]
        if len(functions) > 1 and all(entry.own for entry in titled):
            return _ambiguous(f"this file has {len(titled)} flows with the name {shorten(name)}", titled)
        if titled or self.names.open or any(entry.hidden for entry in self.entries):
            return _unknown_entry(name)
        return self._missing(name)

    def _missing(self, name: str) -> Problem:
        defined = [entry for entry in self.entries if entry.role is Role.FLOW or self._is_function(entry)]
        candidates = [entry for entry in defined if entry.public] or defined
        match = closest_name(name, [name for entry in candidates for name in (entry.name, entry.title) if name])
        return Problem(
            code=FlowCode.NOT_FOUND,
            message=f"this file has no flow {shorten(name)}",
            line=next((entry.line for entry in candidates if match in (entry.name, entry.title)), 1) if match else 1,
            hint=(f"did you mean {shorten(match)}? " if match else "") + _list_candidates(candidates),
        )

    def _is_function(self, entry: Entry) -> bool:
        return isinstance(self.names.names.get(entry.name), Function) and entry.role is not Role.TASK

    def _only(self) -> Entry | Problem:
        public = [entry for entry in self.entries if entry.public and entry.possible]
        flows = [entry for entry in public if entry.role is Role.FLOW]
        functions = [entry for entry in public if entry.role is not Role.TASK]
        candidates = flows or functions
        certain = [entry for entry in candidates if entry.own]
        if len(certain) > 1:
            kind = "flows" if flows else "functions"
            return _ambiguous(f"this file has {len(certain)} public {kind}, so the flow must be named", certain)
        if len(candidates) == 1 or certain:
            return (certain or candidates)[0]
        if candidates or self.names.open:
            return _unknown_entry(None)
        message = "this file defines no public function"
        return Problem(code=FlowCode.NOT_FOUND, message=message, hint="define a public function, or name the flow")


_SCRIPT = b"# /// script"


def read_module(source: bytes) -> Module:
    """Read a Python file from its bytes, which may be invalid. Never raises."""
    try:
        text = read_text(source)
        if text is None:
            return unread_module(is_script=_SCRIPT in source)
        names = read_namespace(read_tree(text), text)
    except UnreadableError as error:
        cause = cause_of(source)
        if cause is None:
            return Module(problem=error.problem)
        problem = Problem(code=FlowCode.FILE_INVALID, message=cause.message, line=cause.line, hint=cause.hint)
        return Module(problem=problem)
    return Module(
        names=names,
        entries=tuple(callables_of(names)),
        problem=wrong_option(names),
        is_script=_SCRIPT in source,
    )


def unread_module(*, is_script: bool = False) -> Module:
    """Return the module of a file that is not parsed: it may contain any flow."""
    return Module(names=Namespace(open=True, wild=True), is_script=is_script)


def refused_module(reason: str) -> Module:
    """Return the module of a file that exists but cannot be read, for this reason."""
    return Module(problem=Problem(code=FlowCode.FILE_INVALID, message=reason))


def _unknown_entry(name: str | None) -> Entry:
    """Return the entry of a flow that may exist although the file does not show it; its signature is unknown."""
    return Entry(name=name or "", line=1, role=Role.OTHER)


def _ambiguous(message: str, candidates: list[Entry]) -> Problem:
    hint = f"name the function to run: {join_names([entry.name for entry in candidates], 'or')}"
    return Problem(code=FlowCode.AMBIGUOUS, message=message, line=candidates[0].line, hint=hint)


def _list_candidates(candidates: list[Entry]) -> str:
    if not candidates:
        return "the file defines no functions"
    return f"the file defines {join_names([entry.name for entry in candidates])}"
