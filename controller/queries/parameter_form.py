"""The parameters of a deployment's flow as a form, and the check of parameters before a run is triggered.

Both are read from the text of the Python file at the revision that the next run would execute; nothing is imported.
If the file or the signature is unknown, the form is open: it accepts any JSON without a check.
"""

import enum
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

from controller import flow_analysis
from controller.errors import ControllerError
from controller.flow_analysis.known_types import branches_of, choices_of, members_of
from controller.flow_analysis.signature import Kind, Parameter
from controller.manifests.build import build_deployment
from controller.manifests.parameter_references import find_errors, has_references, resolve
from controller.manifests.reference_types import check_parameters
from controller.model.deployments import Deployment, FlowTarget
from controller.model.status import InventoryEntry
from controller.records import dataclass
from controller.sdk.messages import spell
from controller.sdk.scalar_types import RULES, rule_name
from controller.sources.source import Source

_MAX_CACHED = 256
_MAX_TYPE = 10_000
_MAX_DEPTH = 2
_MAX_FIELDS = 30
"""The number of fields of a class up to which a form shows them; otherwise it takes JSON."""
_KINDS = {int: "integer", float: "number", bool: "boolean"}
_FORMATS = {date: "date", datetime: "date-time", time: "time", timedelta: "duration"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """One parameter. `kind` is `text`, `integer`, `number`, `boolean`, `choice` or `json`.

    `type` and `default` are Python source text. `value` is the value from the manifest if `is_given`, else None.
    `resolved`: if `value` contains references, the value that a run without a due time would get now. References to
    what is known only with the run, such as its id, stay as they are in it.
    `format` is `date`, `date-time`, `time` or `duration` for a text in this format. `fields` has the fields of a
    dataclass or typed dictionary, whose `kind` is `json`.
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
    resolved: Any = None
    format: str | None = None
    has_default: bool = True
    fields: tuple["FormField", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FormView:
    """The parameters of one deployment. With `is_open`, other parameters are accepted too.

    `passed_as` is `arguments` for a Python flow and `file` for a command.
    """

    deployment: str
    fields: tuple[FormField, ...]
    is_open: bool
    passed_as: str = "arguments"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterFault:
    """One error in a set of parameters. `path` leads to the invalid value and begins with the parameter's name."""

    code: str
    message: str
    path: tuple[str | int, ...]
    hint: str | None


class Forms:
    """Builds forms, and caches signatures by revision. Safe to use from several threads."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._lock = threading.Lock()
        self._memory: OrderedDict[tuple[str, str, tuple[str, ...]], flow_analysis.Flow | None] = OrderedDict()

    def form(self, entry: InventoryEntry, revision: str, now: datetime) -> FormView:
        """Return the form of an active deployment. `revision` is the one that its next run would execute."""
        deployment = build_deployment(entry.document, entry.file, entry.line)
        flow = self._flow(deployment, revision)
        parameters = () if flow is None or flow.parameters is None else flow.parameters
        fields = [_field(item, deployment.parameters) for item in parameters if item.kind is Kind.ORDINARY]
        names = {field.name for field in fields}
        fields += [_unknown(name, value) for name, value in deployment.parameters.items() if name not in names]
        resolved = resolve(deployment.parameters, now, deployment.zones, schedule=deployment.timezone)
        fields = [
            replace(field, resolved=resolved[field.name]) if has_references(field.value) else field for field in fields
        ]
        is_open = not isinstance(deployment.target, FlowTarget) or flow is None or flow.parameters is None
        is_open = is_open or any(item.kind is Kind.REST for item in parameters)
        passed_as = "arguments" if isinstance(deployment.target, FlowTarget) else "file"
        return FormView(deployment=entry.name, fields=tuple(fields), is_open=is_open, passed_as=passed_as)

    def check(self, deployment: Deployment, revision: str, parameters: Mapping[str, Any]) -> tuple[ParameterFault, ...]:
        """Return all errors of a run of this deployment at `revision` with exactly these parameters."""
        flow = self._flow(deployment, revision)
        errors = tuple(
            ParameterFault(code="InvalidReference", message=str(error), path=error.path, hint=error.hint)
            for error in find_errors(parameters)
        )
        if flow is None:
            return errors
        is_wrong = {error.path[0] for error in errors}
        checked = check_parameters(flow, {name: value for name, value in parameters.items() if name not in is_wrong})
        return errors + tuple(
            ParameterFault(
                code=fault.code.value,
                message=fault.message,
                path=fault.path or ((fault.missing,) if fault.missing else ()),
                hint=fault.hint,
            )
            for fault in checked
            if fault.is_certain and fault.missing not in is_wrong
        )

    def _flow(self, deployment: Deployment, revision: str) -> flow_analysis.Flow | None:
        """Return the flow with its signature; None for a command, or if the file can't be read or lacks the flow."""
        target = deployment.target
        if not isinstance(target, FlowTarget):
            return None
        key = (revision, str(target), deployment.import_paths)
        with self._lock:
            if key in self._memory and self.source.is_pinned:
                self._memory.move_to_end(key)
                return self._memory[key]
        content = self._content(target, deployment.import_paths, revision)
        if content is None:
            return None
        definition = flow_analysis.read_module(content).find(target.name)
        flow = definition if isinstance(definition, flow_analysis.Flow) else None
        with self._lock:
            self._memory[key] = flow
            while len(self._memory) > _MAX_CACHED:
                self._memory.popitem(last=False)
        return flow

    def _content(self, target: FlowTarget, import_paths: Sequence[str], revision: str) -> bytes | None:
        """Return the content of the flow's file; None if it can't be read, or if an installed package has it."""
        paths = [target.path]
        if target.module is not None:
            paths = flow_analysis.module_paths(target.module, (*import_paths, ""))
        for path in paths:
            try:
                return self.source.read_file(revision, path)
            except (ControllerError, OSError):
                continue
        return None


def _field(parameter: Parameter, declared: Mapping[str, Any]) -> FormField:
    name, default = parameter.name, parameter.default
    field = _make_field(name, parameter.hint, declared, default=default, required=parameter.required)
    return replace(field, nullable=field.nullable or parameter.nullable)


def _make_field(
    name: str, hint: Any, declared: Mapping[str, Any], *, default: str | None, required: bool, depth: int = 0
) -> FormField:
    """Return the field for a parameter, or for a field of one, with its value in `declared`."""
    kind, choices = _kind(hint)
    spelled = spell(hint, _MAX_TYPE)
    value = declared.get(name)
    return FormField(
        name=name,
        kind=kind,
        type=None if spelled == "…" else spelled,
        required=required and name not in declared,
        nullable=type(None) in branches_of(hint),
        default=default,
        choices=choices,
        is_given=name in declared,
        value=value,
        format=_FORMATS.get(_only_branch(hint)) if kind == "text" else None,
        has_default=not required,
        fields=_inner_fields(hint, value, depth) if kind == "json" else (),
    )


def _inner_fields(hint: Any, value: Any, depth: int) -> tuple[FormField, ...]:
    """Return the fields of a class of the file; none if `value` is something that they can't show."""
    members = members_of(_only_branch(hint))
    is_plain = isinstance(value, Mapping | None) and not has_references(value)
    values = value or {}
    if depth >= _MAX_DEPTH or len(members) > _MAX_FIELDS or not is_plain:
        return ()
    if any(name not in {member.name for member in members} for name in values):
        return ()
    return tuple(
        _make_field(
            member.name,
            member.hint,
            values,
            default=member.default,
            required=member.required,
            depth=depth + 1,
        )
        for member in members
    )


def _unknown(name: str, value: Any) -> FormField:
    """Return a field for a parameter that the manifest sets but the signature does not list."""
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


def _only_branch(hint: Any) -> Any:
    """Return the only branch of a hint apart from None; None if there are several."""
    branches = [branch for branch in branches_of(hint) if branch is not type(None)]
    return branches[0] if len(branches) == 1 else None


def _kind(hint: Any) -> tuple[str, tuple[Any, ...]]:
    """Return the `kind` of the field for this type hint, and the values to choose from."""
    hint = _only_branch(hint)
    choices = choices_of(hint)
    if isinstance(hint, enum.EnumMeta) and issubclass(hint, enum.Flag):
        return "json", ()  # a number may combine several members
    if choices:
        return "choice", choices
    is_scalar = isinstance(hint, type) and rule_name(hint) in RULES
    return _KINDS.get(hint, "text") if is_scalar else "json", ()
