"""Is the flow of a document there, and does it take these parameters? Asks `flow_analysis`, and places what it says.

`build` calls `check_flow` for every document that names a flow, `reader` makes one `Flows` for each revision. Nothing
is imported or run: the code is read as text, as it is at the revision of the manifests.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from controller import flow_analysis
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path, shorten
from controller.model.deployments import FlowTarget
from controller.model.findings import Severity
from controller.model.snapshots import Code, CodeFile

_REMEMBERED = 256
_REMEMBERED_BYTES = 1 << 20
"""Of Python files as they are on disk: in the form in which they are asked, some are two hundred times larger."""


class Modules:
    """The Python files that were asked for last, by digest."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[flow_analysis.Module, int]] = OrderedDict()
        self._bytes = 0

    def get(self, digest: str) -> flow_analysis.Module | None:
        """The file with this digest, if it is remembered."""
        if digest not in self._kept:
            return None
        self._kept.move_to_end(digest)
        return self._kept[digest][0]

    def put(self, digest: str, module: flow_analysis.Module, size: int) -> None:
        """Remember a file that was not, of `size` bytes."""
        self._kept[digest] = module, size
        self._bytes += size
        while len(self._kept) > _REMEMBERED or self._bytes > _REMEMBERED_BYTES:
            _, (_, forgotten) = self._kept.popitem(last=False)
            self._bytes -= forgotten


class Flows:
    """The flows of one revision. `modules` outlive it: what is known of a file holds as long as its digest does.

    `known` are paths that will be asked for, to be looked up together. `is_whole` False: it may not be the whole
    repository, and nobody can say that a file is missing.
    """

    def __init__(self, code: Code, modules: Modules, known: Iterable[str] = (), *, is_whole: bool = True) -> None:
        self.is_whole = is_whole
        self._code = code
        self._modules = modules
        self._files: dict[str, CodeFile | None] = {}
        self._asked: dict[str, str | None] = {}
        self._found: dict[FlowTarget, flow_analysis.Flow | flow_analysis.Problem | None] = {}
        self._look_up(set(known))

    def find(self, target: FlowTarget) -> flow_analysis.Flow | flow_analysis.Problem | None:
        """The flow that is meant, or why there is none; None if there is no such file. Raises SourceError."""
        file = self._file(target.path)
        self._asked[target.path] = _digest(file)
        if target not in self._found:
            self._found[target] = None if file is None else self._read(target.path, file).find(target.name)
        return self._found[target]

    def has_directory(self, path: str) -> bool:
        """Whether there is such a directory. Raises SourceError."""
        found = self._file(f"{path}/")
        self._asked[f"{path}/"] = _digest(found)
        return found is not None

    def has(self, path: str) -> bool:
        """Whether there is a file at `path`. Raises SourceError."""
        file = self._file(path)
        self._asked[path] = _digest(file)
        return file is not None

    def content(self, path: str) -> bytes:
        """The content of a file that is there; nothing of one that is too large. Raises SourceError."""
        file = self._file(path)
        if file is None or file.refusal or file.size > flow_analysis.MAX_BYTES:
            return b""
        return self._code.read(path)

    def take(self) -> Mapping[str, str | None]:
        """Which files were asked for since the last time, with their digests."""
        taken, self._asked = self._asked, {}
        return taken

    def are(self, digests: Mapping[str, str | None]) -> bool:
        """Whether these files still have these digests."""
        return all(_digest(self._file(path)) == digest for path, digest in digests.items())

    def _file(self, path: str) -> CodeFile | None:
        if path not in self._files:
            self._look_up([path])
        return self._files[path]

    def _look_up(self, paths: Iterable[str]) -> None:
        wanted = list(paths)
        found = self._code.find(wanted) if wanted else {}
        self._files.update({path: found.get(path) for path in wanted})

    def _read(self, path: str, file: CodeFile) -> flow_analysis.Module:
        if file.refusal:
            return flow_analysis.refused_module(file.refusal)
        if file.size > flow_analysis.MAX_BYTES:
            return flow_analysis.unread_module()
        known = self._modules.get(file.digest)
        if known is None:
            known = flow_analysis.read_module(self._code.read(path))
            self._modules.put(file.digest, known, file.size)
        return known


def check_flow(draft: ValidationContext, target: FlowTarget, flows: Flows) -> None:
    """Add what is wrong with the flow and, where it is found, with the parameters that it would get."""
    found = flows.find(target)
    key = "flow" if "flow" in draft.value else "flow_location"
    if found is None:
        if flows.is_whole:
            _missing_file(draft, target, key)
        return
    if isinstance(found, flow_analysis.Problem):
        at = "flow_name" if target.name is not None and key == "flow_location" else key
        message = f"{target.path}:{found.line}: {found.message}"
        draft.add(found.code.value, message, (at,), hint=found.hint)
        return
    if draft.clean(("parameters",)):
        _check_parameters(draft, found)


def check_working_directory(draft: ValidationContext, directory: str, flows: Flows) -> None:
    """Add that the working directory is not in the repository; empty is the repository itself."""
    if directory and not flows.has_directory(directory) and flows.is_whole:
        hint = "commit a file in it, or correct the path: it counts from the repository root"
        message = f"there is no directory {shorten(directory, 200)}"
        draft.add("WorkingDirectoryMissing", message, ("working_directory",), hint=hint)


def _missing_file(draft: ValidationContext, target: FlowTarget, key: str) -> None:
    hint = "commit it, or correct the path: it counts from the repository root"
    if key == "flow_location":
        hint = "commit it, or correct the path: it counts from this file"
    draft.add("FlowFileMissing", f"there is no file {shorten(target.path, 200)}", (key,), hint=hint)


def _check_parameters(draft: ValidationContext, flow: flow_analysis.Flow) -> None:
    """Every schedule makes a call of its own. Without any, what is missing may still come with a trigger."""
    own: dict[str, Any] = draft.value.get("parameters") or {}
    calls = list(_calls(draft))
    lacking: dict[flow_analysis.ParameterProblem, list[Path]] = {}
    seen: set[tuple[Path, str]] = set()
    for path, given in calls or [((), {})]:
        for problem in flow_analysis.check(flow, {**own, **given}):
            if problem.code is flow_analysis.ParameterCode.MISSING:
                lacking.setdefault(problem, []).append(path)
                continue
            place = (*(path if problem.path[:1] and problem.path[0] in given else ()), "parameters", *problem.path)
            if (place, problem.message) not in seen:
                seen.add((place, problem.message))
                _add(draft, problem, place)
    for problem, paths in lacking.items():
        everywhere = len(paths) == max(len(calls), 1)
        for path in [_mapping(draft)] if everywhere else paths:
            _add(draft, problem, path, severity=Severity.ERROR if calls else Severity.WARNING)


def _calls(draft: ValidationContext) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The path of each schedule with the parameters that it gives; without those whose parameters are no mapping."""
    listed = draft.value.get("schedules")
    places: list[Path] = [("schedule",)]
    places += [("schedules", index) for index in range(len(listed) if isinstance(listed, list) else 0)]
    for path in places:
        said = draft.root.find(path)
        if said is not None and isinstance(said.value, dict) and draft.clean((*path, "parameters")):
            yield path, said.value.get("parameters") or {}


def _mapping(draft: ValidationContext) -> Path:
    return ("parameters",) if "parameters" in draft.value else ()


def _add(
    draft: ValidationContext,
    problem: flow_analysis.ParameterProblem,
    path: Path,
    *,
    severity: Severity = Severity.ERROR,
) -> None:
    is_name = problem.code in (flow_analysis.ParameterCode.UNKNOWN, flow_analysis.ParameterCode.POSITIONAL_ONLY)
    draft.add(
        problem.code.value,
        problem.message,
        path,
        hint=problem.hint,
        at_key=is_name and bool(problem.path),
        lacking=(problem.missing, "parameters") if problem.missing else (),
        severity=severity,
    )


def _digest(file: CodeFile | None) -> str | None:
    return None if file is None else file.digest
