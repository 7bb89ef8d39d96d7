"""Checks that the flow of a document exists and accepts its parameters, and adds positions to the problems found.

`build` calls `check_flow` for every document that names a flow; `reader` creates one `Flows` per revision.
`flow_analysis` reads the code as text, at the same revision as the manifests; nothing is imported or executed.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from controller import flow_analysis
from controller.manifests.reference_spelling import find_near_misses
from controller.manifests.reference_types import check_parameters, is_mapping_expected
from controller.manifests.trigger_fields import parameter_path, trigger_calls
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path
from controller.model.deployments import FlowTarget
from controller.model.findings import Severity
from controller.model.python_environments import MAX_FILE_BYTES
from controller.model.snapshots import Code, CodeFile
from controller.text import shorten

_MAX_CACHED = 256
_MAX_CACHED_BYTES = 1 << 20
"""Limit for the size of the files on disk. Analysed, some take two hundred times as much memory."""


class ModuleCache:
    """A cache of analysed Python files by digest, which evicts the least recently used."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[flow_analysis.Module, int]] = OrderedDict()
        self._bytes = 0

    def get(self, digest: str) -> flow_analysis.Module | None:
        """Return the file with this digest, or None if it is not cached."""
        if digest not in self._entries:
            return None
        self._entries.move_to_end(digest)
        return self._entries[digest][0]

    def add(self, digest: str, module: flow_analysis.Module, size: int) -> None:
        """Cache a file of `size` bytes that is not cached yet."""
        self._entries[digest] = module, size
        self._bytes += size
        while len(self._entries) > _MAX_CACHED or self._bytes > _MAX_CACHED_BYTES:
            _, (_, evicted) = self._entries.popitem(last=False)
            self._bytes -= evicted


class Flows:
    """The flows and files of one revision. `modules` is keyed by digest and shared by all revisions.

    `expected` are paths that will be needed; they are looked up together. If `is_whole` is False, the code may be
    only a part of the repository, so missing files are not reported.
    """

    def __init__(
        self, code: Code, modules: ModuleCache, expected: Iterable[str] = (), *, is_whole: bool = True
    ) -> None:
        self.is_whole = is_whole
        self._code = code
        self._modules = modules
        self._files: dict[str, CodeFile | None] = {}
        self._dependencies: dict[str, str | None] = {}
        self._scripts: set[str] = set()
        self._flows: dict[tuple[str, str | None], flow_analysis.Flow | flow_analysis.Problem | None] = {}
        self._look_up(set(expected))

    def find(self, path: str, name: str | None) -> flow_analysis.Flow | flow_analysis.Problem | None:
        """Return the flow with this name in the file, or why there is none; None if the file does not exist.

        Raises SourceError.
        """
        file = self._file(path)
        self._dependencies[path] = _digest(file)
        if (path, name) not in self._flows:
            self._flows[path, name] = None if file is None else self._read(path, file).find(name)
        return self._flows[path, name]

    def has_directory(self, path: str) -> bool:
        """Return whether the directory `path` exists. Raises SourceError."""
        directory = self._file(f"{path}/")
        self._dependencies[f"{path}/"] = _digest(directory)
        return directory is not None

    def has_file(self, path: str) -> bool:
        """Return whether there is a file at `path`. Raises SourceError."""
        file = self._file(path)
        self._dependencies[path] = _digest(file)
        return file is not None

    def is_script(self, path: str) -> bool:
        """Return whether this file, which `find` has read, has inline script metadata."""
        return path in self._scripts

    def existing_files(self, paths: Iterable[str]) -> list[str]:
        """Return those of these paths that are files. No result depends on them. Raises SourceError."""
        paths = list(paths)
        self._look_up(path for path in paths if path not in self._files)
        return [path for path in paths if self._files[path] is not None]

    def content(self, path: str) -> bytes:
        """Return the content of an existing file; empty if it is refused or too large. Raises SourceError."""
        file = self._file(path)
        if file is None or file.refusal or file.size > flow_analysis.MAX_BYTES:
            return b""
        return self._code.read(path)

    def read(self, path: str) -> bytes | None:
        """Return the content of a file that declares a Python environment, or None if no such file can be read.

        Raises RequirementsError if it is too large, SourceError.
        """
        # Imported here because most deployments have no Python environment of their own.
        from controller.manifests.python_requests import check_size

        self._dependencies[path] = _digest(file := self._file(path))
        if file is None or file.refusal:
            return None
        check_size(path, file.size)
        return self._code.read(path)

    def take_dependencies(self) -> Mapping[str, str | None]:
        """Return the paths looked up since the last call, with their digests (None: does not exist)."""
        dependencies, self._dependencies = self._dependencies, {}
        return dependencies

    def are_unchanged(self, digests: Mapping[str, str | None]) -> bool:
        """Return whether all these paths still have these digests."""
        return all(_digest(self._file(path)) == digest for path, digest in digests.items())

    def _file(self, path: str) -> CodeFile | None:
        if path not in self._files:
            self._look_up([path])
        return self._files[path]

    def _look_up(self, paths: Iterable[str]) -> None:
        missing = list(paths)
        files = self._code.find(missing) if missing else {}
        self._files.update({path: files.get(path) for path in missing})

    def _read(self, path: str, file: CodeFile) -> flow_analysis.Module:
        if file.refusal:
            return flow_analysis.refused_module(file.refusal)
        module = self._modules.get(file.digest)
        if module is None and file.size > MAX_FILE_BYTES:
            module = flow_analysis.unread_module()
        elif module is None:
            module = flow_analysis.read_module(self._code.read(path))
            self._modules.add(file.digest, module, file.size if file.size <= flow_analysis.MAX_BYTES else 0)
        if module.is_script:
            self._scripts.add(path)
        return module


def check_flow(
    context: ValidationContext, target: FlowTarget, import_paths: Sequence[str], flows: Flows, *, has_packages: bool
) -> flow_analysis.Flow | None:
    """Add the problems of the flow and, if it exists, of the parameters for it. Return the flow if it was read.

    A module that is not in the repository may be in a package; `has_packages` says whether the deployment declares any.
    """
    if target.module is not None:
        return _check_module(context, target, import_paths, flows, has_packages=has_packages)
    flow = flows.find(target.path, target.name)
    key = "flow" if "flow" in context.value else "flow_location"
    if flow is None:
        if flows.is_whole:
            _missing_file(context, target, key)
        return None
    key = "flow_name" if target.name is not None and key == "flow_location" else key
    return _check_found(context, target.path, flow, key)


def _check_module(
    context: ValidationContext, target: FlowTarget, import_paths: Sequence[str], flows: Flows, *, has_packages: bool
) -> flow_analysis.Flow | None:
    assert target.module is not None
    for path in flow_analysis.module_paths(target.module, (*import_paths, "")):
        flow = flows.find(path, target.name)
        if flow is not None:
            return _check_found(context, path, flow, "flow")
    if not flows.is_whole:
        return None
    module = shorten(target.module)
    if has_packages:
        message = f"module {module} is not in the repository, so its parameters are checked when it runs"
        hint = "ignore this if a package of the Python environment has it; otherwise add its folder to import_paths"
        context.add("FlowNotChecked", message, ("flow",), hint=hint, severity=Severity.WARNING)
    else:
        message = f"module {module} is not in the repository"
        hint = (
            "write the file's path instead (flows/etl.py:main), add the folder of the module to import_paths, or "
            "declare the package that has it under python"
        )
        context.add("FlowFileMissing", message, ("flow",), hint=hint)
    return None


def _check_found(
    context: ValidationContext, path: str, flow: flow_analysis.Flow | flow_analysis.Problem, key: str
) -> flow_analysis.Flow | None:
    if isinstance(flow, flow_analysis.Problem):
        context.add(flow.code.value, f"{path}:{flow.line}: {flow.message}", (key,), hint=flow.hint)
        return None
    if context.is_clean(("parameters",)):
        _check_parameters(context, flow)
    return flow


def check_spelling(context: ValidationContext, flow: flow_analysis.Flow | None) -> None:
    """Add a warning for each literal mapping that looks like a reference, unless the flow expects a mapping there."""
    for place, parameters in context.parameters:
        for miss in find_near_misses(parameters):
            path = (*place, "parameters", *miss.path)
            literal = "if you mean a literal mapping, ignore this warning"
            if flow is not None:
                if is_mapping_expected(flow, parameters, miss.path):
                    continue
                literal += f" or give {shorten(str(miss.path[0]))} a type hint that takes only mappings, such as dict"
            if context.is_clean(path):
                hint = f"{miss.hint}; {literal}"
                context.add("InvalidReference", miss.message, path, hint=hint, severity=Severity.WARNING)


def check_working_directory(context: ValidationContext, directory: str, flows: Flows) -> None:
    """Add a problem if the working directory is not in the repository. An empty `directory` is the root."""
    if directory and not flows.has_directory(directory) and flows.is_whole:
        hint = "commit a file in it, or correct the path, which is relative to the repository root"
        message = f"directory {shorten(directory, 200)} does not exist"
        context.add("WorkingDirectoryMissing", message, ("working_directory",), hint=hint)


def _missing_file(context: ValidationContext, target: FlowTarget, key: str) -> None:
    hint = "commit it, or correct the path, which is relative to the repository root"
    if key == "flow_location":
        hint = "commit it, or correct the path, which is relative to this file"
    context.add("FlowFileMissing", f"file {shorten(target.path, 200)} does not exist", (key,), hint=hint)


def _check_parameters(context: ValidationContext, flow: flow_analysis.Flow) -> None:
    """Check the parameters of the call by each schedule and each trigger under `on`.

    Without any, a missing parameter is only a warning, because the request for a run may supply it. It is none if the
    only triggers are invalid: they may set it.
    """
    shared: dict[str, Any] = context.value.get("parameters") or {}
    calls = [*_calls(context), *trigger_calls(context)]
    missing: dict[flow_analysis.ParameterProblem, list[Path]] = {}
    reported: set[tuple[Path, str]] = set()
    for path, overrides in calls or [((), {})]:
        for problem in check_parameters(flow, {**shared, **overrides}):
            if problem.code is flow_analysis.ParameterCode.MISSING:
                missing.setdefault(problem, []).append(path)
                continue
            is_own = bool(problem.path) and problem.path[0] in overrides
            place = parameter_path(path, problem.path) if is_own else ("parameters", *problem.path)
            if (place, problem.message) not in reported:
                reported.add((place, problem.message))
                _add(context, problem, place, severity=Severity.ERROR if problem.is_certain else Severity.WARNING)
    if not calls and not context.is_clean(("on",)):
        return
    for problem, paths in missing.items():
        everywhere = len(paths) == max(len(calls), 1)
        for path in [_parameters_path(context)] if everywhere else paths:
            _add(context, problem, path, severity=Severity.ERROR if calls else Severity.WARNING)


def _calls(context: ValidationContext) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the path of each schedule with its own parameters, except for schedules whose parameters are invalid."""
    listed = context.value.get("schedules")
    schedules: list[tuple[Path, Any]] = [(("schedule",), context.value.get("schedule"))]
    schedules += [(("schedules", index), item) for index, item in enumerate(listed if isinstance(listed, list) else ())]
    for path, schedule in schedules:
        if isinstance(schedule, dict) and context.is_clean((*path, "parameters")):
            yield path, schedule.get("parameters") or {}


def _parameters_path(context: ValidationContext) -> Path:
    return ("parameters",) if "parameters" in context.value else ()


def _add(
    context: ValidationContext,
    problem: flow_analysis.ParameterProblem,
    path: Path,
    *,
    severity: Severity = Severity.ERROR,
) -> None:
    is_name = problem.code in (flow_analysis.ParameterCode.UNKNOWN, flow_analysis.ParameterCode.POSITIONAL_ONLY)
    context.add(
        problem.code.value,
        problem.message,
        path,
        hint=problem.hint,
        at_key=is_name and bool(problem.path),
        missing=(problem.missing, "parameters") if problem.missing else (),
        severity=severity,
    )


def _digest(file: CodeFile | None) -> str | None:
    return None if file is None else file.digest
