"""What does the flow of a deployment take? A form for it, and what is wrong with parameters before they are sent.

Read from the text of the Python file at the revision that the next run would execute; nothing is imported. Where the
file or the signature can't be known the form is open: it takes any JSON, and nothing is said about it.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller import flow_analysis
from controller.errors import ControllerError
from controller.flow_analysis.type_hints import (
    AnyOf,
    Choice,
    Hint,
    Kind,
    Members,
    Null,
    Parameter,
    Scalar,
    branches_of,
    spell,
)
from controller.manifests import build_deployment
from controller.model.deployments import Deployment, FlowTarget
from controller.model.status import InventoryEntry
from controller.sources.source import Source

_REMEMBERED = 256
_KINDS = {"int": "integer", "float": "number", "bool": "boolean"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One parameter. `kind` is `text`, `integer`, `number`, `boolean`, `choice` or `json`.

    `type` and `default` are as Python spells them. `value` is what git gives, if `is_given`.
    """

    name: str
    kind: str
    type: str | None
    required: bool
    nullable: bool
    default: str | None
    choices: tuple[Any, ...]
    is_given: bool
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FormView:
    """The parameters of one deployment; with `is_open` it takes others too.

    `passed_as` is `arguments` for a flow of Python, and `file` for a command.
    """

    deployment: str
    fields: tuple[FormField, ...]
    is_open: bool
    passed_as: str = "arguments"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterFault:
    """One thing that is wrong with given parameters; `path` leads to it, and begins with the parameter's name."""

    code: str
    message: str
    path: tuple[str | int, ...]
    hint: str | None


class Forms:
    """Remembers signatures by revision. Safe to use from several threads."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._memory: OrderedDict[tuple[str, str, str | None], flow_analysis.Flow | None] = OrderedDict()

    def form(self, entry: InventoryEntry, revision: str) -> FormView:
        """The form of a deployment in force, whose next run would execute this revision."""
        deployment = build_deployment(entry.document, entry.file, entry.line)
        flow = self._flow(deployment, revision)
        known = () if flow is None or flow.parameters is None else flow.parameters
        fields = [_field(one, deployment.parameters) for one in known if one.kind is Kind.ORDINARY]
        names = {field.name for field in fields}
        fields += [_unknown(name, value) for name, value in deployment.parameters.items() if name not in names]
        is_open = not isinstance(deployment.target, FlowTarget) or flow is None or flow.parameters is None
        is_open = is_open or any(one.kind is Kind.REST for one in known)
        passed_as = "arguments" if isinstance(deployment.target, FlowTarget) else "file"
        return FormView(deployment=entry.name, fields=tuple(fields), is_open=is_open, passed_as=passed_as)

    def check(self, entry: InventoryEntry, revision: str, given: Mapping[str, Any]) -> tuple[ParameterFault, ...]:
        """What is wrong with these parameters, laid over those that git gives."""
        deployment = build_deployment(entry.document, entry.file, entry.line)
        flow = self._flow(deployment, revision)
        if flow is None:
            return ()
        return tuple(
            ParameterFault(
                code=one.code.value,
                message=one.message,
                path=one.path or ((one.missing,) if one.missing else ()),
                hint=one.hint,
            )
            for one in flow_analysis.check(flow, {**deployment.parameters, **given})
        )

    def _flow(self, deployment: Deployment, revision: str) -> flow_analysis.Flow | None:
        """The flow with its signature; None for a command, and where the file does not tell."""
        target = deployment.target
        if not isinstance(target, FlowTarget):
            return None
        key = (revision, target.path, target.name)
        with self._lock:
            if key in self._memory and self._source.is_pinned:
                self._memory.move_to_end(key)
                return self._memory[key]
        try:
            found = flow_analysis.read_module(self._source.read_file(revision, target.path)).find(target.name)
        except (ControllerError, OSError):
            return None
        flow = found if isinstance(found, flow_analysis.Flow) else None
        with self._lock:
            self._memory[key] = flow
            while len(self._memory) > _REMEMBERED:
                self._memory.popitem(last=False)
        return flow


def _field(parameter: Parameter, given: Mapping[str, Any]) -> FormField:
    kind, choices = _kind(parameter.hint)
    spelled = spell(parameter.hint)
    nullable = parameter.nullable or any(isinstance(one, Null) for one in branches_of(parameter.hint))
    return FormField(
        name=parameter.name,
        kind=kind,
        type=None if spelled == "…" else spelled,
        required=parameter.required and parameter.name not in given,
        nullable=nullable,
        default=parameter.default,
        choices=choices,
        is_given=parameter.name in given,
        value=given.get(parameter.name),
    )


def _unknown(name: str, value: Any) -> FormField:
    """A parameter that git gives and of which the signature says nothing."""
    return FormField(
        name=name,
        kind="json",
        type=None,
        required=False,
        nullable=True,
        default=None,
        choices=(),
        is_given=True,
        value=value,
    )


def _kind(hint: Hint) -> tuple[str, tuple[Any, ...]]:
    """How a value of this hint is entered, and the values to choose from."""
    if isinstance(hint, AnyOf):
        branches = [one for one in branches_of(hint) if not isinstance(one, Null)]
        return _kind(branches[0]) if len(branches) == 1 else ("json", ())
    match hint:
        case Choice(values=values, complete=True):
            return "choice", values
        case Members(members=members, complete=True, bits=None):
            return "choice", tuple(value for _, value in members)
        case Scalar(name=name):
            return _KINDS.get(name, "text"), ()
    return "json", ()
